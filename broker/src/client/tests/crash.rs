//! QoS 2 from a kept publisher to kept subscribers over a kill -9, with single threads held before
//! it: section 4.3.3.
//!
//! The publisher does what MQTT asks of it: it publishes again what has no PUBREC, and releases
//! what has one.

use super::*;
use crate::exchange::{Origin, Progress};

const SUCCESS: ReasonCode = ReasonCode::Success;
const TEXT: &str = "x";

/// Which thread is not given the processor from before the publish to the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nobody,
    /// The writer of the log of kept sessions,
    LogWriter,
    /// that of the telemetry journal,
    JournalWriter,
    BothWriters,
    /// The telemetry journal has no room.
    FullJournal,
}

const ALL: [Held; 5] = [
    Held::Nobody,
    Held::LogWriter,
    Held::JournalWriter,
    Held::BothWriters,
    Held::FullJournal,
];

impl Held {
    fn holds_log(self) -> bool {
        matches!(self, Held::LogWriter | Held::BothWriters)
    }

    fn holds_journal(self) -> bool {
        matches!(self, Held::JournalWriter | Held::BothWriters)
    }
}

fn bench() -> Bench {
    Bench::with(|config| {
        config.max_session_log_size = crate::Config::default().max_session_log_size;
    })
}

/// Lets the threads do what they can: all is durable that may be, and clients have taken what came.
async fn rest(bench: &Bench, held: Held, lines: &mut [&mut Line]) -> Vec<Vec<String>> {
    let mut heard = vec![Vec::new(); lines.len()];
    for _ in 0..3 {
        for (line, heard) in lines.iter_mut().zip(&mut heard) {
            heard.extend(line.waits());
        }
        if !held.holds_journal() {
            bench.journal.sync();
        }
        if !held.holds_log() {
            let log = bench.gate.session_log.as_deref().expect("a log");
            wait_until(|| log.is_durable(log.end())).await;
        }
    }
    heard
}

async fn wait_until(is_so: impl Fn() -> bool) {
    let all = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), all).await;
    waited.expect("it hangs");
}

/// One publish, killed around, and made to its end; what the subscriber gets of it, and how many
/// records there are.
async fn one_publish(
    topic: &str,
    filter: &str,
    held: Held,
    is_connected: bool,
    kills: usize,
) -> (Vec<String>, u64) {
    let mut bench = bench();
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes(filter, Qos::ExactlyOnce);
    rest(&bench, Held::Nobody, &mut [&mut console]).await;
    let mut device = bench.kept(Version::V311, "device");
    let mut console = if is_connected {
        Some(console)
    } else {
        console.loses_connection();
        None
    };
    rest(&bench, Held::Nobody, &mut [&mut device]).await;
    if held.holds_log() {
        bench.disk.hold();
    }
    if held == Held::FullJournal {
        bench.journal.refuse(Some(AppendError::Full));
    }
    let mut answers = device.publishes_once(topic, 5, TEXT);
    let mut lines: Vec<_> = [&mut device].into_iter().chain(&mut console).collect();
    let heard = rest(&bench, held, &mut lines).await;
    answers.extend(heard[0].iter().cloned());
    let came_before = heard.get(1).is_some_and(|heard| !heard.is_empty());
    let clients = [device].into_iter().chain(console.take()).collect();
    bench = bench.crash(clients).await;
    for _ in 1..kills {
        bench = bench.crash(Vec::new()).await;
    }
    let mut device = bench.kept(Version::V311, "device");
    assert!(device.present, "CONNACK has waited for the session");
    if answers.is_empty() {
        answers = device.publishes_once(topic, 5, TEXT);
        answers.extend(
            rest(&bench, Held::Nobody, &mut [&mut device])
                .await
                .concat(),
        );
    }
    assert_eq!(answers, ["pubrec 5"]);
    let mut answers = device.answers(encode::pubrel, 5, SUCCESS);
    answers.extend(
        rest(&bench, Held::Nobody, &mut [&mut device])
            .await
            .concat(),
    );
    assert_eq!(answers, ["pubcomp 5"]);
    let mut console = bench.kept(Version::V5, "console");
    let heard = rest(&bench, Held::Nobody, &mut [&mut console]).await;
    if came_before {
        assert!(
            heard[0]
                .first()
                .is_some_and(|first| first.ends_with("dup 1")),
            "what had begun goes on: {heard:?}"
        );
    }
    let records = bench.journal.end().0;
    (heard.concat(), records)
}

