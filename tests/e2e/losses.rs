//! Messages that leave no row: why, on `$SYS`, in the table, in the log and in the last line, also
//! over kills.

use std::collections::BTreeMap;

use mqtt::{Qos, Version};
use testkit::mqtt::Client;
use testkit::{Postgres, wait_until};

use crate::server::{PATIENCE, Setup};
use crate::sqlite;

/// Kills before the end in order.
const KILLS: u64 = 4;
/// Messages of a round, of which each payload below is one in `PAYLOADS.len()`.
const MESSAGES: u16 = 60;

/// What is sent, and why it is not stored; `TIME` differs in each round.
const PAYLOADS: [(&str, &str); 6] = [
    (r#"{"t":1,"u":2,"ts":TIME}"#, "duplicate"),
    ("{broken", "not_json"),
    ("{}", "no_values"),
    ("", "empty"),
    (r#"{"t":1,"ts":4000000000}"#, "too_far_in_future"),
    (r#"{"t":1,"ts":"yesterday"}"#, "bad_time"),
];

type Values = BTreeMap<String, u64>;

#[test]
fn sqlite_knows_why_messages_left_no_row_after_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    check(&setup, &|sql| sqlite::query(&setup.data, sql));
}

#[test]
fn postgres_knows_why_messages_left_no_row_after_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::start();
    let url = postgres.create_database();
    let database = url.rsplit('/').next().expect("a name").to_owned();
    let setup = Setup::new(folder.path()).store(&url);
    check(&setup, &|sql| postgres.query(&database, sql));
}

fn check(setup: &Setup, query: &dyn Fn(&str) -> Vec<Vec<String>>) {
    let setup = setup.clone().with("MILLRACE_BROKER__SYS_INTERVAL", "100ms");
    for round in 0..KILLS {
        let mut server = setup.start();
        publish(&setup, round);
        // All of it is acknowledged, and perhaps some of it committed.
        server.kill();
    }
    let mut server = setup.start();
    publish(&setup, KILLS);
    let rounds = KILLS + 1;
    let received = rounds * u64::from(MESSAGES);
    let of_each = received / PAYLOADS.len() as u64;

    let seen = watch(&setup, |values| {
        let value = |name: &str| values.get(name).copied();
        value("received") == Some(received)
            && value("pending") == Some(0)
            && value("filtered") == Some(sum(values, "filtered/"))
            && value("dead-lettered") == Some(sum(values, "dead-lettered/"))
    });
    // The first one of each round is stored.
    assert_eq!(seen["stored"], rounds);
    for reason in ["no_values", "too_far_in_future"] {
        assert_eq!(seen[&format!("filtered/{reason}")], of_each, "{seen:#?}");
    }
    assert_eq!(seen["filtered/duplicate"], of_each - rounds, "{seen:#?}");
    assert_eq!(seen["samples/filtered/duplicate"], 2 * (of_each - rounds));
    for reason in ["not_json", "empty", "bad_time"] {
        let name = format!("dead-lettered/{reason}");
        assert_eq!(seen[&name], of_each, "{seen:#?}");
    }

    // The tables say the same.
    let totals = "SELECT sum(CASE outcome WHEN 'filtered' THEN messages END),
                         sum(CASE outcome WHEN 'dead_lettered' THEN messages END)
                  FROM ingest_reasons";
    let account = "SELECT filtered, dead_lettered FROM ingest_position";
    assert_eq!(query(totals), query(account));
    let letters = "SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY reason";
    let counted = "SELECT reason, messages FROM ingest_reasons WHERE outcome = 'dead_lettered'
                   ORDER BY reason";
    assert_eq!(query(letters), query(counted));

    server.wait_for_line("not understood, kept in the table `dead_letters`", PATIENCE);
    server.wait_for_line("too_far_in_future", PATIENCE);
    server.signal("TERM");
    assert!(server.wait(PATIENCE).success());
    let lines = server.lines();
    let told = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    // Once at the first, and once at the end at most.
    assert!(told("not understood, kept in") <= 3, "{lines:#?}");
    let last = format!("dead-lettered: {of_each} bad_time, {of_each} empty, {of_each} not_json");
    assert_eq!(told(&last), 1, "{lines:#?}");
}

/// A round, each message acknowledged.
fn publish(setup: &Setup, round: u64) {
    let mut device = Client::connect(setup.address, Version::V311, "press-1");
    let time = (1_700_000_000 + round).to_string();
    for (id, (payload, _)) in (1..=MESSAGES).zip(PAYLOADS.iter().cycle()) {
        let payload = payload.replace("TIME", &time);
        device.publish("devices/press-1/telemetry", payload.as_bytes(), id, false);
        assert_eq!(device.next(), format!("puback {id}"));
    }
}

/// What stands below `$SYS/broker/ingest/` when it is as wanted.
fn watch(setup: &Setup, is_wanted: impl Fn(&Values) -> bool) -> Values {
    let mut line = Client::connect(setup.address, Version::V311, "watch");
    line.ask_at("$SYS/broker/ingest/#", Qos::AtMostOnce);
    let mut values = Values::new();
    wait_until(
        "the account on $SYS",
        PATIENCE,
        || {
            let packet = line.next();
            let known = packet
                .trim_end_matches(" retained")
                .strip_prefix("$SYS/broker/ingest/")
                .and_then(|rest| rest.split_once(" = "))
                .and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
            values.extend(known);
            values.clone()
        },
        is_wanted,
    )
}

fn sum(values: &Values, prefix: &str) -> u64 {
    values
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(_, value)| value)
        .sum()
}
