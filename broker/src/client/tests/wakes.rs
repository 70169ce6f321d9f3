//! Who wakes a connection's task whose acknowledgements wait, and how often.

use journal::Position;
use testkit::PATIENCE;
use testkit::disk::{Call, SimDisk};

use super::*;
use crate::session_log::{self, SessionLog};

/// A bench whose log of kept sessions lies on this disk.
fn bench_on(disk: &SimDisk) -> Bench {
    let mut bench = Bench::new();
    let parts = session_log::Parts {
        max_bytes: 1 << 20,
        telemetry: Arc::clone(&bench.journal) as Arc<dyn Journal>,
        stats: Arc::clone(&bench.gate.stats),
        now: 1,
    };
    let (log, _) = SessionLog::open(parts, &disk.journals()).expect("a log");
    let gate = Arc::get_mut(&mut bench.gate).expect("nobody else has it yet");
    gate.session_log = Some(Arc::new(log));
    bench
}

/// The packets that leave in one turn of the task that `waker` belongs to.
fn turn(line: &mut Line, waker: &Waker) -> Vec<String> {
    let mut out = Vec::new();
    line.client.resume(waker).expect("goes on");
    line.client.send(&mut out, waker).expect("goes on");
    describe(line.version, &out)
}

#[tokio::test]
async fn an_acknowledgement_that_waits_for_the_log_of_sessions_asks_it_once() {
    let disk = SimDisk::default();
    let bench = bench_on(&disk);
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    let mut publisher = bench.client(Version::V5);
    let log = bench.gate.session_log.as_ref().expect("a log");
    let is_saved = || log.is_durable(log.end());
    testkit::wait_until("the log to be idle", PATIENCE, is_saved, |saved| *saved);
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    assert_eq!(publisher.publishes("room/a", 1), nothing());
    disk.wait_for_calls(Call::Sync, syncs + 1);
    let (wakes, waker) = Wakes::new();
    // Deliveries, for one, wake the task again and again.
    for _ in 0..100 {
        assert_eq!(turn(&mut publisher, &waker), nothing());
    }
    assert_eq!(wakes.count(), 0);
    disk.unblock_syncs();
    testkit::wait_until("the log", PATIENCE, || wakes.count(), |count| *count > 0);
    assert_eq!(turn(&mut publisher, &waker), ["puback 1"]);
    // Whatever else it has to wake anybody for, it does before it ends.
    log.close();
    assert_eq!(wakes.count(), 1);
}

#[tokio::test]
async fn a_kept_session_is_told_of_its_subscriptions_when_they_are_on_disk() {
    let disk = SimDisk::default();
    let bench = bench_on(&disk);
    let mut console = bench.kept(Version::V5, "console");
    let log = bench.gate.session_log.as_ref().expect("a log");
    let is_saved = || log.is_durable(log.end());
    testkit::wait_until("the log to be idle", PATIENCE, is_saved, |saved| *saved);
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    assert_eq!(console.subscribes("room/a", Qos::AtLeastOnce), nothing());
    disk.wait_for_calls(Call::Sync, syncs + 1);
    let mut bytes = Vec::new();
    client::unsubscribe(&mut bytes, Version::V5, 4, &["room/b"]);
    client::pingreq(&mut bytes);
    assert_eq!(console.says(&bytes), ["PingResp"], "which promises nothing");
    bench.gate.distribute(message("room/a"));
    let (wakes, waker) = Wakes::new();
    assert_eq!(turn(&mut console, &waker), nothing());
    disk.unblock_syncs();
    testkit::wait_until("the log", PATIENCE, || wakes.count(), |count| *count > 0);
    testkit::wait_until("the log to be idle", PATIENCE, is_saved, |saved| *saved);
    assert_eq!(
        turn(&mut console, &waker),
        ["suback [1]", "unsuback [11]", "publish room/a x qos 1"]
    );
}

#[tokio::test]
async fn who_asks_without_end_is_not_read_while_nothing_can_be_promised() {
    let disk = SimDisk::default();
    let bench = bench_on(&disk);
    let mut console = bench.kept(Version::V5, "console");
    disk.block_syncs();
    let mut bytes = Vec::new();
    let filters: Vec<_> = (0..3_000).map(|number| number.to_string()).collect();
    let filters: Vec<_> = filters.iter().map(String::as_str).collect();
    for packet_id in 1..=10 {
        client::unsubscribe(&mut bytes, Version::V5, packet_id, &filters);
    }
    let mut handled = 0;
    let mut out = Vec::new();
    loop {
        let rest = &bytes[handled..];
        let received = console.client.receive(rest, &mut out, Waker::noop());
        match received.expect("goes on") {
            0 => break,
            more => handled += more,
        }
    }
    assert_eq!(
        handled,
        bytes.len() / 10 * 3,
        "8 KB of answers, and no more"
    );
    disk.unblock_syncs();
    let mut answers = 0;
    while handled < bytes.len() || answers < 10 {
        let received = console
            .client
            .receive(&bytes[handled..], &mut out, Waker::noop());
        handled += received.expect("goes on");
        answers += turn(&mut console, Waker::noop()).len();
        tokio::task::yield_now().await;
    }
    assert_eq!(answers, 10);
}

#[tokio::test]
async fn a_publish_that_comes_again_waits_for_the_record_of_the_first() {
    let bench = Bench::new();
    let mut device = bench.kept(Version::V5, "device");
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 7, "1"),
        nothing()
    );
    device.loses_connection();
    // The waker that was given to the journal with the record is that of a connection which is
    // gone.
    let mut device = bench.kept(Version::V5, "device");
    let (wakes, waker) = Wakes::new();
    let mut bytes = Vec::new();
    let again = encode::Publish {
        qos: Qos::ExactlyOnce,
        dup: true,
        topic: "devices/a/telemetry",
        packet_id: 7,
        payload: b"1",
        ..Default::default()
    };
    encode::publish(&mut bytes, Version::V5, &again);
    let handled = device.client.receive(&bytes, &mut Vec::new(), &waker);
    assert_eq!(handled.expect("accepted"), bytes.len());
    assert_eq!(turn(&mut device, &waker), nothing());
    assert_eq!(bench.journal.awaited(), [Position(1)]);
    assert_eq!(bench.journal.end(), Position(1), "and it has no second one");
    assert_eq!(wakes.count(), 0);
    bench.journal.sync();
    assert_eq!(wakes.count(), 1);
    assert_eq!(turn(&mut device, &waker), ["pubrec 7"]);
    // One that is durable needs nobody to be woken.
    device
        .client
        .receive(&bytes, &mut Vec::new(), &waker)
        .expect("accepted");
    assert_eq!(bench.journal.awaited(), []);
    assert_eq!(turn(&mut device, &waker), ["pubrec 7"]);
}
