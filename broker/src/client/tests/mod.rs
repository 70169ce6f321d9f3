//! A client driven with bytes, against a journal whose disk is in the test's hand.

mod qos2;
mod resume;
mod wills;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use journal::{
    AppendError, Journal, Poisoned, Position, ReadError, Reader, RecordBatch, State, Status,
};

use super::{Client, End, Parked, Terms};
use crate::auth::Identity;
use crate::broker::Parts;
use crate::gate::Gate;
use crate::lock::lock;
use crate::message::Message;
use crate::packet::client::{self, ServerPacket};
use crate::packet::{
    Ack, Frame, Publish, Qos, ReasonCode, RetainHandling, Subscription, Version, encode, frame,
};
use crate::presence::Visit;
use crate::session::{Arrival, Will};

/// Takes records and calls them durable when told to.
#[derive(Default)]
struct HandJournal {
    end: AtomicU64,
    durable: AtomicU64,
    refuse: Mutex<Option<AppendError>>,
}

impl HandJournal {
    fn sync(&self) {
        self.durable
            .store(self.end.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn refuse(&self, error: Option<AppendError>) {
        *lock(&self.refuse) = error;
    }
}

impl Journal for HandJournal {
    fn identity(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn append(&self, batch: &mut RecordBatch, _waker: &Waker) -> Result<Position, AppendError> {
        if let Some(error) = *lock(&self.refuse) {
            return Err(error);
        }
        let count = u64::from(std::mem::take(batch).len());
        Ok(Position(
            self.end.fetch_add(count, Ordering::Relaxed) + count,
        ))
    }

    fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Relaxed))
    }

    fn end(&self) -> Position {
        Position(self.end.load(Ordering::Relaxed))
    }

    fn start(&self) -> Position {
        Position::ZERO
    }

    fn wake_when_writable(&self, _waker: &Waker) {}

    /// Tests poll.
    fn wake_when_durable(&self, _position: Position, _waker: &Waker) {}

    fn wait_durable(&self, _position: Position, _timeout: Duration) -> Result<bool, Poisoned> {
        unreachable!("the gate never blocks")
    }

    fn release(&self, _up_to: Position) {}

    fn reader(&self, _from: Position) -> Result<Box<dyn Reader>, ReadError> {
        unreachable!("the gate never reads")
    }

    fn status(&self) -> Status {
        Status {
            state: State::Open,
            start: Position::ZERO,
            durable: self.durable(),
            end: self.end(),
            size_bytes: 0,
            size_bytes_max: 0,
        }
    }
}

/// A gate with clients that have no sockets.
struct Bench {
    gate: Arc<Gate>,
    journal: Arc<HandJournal>,
    _data: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut crate::Config)) -> Bench {
        let data = tempfile::tempdir().expect("a folder");
        let journal = Arc::new(HandJournal::default());
        let mut config = crate::Config {
            receive_maximum: 8,
            max_queued_messages: 100,
            max_queued_bytes: bytesize::ByteSize(100_000),
            max_session_expiry: Duration::from_secs(600),
            max_session_log_size: bytesize::ByteSize(0),
            ..crate::Config::default()
        };
        change(&mut config);
        let settings = config.validate().expect("good settings");
        let gate = Gate::assemble(Parts {
            settings,
            data: data.path().to_owned(),
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            is_telemetry: Arc::new(|topic: &str| topic.starts_with("devices/")),
            devices: None,
        });
        Bench {
            gate: gate.expect("a gate"),
            journal,
            _data: data,
        }
    }

    /// Lets time pass for sessions and wills.
    fn skip(&self, seconds: u32) {
        let skipped = &self.gate.skipped_seconds;
        skipped.fetch_add(seconds, Ordering::Relaxed);
        self.gate.registry.tick(&self.gate);
    }

    fn client(&self, version: Version) -> Line {
        self.client_silent_for(version, 0)
    }

    fn client_silent_for(&self, version: Version, seconds_max: u32) -> Line {
        let id = self.gate.assigned_id();
        self.arrives(version, &id, &|arrival| {
            arrival.silence_seconds_max = seconds_max;
        })
    }

    /// A client whose session is kept for a minute.
    fn kept(&self, version: Version, id: &str) -> Line {
        self.arrives(version, id, &|arrival| arrival.expiry_seconds = 60)
    }

    /// Connects; with a clean start only where `change` says so, and for a session that ends with its connection.
    fn arrives(&self, version: Version, id: &str, change: &dyn Fn(&mut Arrival)) -> Line {
        let mut arrival = Arrival {
            identity: Arc::default(),
            clean_start: false,
            expiry_seconds: 0,
            silence_seconds_max: 0,
            visit: Visit::of_a_test(),
            will: None,
        };
        change(&mut arrival);
        let kept = arrival.expiry_seconds > 0;
        let attaching = pin!(self.gate.registry.attach(&self.gate, id, arrival));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(attached)) = attaching.poll(&mut context) else {
            panic!("`{id}` is connected");
        };
        let terms = Terms {
            version,
            identity: Arc::default(),
            max_packet_bytes: None,
            inflight_max: 2,
            kept,
        };
        Line {
            client: Client::new(Arc::clone(&self.gate), attached.session, terms),
            version,
            present: attached.present,
        }
    }
}

