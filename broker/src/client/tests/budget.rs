//! What all sessions together hold, whatever happens to them.

use std::collections::{BTreeMap, HashSet};

use bytesize::ByteSize;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::delivery::PLACE_BYTES;
use crate::session::Stage;

/// The smallest budget that can be configured.
const BUDGET_BYTES: u64 = 1_000_000;
const CLIENTS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const FILTERS: [&str; 6] = [
    "room/0",
    "room/1",
    "room/2",
    "room/3",
    "$share/g/room/0",
    "$share/h/room/2",
];
const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
const LIVES: u64 = 20;
const CHANGES: usize = 1_500;
const PAYLOAD_BYTES_MAX: usize = 40_000;

fn bench(change: impl FnOnce(&mut crate::Config)) -> Bench {
    Bench::with(|config| {
        config.max_queued_bytes_total = ByteSize(BUDGET_BYTES);
        config.max_queued_bytes = ByteSize(600_000);
        config.max_session_log_size = crate::Config::default().max_session_log_size;
        change(config);
    })
}

/// Messages, copies and bytes as the gauges have them.
fn gauges(bench: &Bench) -> (u64, u64, u64) {
    let stats = &bench.gate.stats;
    (
        stats.queued_messages.get(),
        stats.queued_copies.get(),
        stats.queued_bytes.get(),
    )
}

/// The same, by looking into every session.
fn held(bench: &Bench) -> (u64, u64, u64) {
    let (mut messages, mut copies, mut bytes) = (HashSet::new(), 0, 0);
    bench.gate.registry.for_each(|session| {
        for delivery in session.deliveries() {
            copies += 1;
            bytes += PLACE_BYTES;
            if messages.insert(Arc::as_ptr(&delivery.message)) {
                bytes += delivery.message.memory_bytes();
            }
        }
    });
    (messages.len() as u64, copies, bytes as u64)
}

fn publish_own(bench: &Bench, topic: &str, payload: Vec<u8>, qos: Qos) {
    bench.gate.distribute(Message {
        payload: payload.into(),
        qos,
        received_at: crate::clock::now_micros(),
        ..message(topic)
    });
}

struct Life {
    rng: ChaCha8Rng,
    bench: Bench,
    lines: BTreeMap<&'static str, Line>,
}

#[tokio::test]
async fn the_gauges_are_the_sums_over_all_sessions_whatever_happens() {
    let mut refused = 0;
    for seed in 0..LIVES {
        let mut life = Life {
            rng: ChaCha8Rng::seed_from_u64(seed),
            bench: bench(|_| ()),
            lines: BTreeMap::new(),
        };
        for change in 0..CHANGES {
            life = life.change().await;
            assert_eq!(
                gauges(&life.bench),
                held(&life.bench),
                "seed {seed}, change {change}"
            );
            let (_, _, bytes) = gauges(&life.bench);
            let keeping_up = life.lines.len() * (32 * 1024 + PAYLOAD_BYTES_MAX + 1_000);
            assert!(
                bytes <= BUDGET_BYTES + keeping_up as u64,
                "seed {seed}, change {change}: {bytes}"
            );
        }
        refused += life.bench.gate.stats.dropped_queues_full.get();
        life.lines.clear();
        life.bench.skip(10_000);
        assert_eq!(gauges(&life.bench), (0, 0, 0), "seed {seed}");
    }
    assert!(refused > 0, "the budget was never used up");
}

impl Life {
    async fn change(mut self) -> Life {
        let client = *CLIENTS.choose(&mut self.rng).expect("some");
        match self.rng.random_range(0..400) {
            0 => {
                self.lines.clear();
                self.bench = self.bench.restart(|_| ()).await;
            }
            1..40 => self.come(client),
            40..60 => drop(self.lines.remove(client)),
            60..65 => {
                if let Some(line) = self.lines.remove(client) {
                    line.says_goodbye(None);
                }
            }
            65..70 => self.bench.skip(self.rng.random_range(1..40)),
            70..160 => self.send(client),
            160..260 => self.answer(client),
            _ => self.publish(),
        }
        self
    }