#[tokio::test]
async fn a_publish_comes_once_at_any_filter_whatever_was_held_before_the_kill() {
    let mut failures = Vec::new();
    for (topic, filters) in [
        ("room/a", ["room/a", "room/+", "$share/g/room/#"]),
        (
            "devices/a/telemetry",
            [
                "devices/a/telemetry",
                "devices/#",
                "$share/g/devices/a/telemetry",
            ],
        ),
    ] {
        for (filter, held) in filters.into_iter().flat_map(|f| ALL.map(|held| (f, held))) {
            for (is_connected, kills) in [(false, 1), (true, 1), (false, 2)] {
                let (heard, records) = one_publish(topic, filter, held, is_connected, kills).await;
                let records_due = u64::from(topic.starts_with("devices/"));
                if heard.len() != 1 || records != records_due {
                    failures.push(format!(
                        "{topic} at {filter}, {held:?} held, connected {is_connected}, {kills} kills: \
                         {heard:?}, {records} records"
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A client that is lost while the journal has no room publishes again, and subscribers have it
/// already.
#[tokio::test]
async fn what_waits_for_room_in_the_journal_is_distributed_once() {
    let bench = bench();
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("devices/#", Qos::ExactlyOnce);
    let mut device = bench.kept(Version::V311, "device");
    rest(&bench, Held::Nobody, &mut [&mut device, &mut console]).await;
    bench.journal.refuse(Some(AppendError::Full));
    device.publishes_once("devices/a/telemetry", 5, TEXT);
    let heard = rest(&bench, Held::Nobody, &mut [&mut console]).await;
    assert_eq!(heard, [["publish devices/a/telemetry x qos 2"]]);
    device.loses_connection();
    bench.journal.refuse(None);
    let mut device = bench.kept(Version::V311, "device");
    let mut answers = device.publishes_once("devices/a/telemetry", 5, TEXT);
    let heard = rest(&bench, Held::Nobody, &mut [&mut device, &mut console]).await;
    answers.extend(heard[0].iter().cloned());
    assert_eq!(
        (answers, &heard[1]),
        (vec!["pubrec 5".to_owned()], &nothing())
    );
    assert_eq!(bench.journal.end().0, 1);
}

/// Its start must take the second as a new one.
#[tokio::test]
async fn publishes_of_one_read_are_told_in_their_order() {
    let bench = bench();
    let mut console = bench.kept(Version::V5, "console");
    for filter in ["devices/#", "room/a"] {
        console.subscribes(filter, Qos::ExactlyOnce);
    }
    let mut device = bench.kept(Version::V311, "device");
    rest(&bench, Held::Nobody, &mut [&mut device, &mut console]).await;
    let mut bytes = Vec::new();
    for (topic, packet_id) in [("devices/a/telemetry", 1), ("room/a", 2)] {
        let publish = encode::Publish {
            qos: Qos::ExactlyOnce,
            topic,
            packet_id,
            payload: TEXT.as_bytes(),
            ..Default::default()
        };
        encode::publish(&mut bytes, Version::V311, &publish);
    }
    device.says(&bytes);
    // The record is lost, and what the log was told is not.
    let heard = rest(
        &bench,
        Held::JournalWriter,
        &mut [&mut device, &mut console],
    )
    .await;
    assert_eq!(heard[0], nothing(), "2 waits for 1");
    assert_eq!(heard[1].len(), 2);
    let bench = bench.crash(vec![device, console]).await;
    let mut device = bench.kept(Version::V311, "device");
    device.says(&bytes);
    let mut console = bench.kept(Version::V5, "console");
    let heard = rest(&bench, Held::Nobody, &mut [&mut device, &mut console]).await;
    assert_eq!(heard[0], ["pubrec 1", "pubrec 2"]);
    assert_eq!(heard[1].len(), 2, "both were in flight: {heard:?}");
    assert_eq!(bench.journal.end().0, 1);
}

/// What a client has cannot be taken back by a start.
#[tokio::test]
async fn a_delivery_at_qos_2_waits_until_the_log_knows_of_its_exchange() {
    let bench = bench();
    let mut exactly = bench.kept(Version::V5, "exactly once");
    let mut at_least = bench.kept(Version::V5, "at least once");
    exactly.subscribes("room/a", Qos::ExactlyOnce);
    at_least.subscribes("room/a", Qos::AtLeastOnce);
    rest(&bench, Held::Nobody, &mut [&mut exactly, &mut at_least]).await;
    let progress = Arc::<Progress>::default();
    bench.gate.distribute(Message {
        qos: Qos::ExactlyOnce,
        origin: Origin::new(1, &progress),
        ..message("room/a")
    });
    let (wakes, waker) = Wakes::new();
    let sent = exactly.client.send(&mut Vec::new(), &waker);
    assert!(matches!(sent, Ok(false)), "{sent:?}");
    let heard = rest(&bench, Held::Nobody, &mut [&mut exactly, &mut at_least]).await;
    let at_once = vec!["publish room/a x qos 1".to_owned()];
    assert_eq!(heard, [nothing(), at_once]);
    progress.tell(1);
    assert_eq!(wakes.count(), 1);
    let heard = rest(&bench, Held::Nobody, &mut [&mut exactly]).await;
    assert_eq!(heard, [["publish room/a x qos 2"]]);
}