/// A client with the words to drive it.
struct Line {
    client: Client,
    version: Version,
    /// The session was there before.
    present: bool,
}

impl Line {
    /// The packets that leave in answer to these bytes, in short.
    fn says(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        let handled = self
            .client
            .receive(bytes, &mut out, Waker::noop())
            .expect("accepted");
        assert_eq!(handled, bytes.len(), "everything is handled");
        self.flush(out)
    }

    fn is_refused(&mut self, bytes: &[u8]) -> End {
        self.client
            .receive(bytes, &mut Vec::new(), Waker::noop())
            .expect_err("refused")
    }

    fn waits(&mut self) -> Vec<String> {
        self.flush(Vec::new())
    }

    /// What comes by way of the router, which has threads of its own.
    async fn gets(&mut self, count: usize) -> Vec<String> {
        let mut packets = Vec::new();
        let all = async {
            while packets.len() < count {
                packets.extend(self.waits());
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(20), all).await;
        packets
    }

    fn flush(&mut self, mut out: Vec<u8>) -> Vec<String> {
        self.client.resume(Waker::noop()).expect("goes on");
        self.client.send(&mut out, Waker::noop()).expect("goes on");
        describe(self.version, &out)
    }

    /// Publishes `payload` at QoS 2.
    fn publishes_once(&mut self, topic: &str, packet_id: u16, payload: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        let publish = encode::Publish {
            qos: Qos::ExactlyOnce,
            topic,
            packet_id,
            payload: payload.as_bytes(),
            ..Default::default()
        };
        encode::publish(&mut bytes, self.version, &publish);
        self.says(&bytes)
    }

    /// Publishes `payload` at QoS 1.
    fn publishes_text(&mut self, topic: &str, packet_id: u16, payload: &str) -> Vec<String> {
        let rest = encode::Publish {
            payload: payload.as_bytes(),
            ..Default::default()
        };
        let bytes = publish_with(self.version, topic, packet_id, rest);
        self.says(&bytes)
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP.
    fn answers(&mut self, encode: Encode, packet_id: u16, reason: ReasonCode) -> Vec<String> {
        let mut bytes = Vec::new();
        encode(&mut bytes, self.version, packet_id, reason);
        self.says(&bytes)
    }

    /// Loses the connection without a word.
    fn loses_connection(mut self) {
        self.client.finish(&End::Closed, &mut Vec::new());
    }

    /// Says DISCONNECT, with another session expiry if given.
    fn says_goodbye(mut self, session_expiry: Option<u32>) {
        let mut bytes = Vec::new();
        client::disconnect(
            &mut bytes,
            self.version,
            ReasonCode::Success,
            session_expiry,
        );
        let end = self.is_refused(&bytes);
        assert!(matches!(end, End::Disconnected { .. }), "{end}");
        self.client.finish(&end, &mut Vec::new());
    }

    fn publishes(&mut self, topic: &str, packet_id: u16) -> Vec<String> {
        let bytes = publish(self.version, topic, packet_id);
        self.says(&bytes)
    }

    fn subscribes(&mut self, filter: &str, qos: Qos) -> Vec<String> {
        let mut bytes = Vec::new();
        client::subscribe(
            &mut bytes,
            self.version,
            9,
            None,
            &[subscription(filter, qos)],
        );
        self.says(&bytes)
    }
}

type Encode = fn(&mut Vec<u8>, Version, u16, ReasonCode);

fn message(topic: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: bytes::Bytes::from_static(b"x"),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: bytes::Bytes::new(),
        expiry_seconds: None,
        publisher: 0,
        received_at: 0,
    }
}

fn will(topic: &str, delay_seconds: u32) -> Will {
    Will {
        message: message(topic),
        delay_seconds,
        content_type: "".into(),
        identity: Some(Arc::default()),
    }
}

fn subscription(filter: &str, qos: Qos) -> Subscription<'_> {
    Subscription {
        filter,
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

/// QoS 1, or 0 with a packet id of 0; the payload is `x`.
fn publish(version: Version, topic: &str, packet_id: u16) -> Vec<u8> {
    publish_with(
        version,
        topic,
        packet_id,
        encode::Publish {
            payload: b"x",
            ..Default::default()
        },
    )
}

fn publish_with(
    version: Version,
    topic: &str,
    packet_id: u16,
    rest: encode::Publish<'_>,
) -> Vec<u8> {
    let qos = if packet_id == 0 {
        Qos::AtMostOnce
    } else {
        Qos::AtLeastOnce
    };
    let mut bytes = Vec::new();
    encode::publish(
        &mut bytes,
        version,
        &encode::Publish {
            topic,
            qos,
            packet_id,
            ..rest
        },
    );
    bytes
}

fn describe(version: Version, mut bytes: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    while let Frame::Complete {
        first_byte,
        body,
        length,
    } = frame(bytes, usize::MAX).expect("well formed")
    {
        let packet = client::decode(version, first_byte, &bytes[body]).expect("well formed");
        packets.push(match packet {
            ServerPacket::PubAck(ack) => describe_ack("puback", &ack),
            ServerPacket::PubRec(ack) => describe_ack("pubrec", &ack),
            ServerPacket::PubRel(ack) => describe_ack("pubrel", &ack),
            ServerPacket::PubComp(ack) => describe_ack("pubcomp", &ack),
            ServerPacket::SubAck(reasons) => format!("suback {:x?}", reasons.codes),
            ServerPacket::Publish(publish) => describe_publish(&publish),
            other => format!("{other:?}"),
        });
        bytes = &bytes[length..];
    }
    packets
}

fn describe_ack(name: &str, ack: &Ack<'_>) -> String {
    match ack.reason {
        ReasonCode::Success => format!("{name} {}", ack.packet_id),
        reason => format!("{name} {} {}", ack.packet_id, reason.name()),
    }
}

/// One that is sent again is told with its packet id.
fn describe_publish(publish: &Publish<'_>) -> String {
    let retain = if publish.retain { " retained" } else { "" };
    let qos = publish.qos as u8;
    let payload = String::from_utf8_lossy(publish.payload);
    let dup = match publish.packet_id {
        Some(packet_id) if publish.dup => format!(" dup {packet_id}"),
        _ => String::new(),
    };
    format!("publish {} {payload} qos {qos}{retain}{dup}", publish.topic)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn telemetry_is_acknowledged_when_it_is_durable_and_not_before() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        assert_eq!(device.publishes("devices/a/telemetry", 1), nothing());
        assert_eq!(device.waits(), nothing());
        bench.journal.sync();
        assert_eq!(device.waits(), ["puback 1"]);
    }
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_their_publishes() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V311);
    let mut bytes = publish(Version::V311, "devices/a/telemetry", 1);
    bytes.extend(publish(Version::V311, "other", 2));
    bytes.extend(publish(Version::V311, "devices/a/telemetry", 3));
    assert_eq!(
        device.says(&bytes),
        nothing(),
        "2 needs no disk, but waits for 1"
    );
    bench.journal.sync();
    assert_eq!(device.waits(), ["puback 1", "puback 2", "puback 3"]);
}