    fn come(&mut self, client: &'static str) {
        self.lines.remove(client);
        let (kept, clean_start) = (self.rng.random_ratio(3, 4), self.rng.random_ratio(1, 8));
        let mut line = self.bench.arrives(Version::V5, client, &|arrival| {
            arrival.expiry_seconds = if kept { 60 } else { 0 };
            arrival.clean_start = clean_start;
        });
        for _ in 0..self.rng.random_range(0..3) {
            let filter = FILTERS.choose(&mut self.rng).expect("some");
            line.subscribes(filter, *QOS.choose(&mut self.rng).expect("some"));
        }
        self.lines.insert(client, line);
    }

    fn publish(&mut self) {
        let topic = format!("room/{}", self.rng.random_range(0..4));
        let payload = vec![b'x'; self.rng.random_range(0..PAYLOAD_BYTES_MAX)];
        let stale = self.rng.random_ratio(1, 10);
        let message = Message {
            payload: payload.into(),
            qos: *QOS.choose(&mut self.rng).expect("some"),
            expiry_seconds: stale.then_some(1),
            received_at: crate::clock::now_micros() - 10_000_000 * i64::from(stale),
            ..message(&topic)
        };
        self.bench.gate.distribute(message);
    }

    /// One turn of the connection's task.
    fn send(&mut self, client: &str) {
        if let Some(line) = self.lines.get_mut(client) {
            let mut out = Vec::new();
            let sent = line.client.send(&mut out, Waker::noop());
            sent.expect("goes on");
            line.client.payload = None;
        }
    }

    /// The client acknowledges some of what was sent.
    fn answer(&mut self, client: &str) {
        let Some(line) = self.lines.get(client) else {
            return;
        };
        let session = &line.client.session;
        let sent = session.with_outbound(Waker::noop(), |outbound| {
            let window = outbound.window();
            let sent = window.entries().take(window.sent());
            let step = |stage: &Stage| match stage {
                Stage::Published(delivery) => Some(delivery.qos),
                Stage::Released => None,
            };
            let sent = sent.map(|entry| (entry.packet_id, step(&entry.stage)));
            sent.collect::<Vec<_>>()
        });
        for (packet_id, qos) in sent {
            if self.rng.random_ratio(1, 2) {
                continue;
            }
            match qos {
                Some(Qos::ExactlyOnce) => {
                    session.received(packet_id, Waker::noop()).expect("fits");
                }
                Some(_) => session.puback(packet_id).expect("fits"),
                None => session.completed(packet_id),
            }
        }
    }
}

/// Kept sessions whose clients are away, each subscribed to a topic of its own.
fn absent(bench: &Bench, count: usize) {
    for number in 0..count {
        let mut line = bench.kept(Version::V5, &format!("absent-{number}"));
        line.subscribes(&format!("own/{number}"), Qos::AtLeastOnce);
        line.loses_connection();
    }
}

#[tokio::test]
async fn who_is_connected_is_served_when_those_that_are_away_have_used_the_budget_up() {
    let bench = bench(|_| ());
    absent(&bench, 20);
    let mut consoles = QOS.map(|qos| {
        let mut console = bench.client(Version::V5);
        console.subscribes("room/a", qos);
        (qos, console)
    });
    for round in 0..50 {
        for number in 0..20 {
            publish_own(
                &bench,
                &format!("own/{number}"),
                vec![b'x'; 5_000],
                Qos::AtLeastOnce,
            );
        }
        // A burst, of which every copy waits before the first is sent.
        (0..10).for_each(|_| publish_own(&bench, "room/a", vec![b'y'; 2_000], Qos::ExactlyOnce));
        for (qos, console) in &mut consoles {
            let mut got = 0;
            while got < 10 {
                let sent = console.waits().len();
                assert!(sent > 0, "{got} of round {round} at {qos:?}");
                got += sent;
                finish_all(console);
            }
        }
    }
    let stats = &bench.gate.stats;
    let (_, _, bytes) = gauges(&bench);
    assert!(stats.dropped_queues_full.get() > 0);
    assert!(bytes <= BUDGET_BYTES / 4 * 3, "{bytes}");
    assert!(bytes > BUDGET_BYTES / 2, "{bytes}");
    // They shared it evenly: none was let in while another was much larger.
    let mut sizes = Vec::new();
    bench.gate.registry.for_each(|session| {
        if session.client_id.starts_with("absent") {
            sizes.push(session.queued_bytes());
        }
    });
    let (least, most) = (sizes.iter().min(), sizes.iter().max());
    assert!(
        most <= least.map(|least| least + 6_000).as_ref(),
        "{sizes:?}"
    );
}

