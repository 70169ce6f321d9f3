//! Sessions that outlive the process: what was promised to a client is kept, whoever ends the
//! server and however.

mod publisher;
mod subscriber;
mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use mqtt::{Qos, ReasonCode, encode};
use testkit::{ChildGuard, wait_until};

use crate::durability::{Chance, account};
use crate::server::{PATIENCE, Setup};
use publisher::{AT_LEAST_ONCE, EXACTLY_ONCE, Progress, Publisher, TURNS};
use subscriber::Subscriber;
use wire::{VERSION, Wire};

const KILLS: usize = 20;
/// Numbers that are acknowledged between two kills, at least.
const DONE_BETWEEN: u64 = 30;

const LAST_WORD: u64 = u64::MAX;

/// Clients with wildcard filters and in groups, to whom telemetry comes too.
const OTHERS: [(&str, &[(&str, Qos)]); 2] = [
    (
        "listener",
        &[
            ("+/exactly-once", Qos::ExactlyOnce),
            ("devices/+/telemetry", Qos::ExactlyOnce),
        ],
    ),
    (
        "member",
        &[
            ("$share/g/jobs/exactly-once", Qos::ExactlyOnce),
            ("$share/g/devices/+/telemetry", Qos::ExactlyOnce),
        ],
    ),
];

const KEPT_SESSIONS: usize = 10_000;
/// Clients that make them at the same time: the disk is waited for together.
const MAKERS: usize = 40;

#[test]
fn a_publisher_and_a_subscriber_go_on_through_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    // A queue that is full drops what comes, which is not what is tried here.
    let setup = Setup::new(&folder.path().join("data"))
        .with("MILLRACE_BROKER__MAX_QUEUED_MESSAGES", 1_000_000)
        .with("MILLRACE_BROKER__MAX_QUEUED_BYTES", "1GB");
    let mut chance = Chance::new();
    let mut server = setup.start();
    let progress = Progress::default();
    let mut subscriber = Subscriber::default();
    let mut others = OTHERS.map(|(name, filters)| Subscriber::new(name, filters));
    for subscriber in [&mut subscriber].into_iter().chain(&mut others) {
        subscriber.visit(setup.address, |_| true);
    }
    let count = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| Publisher::new(setup.address, &progress).run());
        let others = others.each_mut().map(|other| {
            scope.spawn(|| {
                other.run(setup.address, |other| {
                    other.exactly_once.contains(&LAST_WORD)
                });
            })
        });
        let listener = scope.spawn(|| {
            subscriber.run(setup.address, |subscriber| {
                // What was resent may come behind it.
                let ends = |seen: &[u64]| seen.iter().rev().take(100).any(|n| *n == LAST_WORD);
                ends(&subscriber.at_least_once) && ends(&subscriber.exactly_once)
            });
        });
        for kill in 0..KILLS {
            let done = || progress.done.load(Ordering::Relaxed);
            let before = done();
            wait_until("progress", PATIENCE, done, |done| {
                *done >= before + DONE_BETWEEN
            });
            chance.pause(0..120);
            match kill % 5 {
                // As an operator would.
                4 => stop(&mut server, &setup),
                _ => {
                    server.kill();
                    server = setup.start();
                }
            }
        }
        progress.enough.store(true, Ordering::Relaxed);
        let count = publisher.join().expect("the publisher has finished");
        last_words(&setup);
        listener.join().expect("the subscriber has finished");
        for other in others {
            other.join().expect("it has finished");
        }
        count
    });
    let account = account::end(server);
    println!("{count} numbers, {account:?}");

    let wanted = |turn: u64| (0..count).filter(move |number| number % TURNS == turn);
    let mut seen = HashSet::from([LAST_WORD]);
    let mut first_seen = subscriber.at_least_once;
    first_seen.retain(|number| seen.insert(*number));
    assert_eq!(first_seen, wanted(1).collect::<Vec<_>>(), "nothing is lost");
    let mut expected: Vec<u64> = wanted(2).collect();
    expected.push(LAST_WORD);
    assert_eq!(
        subscriber.exactly_once, expected,
        "nothing is lost, and nothing comes twice"
    );
    let mut expected: Vec<u64> = wanted(0).chain(expected).collect();
    expected.sort_unstable();
    for mut other in others {
        other.exactly_once.sort_unstable();
        assert_eq!(other.exactly_once, expected, "nor at any other filter");
    }
    let rows = rows(&setup);
    for number in wanted(0) {
        assert_eq!(rows.get(&number), Some(&1), "row of {number}");
    }
    assert_eq!(rows.len(), wanted(0).count());
}