#[tokio::test]
async fn a_full_journal_refuses_mqtt_5_and_holds_3_1_1_back() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    bench.journal.refuse(Some(AppendError::Full));
    assert_eq!(
        new.publishes("devices/a/telemetry", 1),
        ["puback 1 quota exceeded"]
    );
    assert_eq!(old.publishes("devices/a/telemetry", 1), nothing());
    assert!(!old.client.may_receive(), "nothing more is read from it");
    assert!(new.client.may_receive());

    bench.journal.refuse(None);
    assert_eq!(old.waits(), nothing());
    bench.journal.sync();
    assert_eq!(old.waits(), ["puback 1"]);
    assert!(old.client.may_receive());
    let stats = &bench.gate.stats;
    assert_eq!(
        (stats.refused_journal_full.get(), stats.journalled.get()),
        (1, 1)
    );
}

#[tokio::test]
async fn qos_0_telemetry_is_counted_and_dropped_when_the_journal_is_full() {
    let bench = Bench::new();
    bench.journal.refuse(Some(AppendError::Full));
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        assert_eq!(device.publishes("devices/a/telemetry", 0), nothing());
        assert!(device.client.may_receive());
    }
    assert_eq!(bench.gate.stats.dropped_journal_full.get(), 2);
}

#[tokio::test]
async fn a_busy_journal_is_waited_for_by_both_versions() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        bench.journal.refuse(Some(AppendError::Busy));
        assert_eq!(device.publishes("devices/a/telemetry", 1), nothing());
        assert!(!device.client.may_receive());
        bench.journal.refuse(None);
        assert_eq!(device.waits(), nothing());
        bench.journal.sync();
        assert_eq!(device.waits(), ["puback 1"]);
    }
}