/// The client has everything that was sent to it.
fn finish_all(line: &Line) {
    let session = &line.client.session;
    let ids = session.with_outbound(Waker::noop(), |outbound| {
        let entries = outbound.window().entries();
        entries.map(|entry| entry.packet_id).collect::<Vec<_>>()
    });
    for packet_id in ids {
        session.acknowledged(packet_id);
    }
}

#[tokio::test]
async fn a_message_that_many_sessions_wait_for_counts_once_also_after_a_restart() {
    let bench = bench(|_| ());
    for number in 0..50 {
        let mut line = bench.kept(Version::V5, &format!("absent-{number}"));
        line.subscribes("room/a", Qos::AtLeastOnce);
        line.loses_connection();
    }
    (0..10).for_each(|_| publish_own(&bench, "room/a", vec![b'x'; 20_000], Qos::AtLeastOnce));
    let before = gauges(&bench);
    assert_eq!((before.0, before.1), (10, 500));
    assert!(before.2 < 300_000, "{before:?}");
    let bench = bench.restart(|_| ()).await;
    assert_eq!(gauges(&bench), before);
    assert_eq!(held(&bench), before);
    assert_eq!(bench.gate.stats.dropped_queues_full.get(), 0);
}

#[tokio::test]
async fn a_smaller_budget_after_a_restart_drops_the_newest_of_the_largest_queues_and_counts_it() {
    let bench = bench(|config| config.max_queued_bytes_total = ByteSize(10 * BUDGET_BYTES));
    absent(&bench, 6);
    let fill = [(0, 5), (1, 40), (2, 50), (3, 50), (4, 50), (5, 50)];
    for (number, count) in fill {
        for at in 0..count {
            let payload = format!("{at:<10000}");
            let topic = format!("own/{number}");
            publish_own(&bench, &topic, payload.into(), Qos::AtLeastOnce);
        }
    }
    let (before, ..) = gauges(&bench);
    assert_eq!(before, fill.iter().map(|(_, count)| count).sum::<u64>());
    let mut bench = bench
        .restart(|config| config.max_queued_bytes_total = ByteSize(BUDGET_BYTES))
        .await;
    let (left, _, bytes) = gauges(&bench);
    assert_eq!(bench.gate.stats.dropped_queues_full.get(), before - left);
    assert!(bytes <= BUDGET_BYTES && bytes > BUDGET_BYTES / 2, "{bytes}");
    for again in [false, true] {
        assert_eq!(held(&bench), gauges(&bench));
        bench.gate.registry.for_each(|session| {
            let waiting = session.deliveries();
            let is_small = &*session.client_id == "absent-0";
            assert_eq!(waiting.len() == 5, is_small, "the small one lost nothing");
            for (at, delivery) in waiting.iter().enumerate() {
                let payload = String::from_utf8_lossy(&delivery.message.payload);
                assert_eq!(payload.trim(), at.to_string(), "the oldest are left");
            }
        });
        if !again {
            bench = bench.restart(|_| ()).await;
            let (still, ..) = gauges(&bench);
            assert_eq!(still, left, "the log knows what was dropped");
        }
    }
}

