//! Many clients at once that all call themselves the same: [MQTT-3.1.4-3].

use std::net::Shutdown;
use std::sync::Arc;

use broker::Config;
use mqtt::Version;
use mqtt::client::Connect;
use tokio_util::sync::CancellationToken;

use crate::Running;
use testkit::mqtt::Client;

const NEWCOMERS: usize = 60;
const ROUNDS: usize = 8;

/// Versions and sessions mixed, in another order in each round.
fn newcomer(round: usize, number: usize) -> Connect<'static> {
    let version = match (round + number) % 3 {
        0 => Version::V311,
        _ => Version::V5,
    };
    let clean_start = (round + number).is_multiple_of(2);
    Connect {
        clean_start,
        session_expiry: (version == Version::V5 && !clean_start).then_some(3_600),
        ..Connect::new(version, "twin")
    }
}

/// All are there before the first of them says who it is.
fn open_all(broker: &Running, round: usize) -> Vec<(Client, Connect<'static>)> {
    let opened = (0..NEWCOMERS).map(|number| {
        let connect = newcomer(round, number);
        (broker.open(connect.version), connect)
    });
    let opened = opened.collect();
    // It came after them: when it is served, the broker waits for all of them to speak, and hears
    // them in their order.
    broker.serves_someone_else();
    broker.is_empty_but_for(NEWCOMERS as u64);
    opened
}

/// Whatever comes until the connection is closed.
fn until_closed(line: &mut Client) -> Vec<String> {
    let packets = std::iter::from_fn(|| Some(line.next()).filter(|packet| packet != "closed"));
    packets.collect()
}

/// Refused, or let in and ended; never told to try again later.
fn was_superseded(version: Version, packets: &[String]) -> bool {
    let packets: Vec<_> = packets.iter().map(String::as_str).collect();
    match version {
        Version::V311 => matches!(
            packets[..],
            ["connack 3"] | ["connack 0" | "connack 0 present"]
        ),
        Version::V5 => matches!(
            packets[..],
            ["connack 80"] | ["connack 0" | "connack 0 present", "disconnect 8e"]
        ),
    }
}

/// On one thread, so that CONNECTs are read in the order in which they were sent.
#[test]
fn of_many_newcomers_exactly_the_last_stays_and_no_other_is_kept_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let data = tempfile::tempdir().expect("a folder");
    let is_telemetry = Arc::new(|_: &str| false);
    let runtime = runtime.expect("a runtime");
    let broker = Running::on(runtime, Config::default(), data, is_telemetry, None);
    let done = CancellationToken::new();
    std::thread::scope(|scope| {
        scope.spawn(|| broker.runtime.block_on(done.cancelled()));
        // Also when an assertion fails.
        let _done = done.clone().drop_guard();
        for round in 0..ROUNDS {
            let mut lines = open_all(&broker, round);
            for (line, connect) in &mut lines {
                line.send_connect(connect);
            }
            let (mut last, _) = lines.pop().expect("some");
            for (number, (line, connect)) in lines.iter_mut().enumerate() {
                let packets = until_closed(line);
                assert!(
                    was_superseded(connect.version, &packets),
                    "{round}.{number}: {packets:?}"
                );
            }
            assert!(last.next().starts_with("connack 0"), "round {round}");
            last.is_served();
            broker.is_empty_but_for(1);
        }
    });
}

/// On many threads nobody can say who was last; but one stays.
#[test]
fn on_many_threads_one_newcomer_stays_and_the_others_are_closed() {
    let broker = Running::start();
    for round in 0..ROUNDS {
        let mut lines = open_all(&broker, round);
        std::thread::scope(|scope| {
            for part in lines.chunks_mut(NEWCOMERS / 4) {
                scope.spawn(|| {
                    part.iter_mut()
                        .for_each(|(line, connect)| line.send_connect(connect));
                });
            }
        });
        broker.is_empty_but_for(1);
        let mut stayed = 0;
        for (number, (mut line, connect)) in lines.into_iter().enumerate() {
            // The one that is still here is closed by this; the others are closed already.
            let _ = line.stream.shutdown(Shutdown::Write);
            let packets = until_closed(&mut line);
            if !was_superseded(connect.version, &packets) {
                assert_eq!(packets.len(), 1, "{round}.{number}: {packets:?}");
                assert!(packets[0].starts_with("connack 0"), "{packets:?}");
                stayed += 1;
            }
        }
        // One of 3.1.1 is let in without a word, and ended without one.
        assert!(stayed <= 1, "round {round}: {stayed}");
        broker.is_empty_but_for(0);
    }
}