#[tokio::test]
async fn a_client_with_too_many_publishes_in_flight_is_not_read_further() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V311);
    let bytes: Vec<u8> = (1..=9)
        .flat_map(|id| publish(Version::V311, "devices/a/telemetry", id))
        .collect();
    let one = bytes.len() / 9;
    let handled = device
        .client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(handled, 8 * one, "`receive_maximum` is 8");
    bench.journal.sync();
    assert_eq!(device.waits().len(), 8);
    assert_eq!(device.says(&bytes[handled..]), nothing());
}

#[tokio::test]
async fn a_batch_is_bounded_though_its_records_are_larger_than_their_packets() {
    let bench = Bench::new();
    let long_id = "x".repeat(60_000);
    let mut device = bench.arrives(Version::V311, &long_id, &|_| {});
    let client = &mut device.client;
    let bytes: Vec<u8> = (0..20)
        .flat_map(|_| publish(Version::V311, "devices/a/telemetry", 0))
        .collect();
    let one = bytes.len() / 20;
    let handled = client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(
        (handled, client.has_more_input),
        (5 * one, true),
        "300 KB of records"
    );
    let handled = client.receive(&bytes[15 * one..], &mut Vec::new(), Waker::noop());
    assert_eq!(
        (handled.expect("accepted"), client.has_more_input),
        (5 * one, true)
    );
    let handled = client.receive(&bytes[19 * one..], &mut Vec::new(), Waker::noop());
    assert_eq!(
        (handled.expect("accepted"), client.has_more_input),
        (one, false)
    );
}

#[tokio::test]
async fn a_denied_publish_is_told_to_mqtt_5_and_ends_3_1_1() {
    let bench = Bench::new();
    let mut new = bench.client(Version::V5);
    assert_eq!(
        new.publishes("alerts/critical/a/hot", 1),
        ["puback 1 not authorized"]
    );
    let mut old = bench.client(Version::V311);
    let end = old.is_refused(&publish(Version::V311, "alerts/critical/a/hot", 1));
    assert!(
        matches!(end, End::Refused(ReasonCode::NotAuthorized)),
        "{end}"
    );
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    assert_eq!(new.subscribes("a/#/b", Qos::AtMostOnce), ["suback [8f]"]);
    assert_eq!(old.subscribes("a/#/b", Qos::AtMostOnce), ["suback [80]"]);
}

#[tokio::test]
async fn a_shared_subscription_is_granted_to_both_versions_if_it_is_one() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    for (filter, valid) in [
        ("$share/g/a", true),
        ("$share/g/#", true),
        ("$share/größe/a/+/b", true),
        ("$share/g//", true),
        ("$share/g/", false),
        ("$share//a", false),
        ("$share/g", false),
        ("$share/", false),
        ("$share/+/a", false),
        ("$share/g#/a", false),
        ("$share/g/a/#/b", false),
    ] {
        let expected = match valid {
            true => ["suback [0]", "suback [0]"],
            false => ["suback [8f]", "suback [80]"],
        };
        let answers = [
            new.subscribes(filter, Qos::AtMostOnce),
            old.subscribes(filter, Qos::AtMostOnce),
        ];
        assert_eq!(answers.concat(), expected, "{filter}");
    }
    let mut bytes = Vec::new();
    let no_local = Subscription {
        no_local: true,
        ..subscription("$share/g/a", Qos::AtMostOnce)
    };
    client::subscribe(&mut bytes, Version::V5, 9, None, &[no_local]);
    // [MQTT-3.8.3-4]
    let end = new.is_refused(&bytes);
    assert!(
        matches!(&end, End::Malformed(error) if error.reason == ReasonCode::ProtocolError),
        "{end}"
    );
}