#[test]
fn what_queued_while_a_client_was_away_is_there_after_a_stop_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    let mut server = setup.start();
    let mut subscriber = Subscriber::default();
    subscriber.visit(setup.address, |_| true);
    let mut expected = [Vec::new(), Vec::new()];
    for round in 0..3_u64 {
        let progress = Progress::default();
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| Publisher::new(setup.address, &progress).run());
            let done = || progress.done.load(Ordering::Relaxed);
            wait_until("progress", PATIENCE, done, |done| *done >= 100);
            progress.enough.store(true, Ordering::Relaxed);
            let count = publisher.join().expect("finished");
            for (turn, expected) in expected.iter_mut().enumerate() {
                expected.extend((0..count).filter(|number| number % TURNS == turn as u64 + 1));
            }
        });
        match round {
            0 => stop(&mut server, &setup),
            _ => {
                server.kill();
                server = setup.start();
            }
        }
    }
    let [at_least_once, exactly_once] = expected;
    let all = (at_least_once.len(), exactly_once.len());
    subscriber.visit(setup.address, |subscriber| {
        (
            subscriber.at_least_once.len(),
            subscriber.exactly_once.len(),
        ) == all
    });
    assert_eq!(subscriber.at_least_once, at_least_once);
    assert_eq!(subscriber.exactly_once, exactly_once);
    drop(server);
}

#[test]
fn ten_thousand_kept_sessions_are_back_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(&folder.path().join("data"));
    let mut server = setup.start();
    std::thread::scope(|scope| {
        for maker in 0..MAKERS {
            let address = setup.address;
            scope.spawn(move || {
                for number in (maker..KEPT_SESSIONS).step_by(MAKERS) {
                    let (mut wire, present) = Wire::connect(address, &format!("kept-{number}"));
                    assert!(!present);
                    let filter = format!("commands/{number}");
                    wire.subscribe(&[(&filter, Qos::AtLeastOnce)])
                        .expect("the server is there");
                    wire.disconnect();
                }
            });
        }
    });
    server.kill();
    let started = Instant::now();
    let server = setup.start();
    println!("{KEPT_SESSIONS} sessions after {:?}", started.elapsed());
    let (mut publisher, _) = Wire::connect(setup.address, "publisher");
    for number in (0..KEPT_SESSIONS).step_by(KEPT_SESSIONS / 10) {
        let filter = format!("commands/{number}");
        publisher.publish(Qos::AtLeastOnce, &filter, "go", 1, false);
        publisher.flush().expect("the server is there");
        publisher.receive(|_| ()).expect("an acknowledgement");
        let (mut wire, present) = Wire::connect(setup.address, &format!("kept-{number}"));
        assert!(present, "session {number}");
        let topic = wire.receive(|packet| match packet {
            mqtt::client::ServerPacket::Publish(publish) => publish.topic.to_owned(),
            _ => panic!("not a message"),
        });
        assert_eq!(topic.expect("a message"), filter);
    }
    drop(server);
}

/// SIGTERM, and a new start.
fn stop(server: &mut ChildGuard, setup: &Setup) {
    server.signal("TERM");
    let status = server.wait(PATIENCE);
    assert!(status.success(), "{status}: {:#?}", server.lines());
    *server = setup.start();
}

/// A last message on each topic of jobs, so that the subscriber sees that the end has come.
fn last_words(setup: &Setup) {
    let (mut wire, _) = Wire::connect(setup.address, "last words");
    let last_word = LAST_WORD.to_string();
    wire.publish(Qos::AtLeastOnce, AT_LEAST_ONCE, &last_word, 1, false);
    wire.publish(Qos::ExactlyOnce, EXACTLY_ONCE, &last_word, 2, false);
    encode::pubrel(wire.out(), VERSION, 2, ReasonCode::Success);
    wire.flush().expect("the server is there");
    // PUBACK, PUBREC, PUBCOMP.
    for _ in 0..3 {
        wire.receive(|_| ()).expect("an acknowledgement");
    }
    wire.disconnect();
}

/// How many rows there are of each number.
fn rows(setup: &Setup) -> HashMap<u64, u32> {
    let file = setup.data.join("millrace.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    let mut statement = connection
        .prepare("SELECT value FROM telemetry WHERE metric = 'n'")
        .unwrap();
    let values = statement.query_map([], |row| row.get::<_, f64>(0)).unwrap();
    values.fold(HashMap::new(), |mut counts, value| {
        *counts.entry(value.unwrap() as u64).or_default() += 1;
        counts
    })
}