#[tokio::test]
async fn a_shared_subscription_gives_to_a_member_that_the_budget_lets_take_it() {
    let bench = bench(|_| ());
    absent(&bench, 4);
    for round in 0..60 {
        let topic = format!("own/{}", round % 4);
        publish_own(&bench, &topic, vec![b'x'; 30_000], Qos::AtLeastOnce);
    }
    let refused = bench.gate.stats.dropped_queues_full.get();
    assert!(refused > 0);
    let mut away = bench.kept(Version::V5, "away");
    away.subscribes("$share/g/jobs", Qos::AtLeastOnce);
    away.loses_connection();
    publish_own(&bench, "jobs", vec![b'j'; 200_000], Qos::AtLeastOnce);
    let stats = &bench.gate.stats;
    assert_eq!(stats.dropped_no_member.get(), 1, "nobody could");
    let mut here = bench.client(Version::V5);
    here.subscribes("$share/g/jobs", Qos::AtLeastOnce);
    publish_own(&bench, "jobs", vec![b'j'; 200_000], Qos::AtLeastOnce);
    assert_eq!(here.waits().len(), 1);
    assert_eq!(stats.dropped_no_member.get(), 1);
}

#[tokio::test]
async fn a_session_that_is_left_gives_up_what_is_beyond_the_budget() {
    let bench = bench(|_| ());
    for number in 0..60 {
        let id = format!("hoarder-{number}");
        let topic = format!("own/{number}");
        let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce][number % 2];
        let mut line = bench.kept(Version::V5, &id);
        // SUBACK leaves when the log has the subscription.
        if line.subscribes(&topic, qos).is_empty() {
            assert_eq!(line.gets(1).await.len(), 1, "{number}");
        }
        // Each is given a message because it is connected and has none: in flight, or queued for
        // those that do not read.
        publish_own(&bench, &topic, vec![b'x'; 40_000], qos);
        if number % 3 > 0 {
            // At QoS 2 it leaves when the log has it.
            assert_eq!(line.gets(1).await.len(), 1, "{number}");
        }
        line.loses_connection();
        let (_, _, bytes) = gauges(&bench);
        assert!(bytes <= BUDGET_BYTES, "{number}: {bytes}");
        assert_eq!(gauges(&bench), held(&bench));
    }
    let stats = &bench.gate.stats;
    let (left, ..) = gauges(&bench);
    assert_eq!(stats.dropped_queues_full.get(), 60 - left);
    for (id, expected) in [
        ("hoarder-0", "publish own/0"),
        ("hoarder-1", "publish own/1"),
        // What was queued is gone, at both levels, and what was in flight at QoS 1; the exchange at
        // QoS 2 is finished.
        ("hoarder-54", ""),
        ("hoarder-57", ""),
        ("hoarder-58", ""),
        ("hoarder-59", "pubrel 1"),
    ] {
        let mut line = bench.kept(Version::V5, id);
        assert!(line.present);
        let packets = match expected {
            "" => line.waits(),
            _ => line.gets(1).await,
        };
        let begins: Vec<_> = packets
            .iter()
            .filter_map(|packet| packet.split(" x").next())
            .collect();
        assert_eq!(begins.concat(), expected, "{id}");
    }
    // The log was told the same.
    let before = gauges(&bench);
    let bench = bench.restart(|_| ()).await;
    assert_eq!(gauges(&bench), before);
    let mut last = bench.kept(Version::V5, "hoarder-59");
    assert_eq!(last.gets(1).await, ["pubrel 1"]);
    assert_eq!(
        last.answers(encode::pubcomp, 1, ReasonCode::Success),
        nothing()
    );
}

#[tokio::test]
async fn a_client_that_acknowledges_no_retained_message_holds_few_of_them() {
    let bench = bench(|config| config.max_packet_size = ByteSize::mb(1));
    for number in 0..10 {
        bench.gate.retain(&Message {
            payload: vec![b'x'; 300_000].into(),
            retain: true,
            ..message(&format!("state/{number}"))
        });
    }
    let mut console = bench.client(Version::V5);
    console.client.terms.inflight_max = 100;
    let packets = console.subscribes("state/+", Qos::AtLeastOnce);
    assert_eq!(packets.len(), 1 + 4, "SUBACK, and what makes a megabyte");
    let (messages, ..) = gauges(&bench);
    assert_eq!(messages, 4);
    let mut got = 4;
    while got < 10 {
        finish_all(&console);
        let packets = console.waits().len();
        assert!(packets > 0, "after {got}");
        got += packets;
    }
    finish_all(&console);
    assert_eq!(console.waits(), nothing());
    assert_eq!(gauges(&bench), (0, 0, 0));
}