#[tokio::test]
async fn a_subscriber_gets_the_lower_qos_and_its_own_version() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    new.subscribes("room/a", Qos::AtLeastOnce);
    old.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V5);
    let properties = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let rest = encode::Publish {
        payload: b"x",
        properties: &properties,
        ..Default::default()
    };
    publisher.says(&publish_with(Version::V5, "room/a", 1, rest));
    assert_eq!(new.waits(), ["publish room/a x qos 1"]);
    assert_eq!(old.waits(), ["publish room/a x qos 0"]);
}

#[tokio::test]
async fn deliveries_wait_for_the_in_flight_window() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V311);
    console.subscribes("room/a", Qos::AtLeastOnce);
    let mut publisher = bench.client(Version::V311);
    (1..=3).for_each(|id| drop(publisher.publishes("room/a", id)));
    assert_eq!(console.waits().len(), 2, "`inflight_max` is 2");
    let mut ack = Vec::new();
    encode::puback(&mut ack, Version::V311, 1, ReasonCode::Success);
    assert_eq!(console.says(&ack), ["publish room/a x qos 1"]);
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription_and_go_with_an_empty_payload() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V311);
    let retained = |payload| encode::Publish {
        payload,
        retain: true,
        ..Default::default()
    };
    publisher.says(&publish_with(Version::V311, "room/a", 0, retained(b"on")));
    let mut console = bench.client(Version::V311);
    let expected = ["suback [0]", "publish room/a on qos 0 retained"];
    assert_eq!(console.subscribes("room/+", Qos::AtMostOnce), expected);
    publisher.says(&publish_with(Version::V311, "room/a", 0, retained(b"")));
    let mut late = bench.client(Version::V311);
    assert_eq!(late.subscribes("room/+", Qos::AtMostOnce), ["suback [0]"]);
}

#[tokio::test]
async fn topic_aliases_are_learned_and_unknown_ones_end_the_connection() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V5);
    let with_alias = |topic, alias| {
        let rest = encode::Publish {
            payload: b"x",
            topic_alias: Some(alias),
            ..Default::default()
        };
        publish_with(Version::V5, topic, 0, rest)
    };
    publisher.says(&with_alias("room/a", 3));
    publisher.says(&with_alias("", 3));
    assert_eq!(
        console.waits(),
        ["publish room/a x qos 0", "publish room/a x qos 0"]
    );
    let end = publisher.is_refused(&with_alias("", 4));
    assert!(
        matches!(end, End::Refused(ReasonCode::ProtocolError)),
        "{end}"
    );
    let end = bench
        .client(Version::V5)
        .is_refused(&with_alias("room/a", 33));
    assert!(
        matches!(end, End::Refused(ReasonCode::TopicAliasInvalid)),
        "{end}"
    );
}

#[tokio::test]
async fn a_slow_consumer_costs_no_more_than_its_queue() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V311);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V311);
    (0..150).for_each(|_| drop(publisher.publishes("room/a", 0)));
    assert_eq!(bench.gate.stats.dropped_slow_consumer.get(), 50);
    assert_eq!(console.waits().len(), 100);
}

#[tokio::test]
async fn a_newcomer_takes_the_client_id_over() {
    let bench = Bench::new();
    let mut first = bench.client(Version::V5);
    let id = first.client.session.client_id.clone();
    let gate = Arc::clone(&bench.gate);
    let arrival = Arrival {
        identity: Arc::default(),
        clean_start: true,
        expiry_seconds: 0,
        silence_seconds_max: 0,
        visit: Visit::of_a_test(),
        will: None,
    };
    let mut attaching = pin!(gate.registry.attach(&gate, &id, arrival));
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        attaching.as_mut().poll(&mut context).is_pending(),
        "waits for the other"
    );
    let end = first.client.resume(Waker::noop()).expect_err("ends");
    assert!(
        matches!(end, End::Refused(ReasonCode::SessionTakenOver)),
        "{end}"
    );
    let mut farewell = Vec::new();
    first.client.finish(&end, &mut farewell);
    assert_eq!(farewell, [0xE0, 1, 0x8E]);
    drop(first);
    let Poll::Ready(Ok(newcomer)) = attaching.as_mut().poll(&mut context) else {
        panic!("the other has let go");
    };
    assert!(!newcomer.present, "it has a session of its own");
    let newcomer = newcomer.session;
    bench
        .gate
        .registry
        .close_all(ReasonCode::ServerShuttingDown);
    let closed = newcomer.with_outbound(Waker::noop(), |outbound, _| outbound.close_requested());
    assert_eq!(
        closed,
        Some(ReasonCode::ServerShuttingDown),
        "the newcomer is still registered"
    );
}

