//! Beginning, ending, restarts, and the alert changes that go along.

use super::fake_store::Fault;
use super::*;

#[test]
fn a_resend_after_a_restart_is_still_a_duplicate() {
    let mut bench = Bench::new();
    bench.config.filter = toml::from_str("[[rule]]\nmetric='b'\ndeadband={absolute=1}").unwrap();
    bench.append("d", r#"{"a":1,"ts":1769847300}"#);
    bench.append("d", r#"{"a":2,"b":10,"ts":1769847301}"#);
    assert!(bench.run().drained);
    // The acknowledgement was lost in the crash.
    bench.append("d", r#"{"a":2,"b":10,"ts":1769847301}"#);
    bench.append("d", r#"{"a":2,"b":10.5,"ts":1769847302}"#);
    let stopped = bench.run();
    check_account(stopped.account, 3, 1, 0);
    let database = bench.database.lock();
    let times = [0, 1, 1, 2].map(|second| NOW + second * 1_000_000);
    assert_eq!(
        database.rows,
        [
            row("d", "a", times[0], 1.0),
            row("d", "a", times[1], 2.0),
            row("d", "b", times[2], 10.0),
            row("d", "a", times[3], 2.0),
        ]
    );
}

#[test]
fn everything_in_the_journal_is_committed_before_the_end() {
    let mut bench = Bench::new();
    bench.config.batch_delay = Duration::from_secs(10);
    let lane = bench.spawn();
    bench.append_all((0..5_000).map(|_| ("d", r#"{"a":1,"b":2}"#)));
    // The batch would wait for ten seconds; ending does not.
    let stopped = stop(lane);
    assert!(stopped.drained);
    check_account(stopped.account, 5_000, 0, 0);
    assert_eq!(bench.database.lock().rows.len(), 10_000);
}

#[test]
fn an_empty_journal_ends_at_once() {
    let bench = Bench::new();
    let stopped = stop(bench.spawn());
    assert!(stopped.drained);
    check_account(stopped.account, 0, 0, 0);
}

#[test]
fn a_store_that_is_away_at_the_start_is_waited_for() {
    let mut bench = Bench::new();
    bench.pending = Some(Pending::in_memory(10));
    let away = [Fault::AwayBefore, Fault::AwayBefore];
    bench.database.lock().on_load.extend(away);
    let lane = bench.spawn();
    bench.append("d", r#"{"a":1}"#);
    bench.database.wait(|tables| tables.failures == 1);
    assert!(lane.account().is_none());
    let state = lane.wait_until_started(PATIENCE);
    assert!(matches!(state, State::Running), "{state:?}");
    bench.database.wait_for_rows(Position(1));
    assert!(stop(lane).drained);
    assert_eq!(bench.database.lock().loads, 3);
}

#[test]
fn ending_while_the_store_has_never_answered_loses_nothing() {
    let mut bench = Bench::new();
    bench.append("d", r#"{"a":1}"#);
    bench.database.lock().always = Some(Fault::AwayBefore);
    let lane = bench.spawn();
    bench.database.wait(|tables| tables.failures >= 1);
    let stopped = lane.stop(soon());
    assert!(!stopped.drained && stopped.account.is_none());
    bench.database.lock().always = None;
    check_account(bench.run().account, 1, 0, 0);
}

#[track_caller]
fn check_failure(bench: &Bench, message: &str, hint: &str) {
    let lane = bench.spawn();
    let State::Failed(failure) = lane.wait_until_started(PATIENCE) else {
        panic!("{:?}", lane.state());
    };
    assert!(failure.message.starts_with(message), "{failure}");
    assert!(failure.hint.starts_with(hint), "{}", failure.hint);
}

#[test]
fn what_a_person_must_mend_is_said_at_the_start() {
    let mut bench = Bench::new();
    bench.database.lock().on_load.push_back(Fault::Fatal);
    check_failure(&bench, "the password is wrong", "use the right one");

    bench.append("d", r#"{"a":1}"#);
    bench.database.lock().checkpoint.rows = Position(2);
    check_failure(
        &bench,
        "the database `memory` has this journal's records up to position 2, but the journal ends \
         at 1",
        "the journal was restored from an older copy",
    );
}

#[test]
fn a_database_that_does_not_have_what_the_journal_gave_away() {
    let mut bench = Bench::with_journal(&journal::Config {
        max_size: bytesize::ByteSize::mib(4),
        segment_size: bytesize::ByteSize::kib(64),
        ..journal::Config::default()
    });
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(50_000));
    for _ in 0..6 {
        let end = bench.append("d", &text);
        bench.journal.wait_durable(end, PATIENCE).unwrap();
    }
    bench.journal.release(Position(6));
    testkit::wait_until(
        "the journal to give its beginning away",
        PATIENCE,
        || bench.journal.start(),
        |start| *start > Position::ZERO,
    );
    check_failure(
        &bench,
        "the database `memory` has this journal's records up to position 0, but the journal begins \
         at ",
        "use the database that these records went to",
    );
}

fn event(id: &str, rule: &str) -> AlertEventRow {
    AlertEventRow {
        id: id.into(),
        time: NOW,
        rule: rule.into(),
        device: "d".into(),
        metric: "m".into(),
        severity: "warning".into(),
        state: "firing".into(),
        value: Some(1.0),
        payload: "{}".into(),
    }
}

fn state(rule: &str, state: &str) -> AlertStateRow {
    AlertStateRow {
        rule: rule.into(),
        device: "d".into(),
        metric: "m".into(),
        state: Some(state.into()),
    }
}

#[test]
fn alert_changes_are_committed_with_rows_and_without() {
    let mut bench = Bench::new();
    let pending = Pending::in_memory(10);
    bench.pending = Some(pending.clone());
    let lane = bench.spawn();
    pending.record(Position(0), [event("1", "hot")], [state("hot", "firing")]);
    bench.database.wait(|tables| tables.events.len() == 1);
    let end = bench.append("d", r#"{"a":1}"#);
    pending.record(end, [event("2", "hot")], [state("hot", "normal")]);
    bench
        .database
        .wait(|tables| tables.events.len() == 2 && tables.checkpoint.rows == end);
    // The alerts' position alone is committed at the end.
    let end = bench.append("d", r#"{"a":2}"#);
    pending.record(end, [], []);
    assert!(stop(lane).drained);
    let database = bench.database.lock();
    assert_eq!(database.checkpoint.alerts, Position(2));
    assert_eq!(database.states["hot"], Some("normal".into()));
    assert!(!pending.has_changes() && !pending.position_moved());
}

#[test]
fn alert_changes_survive_a_lost_connection() {
    for fault in [Fault::AwayBefore, Fault::AwayAfter] {
        let mut bench = Bench::new();
        let pending = Pending::in_memory(10);
        bench.pending = Some(pending.clone());
        bench
            .database
            .lock()
            .on_commit
            .extend([fault, fault, fault]);
        let lane = bench.spawn();
        let end = bench.append("d", r#"{"a":1}"#);
        pending.record(end, [event("1", "hot")], [state("hot", "firing")]);
        bench
            .database
            .wait(|tables| !tables.events.is_empty() && tables.checkpoint.rows == end);
        assert!(stop(lane).drained);
        let database = bench.database.lock();
        assert_eq!(database.events, ["1"]);
        assert_eq!(
            (database.rows.len(), database.checkpoint.alerts),
            (1, Position(1))
        );
        assert!(!pending.has_changes());
    }
}

#[test]
fn an_alert_change_the_store_refuses_stops_neither_rows_nor_other_alerts() {
    let mut bench = Bench::new();
    let pending = Pending::in_memory(10);
    bench.pending = Some(pending.clone());
    bench.database.lock().refused_rule = Some("bad".into());
    bench.database.lock().refused_value = Some("13".into());
    pending.record(
        Position(0),
        [event("1", "bad"), event("2", "good")],
        [state("bad", "x"), state("good", "y")],
    );
    bench.append_all([
        ("d", r#"{"a":1}"#),
        ("d", r#"{"a":13}"#),
        ("d", r#"{"a":3}"#),
    ]);
    let lane = bench.spawn();
    bench.database.wait_for_rows(Position(3));
    bench
        .database
        .wait(|tables| tables.states.contains_key("good"));
    let observer = lane.observer();
    let stopped = stop(lane);
    check_account(stopped.account, 2, 0, 1);
    assert_eq!(observer.stats().alerts_refused, 2);
    let database = bench.database.lock();
    assert_eq!(database.events, ["2"]);
    assert!(!database.states.contains_key("bad"));
    assert!(!pending.has_changes());
}