#[tokio::test]
async fn nothing_stays_of_a_client_that_is_gone() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/+", Qos::AtMostOnce);
    console.subscribes("room/a", Qos::AtMostOnce);
    assert!(!bench.gate.subscriptions.targets("room/a").is_empty());
    assert_eq!(bench.gate.stats.subscriptions.get(), 2);
    drop(console);
    assert!(bench.gate.subscriptions.targets("room/a").is_empty());
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}

#[tokio::test]
async fn a_message_that_waits_for_the_router_outlives_its_client() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/+", Qos::AtLeastOnce);
    let mut publisher = bench.client(Version::V5);
    publisher.client.parked = Some(Box::new(Parked {
        batch: None,
        messages: [Arc::new(message("room/a"))].into(),
    }));
    drop(publisher);
    assert_eq!(console.gets(1).await, ["publish room/a x qos 1"]);
}

#[tokio::test]
async fn only_a_normal_disconnection_takes_the_will_back() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("status/a", Qos::AtMostOnce);
    let endings = [
        (ReasonCode::Success, 0),
        (ReasonCode::DisconnectWithWill, 1),
        (ReasonCode::UnspecifiedError, 1),
    ];
    for (reason, wills) in endings {
        let mut device = bench.arrives(Version::V5, "device", &|arrival| {
            arrival.will = Some(Box::new(will("status/a", 0)));
        });
        let mut bytes = Vec::new();
        client::disconnect(&mut bytes, Version::V5, reason, None);
        let end = device.is_refused(&bytes);
        device.client.finish(&end, &mut Vec::new());
        drop(device);
        assert_eq!(console.waits().len(), wills, "{}", reason.name());
    }
}

#[tokio::test]
async fn a_client_that_died_while_it_was_held_back_is_overdue_later() {
    let bench = Bench::new();
    let mut device = bench.client_silent_for(Version::V311, 5);
    for id in 1..=8 {
        device.publishes("devices/a/telemetry", id);
    }
    let later = bench.gate.seconds() + 1_000;
    assert!(
        !device.client.session.is_overdue(later),
        "not read, so its silence proves nothing"
    );
    bench.journal.sync();
    assert_eq!(device.waits().len(), 8);
    assert!(device.client.session.is_overdue(later));
    bench.journal.refuse(Some(AppendError::Full));
    device.publishes("devices/a/telemetry", 1);
    assert!(!device.client.session.is_overdue(later));
    bench.journal.refuse(None);
    device.waits();
    assert!(device.client.session.is_overdue(later));
}

#[tokio::test]
async fn filters_are_bounded_in_depth_and_number() {
    let bench = Bench::new();
    let deep = "+/".repeat(30_000);
    for version in [Version::V311, Version::V5] {
        let mut console = bench.client(version);
        let refused = match version {
            Version::V311 => "suback [80]",
            Version::V5 => "suback [8f]",
        };
        assert_eq!(console.subscribes(&deep, Qos::AtMostOnce), [refused]);
        let filters: Vec<String> = (0..1_001).map(|number| format!("f/{number}/+")).collect();
        let all: Vec<_> = filters
            .iter()
            .map(|filter| subscription(filter, Qos::AtMostOnce))
            .collect();
        let mut bytes = Vec::new();
        client::subscribe(&mut bytes, version, 9, None, &all);
        let answer = console.says(&bytes);
        let last = match version {
            Version::V311 => ", 0, 80]",
            Version::V5 => ", 0, 97]",
        };
        assert!(answer[0].ends_with(last), "{answer:?}");
        assert_eq!(bench.gate.stats.subscriptions.get(), 1_000);
    }
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}

#[tokio::test]
async fn an_unknown_filter_is_unsubscribed_without_harm() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut bytes = Vec::new();
    client::unsubscribe(&mut bytes, Version::V5, 4, &["room/b", "room/a", "room/a"]);
    let mut out = Vec::new();
    console
        .client
        .receive(&bytes, &mut out, Waker::noop())
        .expect("accepted");
    // No properties; "no subscription existed", "success", and again the first.
    assert_eq!(out, [0xB0, 6, 0, 4, 0, 0x11, 0, 0x11]);
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}
