//! A gate and clients without sockets, on a journal that is durable when a test says so.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use journal::Journal;

use super::super::{Client, End, Terms};
use crate::broker::Parts;
use crate::clock::SkippedClock;
use crate::fuzzing::{HandDisk, HandJournal, copy_files};
use crate::gate::Gate;
use crate::message::Message;
use crate::presence::Visit;
use crate::session::{Arrival, Will};
use mqtt::client::{self, ServerPacket};
use mqtt::{
    Ack, Frame, Publish, Qos, ReasonCode, RetainHandling, Subscription, Version, encode, frame,
};

/// A gate with clients that have no sockets.
pub(super) struct Bench {
    pub(super) gate: Arc<Gate>,
    clock: Arc<SkippedClock>,
    pub(super) journal: Arc<HandJournal>,
    pub(super) data: tempfile::TempDir,
    /// The disk of the log of kept sessions.
    pub(super) disk: HandDisk,
    config: crate::Config,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut crate::Config)) -> Bench {
        let data = tempfile::tempdir().expect("a folder");
        let mut config = crate::Config {
            receive_maximum: 8,
            max_queued_messages: 100,
            max_queued_bytes: bytesize::ByteSize(100_000),
            max_session_expiry: Duration::from_secs(600),
            max_session_log_size: bytesize::ByteSize(0),
            ..crate::Config::default()
        };
        change(&mut config);
        Bench::assembled(config, data, Arc::default())
    }

    /// Another one in the same folder, after this one has stopped in order; nobody may be
    /// connected.
    pub(super) async fn restart(self, change: impl FnOnce(&mut crate::Config)) -> Bench {
        let Bench {
            gate,
            data,
            mut config,
            ..
        } = self;
        gate.end().await;
        gate.save();
        drop(gate);
        change(&mut config);
        Bench::assembled(config, data, Arc::default())
    }

    /// Another one on the files as they are at this moment, and on what of the journal is durable;
    /// the clients are lost.
    pub(super) async fn crash(self, clients: Vec<Line>) -> Bench {
        let data = tempfile::tempdir().expect("a folder");
        copy_files(self.data.path(), data.path()).expect("a copy");
        let Bench {
            gate,
            journal,
            disk,
            config,
            ..
        } = self;
        drop(clients);
        disk.let_go();
        gate.end().await;
        gate.save();
        drop(gate);
        journal.lose_what_is_not_durable();
        journal.refuse(None);
        Bench::assembled(config, data, journal)
    }

    fn assembled(
        config: crate::Config,
        data: tempfile::TempDir,
        journal: Arc<HandJournal>,
    ) -> Bench {
        let disk = HandDisk::default();
        let settings = config.validate().expect("good settings");
        let parts = Parts {
            settings,
            data: data.path().to_owned(),
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            is_telemetry: Arc::new(|topic: &str| topic.starts_with("devices/")),
            on_untaken: None,
            devices: None,
            system_values: None,
        };
        let clock = Arc::new(SkippedClock::start());
        let gate = Gate::assemble_on(parts, Arc::new(disk.clone()), Arc::clone(&clock) as _);
        Bench {
            gate: gate.expect("a gate"),
            clock,
            journal,
            data,
            disk,
            config,
        }
    }

    /// Lets time pass for sessions and wills.
    pub(super) fn skip(&self, seconds: u32) {
        self.skip_millis(u64::from(seconds) * 1_000);
    }

    pub(super) fn skip_millis(&self, millis: u64) {
        self.clock.skip(Duration::from_millis(millis));
        self.gate.registry.tick(&self.gate);
    }

    pub(super) fn client(&self, version: Version) -> Line {
        self.client_silent_for(version, 0)
    }

    pub(super) fn client_silent_for(&self, version: Version, seconds_max: u32) -> Line {
        let id = self.gate.assigned_id();
        self.arrives(version, &id, &|arrival| {
            arrival.silence_seconds_max = seconds_max;
        })
    }

    /// A client whose session is kept for a minute.
    pub(super) fn kept(&self, version: Version, id: &str) -> Line {
        self.arrives(version, id, &|arrival| arrival.expiry_seconds = 60)
    }

    /// Connects; with a clean start only where `change` says so, and for a session that ends with
    /// its connection.
    pub(super) fn arrives(
        &self,
        version: Version,
        id: &str,
        change: &dyn Fn(&mut Arrival),
    ) -> Line {
        let mut arrival = Arrival {
            order: self.gate.connect_order(),
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
            is_v31: false,
            is_bridge: false,
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

/// Counts how often it is woken.
#[derive(Default)]
pub(super) struct Wakes(AtomicUsize);

impl Wakes {
    pub(super) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client with the words to drive it.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) version: Version,
    /// The session was there before.
    pub(super) present: bool,
}

impl Line {
    /// The packets that leave in answer to these bytes, in short.
    pub(super) fn says(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        let handled = self
            .client
            .receive(bytes, &mut out, Waker::noop())
            .expect("accepted");
        assert_eq!(handled, bytes.len(), "everything is handled");
        self.flush(out)
    }

    pub(super) fn is_refused(&mut self, bytes: &[u8]) -> End {
        self.client
            .receive(bytes, &mut Vec::new(), Waker::noop())
            .expect_err("refused")
    }

    pub(super) fn waits(&mut self) -> Vec<String> {
        self.flush(Vec::new())
    }

    /// What comes by way of other threads.
    pub(super) async fn gets(&mut self, count: usize) -> Vec<String> {
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

    pub(super) fn flush(&mut self, mut out: Vec<u8>) -> Vec<String> {
        self.client.resume(Waker::noop()).expect("goes on");
        let mut packets = Vec::new();
        loop {
            let more = self.client.send(&mut out, Waker::noop());
            out.extend(self.client.payload.take().unwrap_or_default());
            packets.extend(describe(self.version, &out));
            out.clear();
            if !more.expect("goes on") {
                return packets;
            }
        }
    }

    /// Publishes `payload` at QoS 2.
    pub(super) fn publishes_once(
        &mut self,
        topic: &str,
        packet_id: u16,
        payload: &str,
    ) -> Vec<String> {
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
    pub(super) fn publishes_text(
        &mut self,
        topic: &str,
        packet_id: u16,
        payload: &str,
    ) -> Vec<String> {
        let rest = encode::Publish {
            payload: payload.as_bytes(),
            ..Default::default()
        };
        let bytes = publish_with(self.version, topic, packet_id, rest);
        self.says(&bytes)
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub(super) fn answers(
        &mut self,
        encode: Encode,
        packet_id: u16,
        reason: ReasonCode,
    ) -> Vec<String> {
        let mut bytes = Vec::new();
        encode(&mut bytes, self.version, packet_id, reason);
        self.says(&bytes)
    }

    /// Loses the connection without a word.
    pub(super) fn loses_connection(mut self) {
        self.client.finish(&End::Closed, &mut Vec::new());
    }

    /// Says DISCONNECT, with another session expiry if given.
    pub(super) fn says_goodbye(mut self, session_expiry: Option<u32>) {
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

    pub(super) fn publishes(&mut self, topic: &str, packet_id: u16) -> Vec<String> {
        let bytes = publish(self.version, topic, packet_id);
        self.says(&bytes)
    }

    pub(super) fn subscribes(&mut self, filter: &str, qos: Qos) -> Vec<String> {
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

pub(super) type Encode = fn(&mut Vec<u8>, Version, u16, ReasonCode);

pub(super) fn message(topic: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: bytes::Bytes::from_static(b"x"),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: bytes::Bytes::new(),
        expiry_seconds: None,
        publisher: 0,
        received_at: 0,
        origin: Default::default(),
        holders: Default::default(),
    }
}

pub(super) fn will(topic: &str, delay_seconds: u32) -> Will {
    Will {
        message: message(topic),
        delay_seconds,
        content_type: "".into(),
        identity: Arc::default(),
    }
}

pub(super) fn subscription(filter: &str, qos: Qos) -> Subscription<'_> {
    Subscription {
        filter,
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

/// QoS 1, or 0 with a packet id of 0; the payload is `x`.
pub(super) fn publish(version: Version, topic: &str, packet_id: u16) -> Vec<u8> {
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

pub(super) fn publish_with(
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

pub(super) fn describe(version: Version, mut bytes: &[u8]) -> Vec<String> {
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
            ServerPacket::UnsubAck(reasons) => format!("unsuback {:x?}", reasons.codes),
            ServerPacket::Publish(publish) => describe_publish(&publish),
            other => format!("{other:?}"),
        });
        bytes = &bytes[length..];
    }
    packets
}

pub(super) fn describe_ack(name: &str, ack: &Ack<'_>) -> String {
    match ack.reason {
        ReasonCode::Success => format!("{name} {}", ack.packet_id),
        reason => format!("{name} {} {}", ack.packet_id, reason.name()),
    }
}

/// One that is sent again is told with its packet id.
pub(super) fn describe_publish(publish: &Publish<'_>) -> String {
    let retain = if publish.retain { " retained" } else { "" };
    let qos = publish.qos as u8;
    let payload = String::from_utf8_lossy(publish.payload);
    let dup = match publish.packet_id {
        Some(packet_id) if publish.dup => format!(" dup {packet_id}"),
        _ => String::new(),
    };
    format!("publish {} {payload} qos {qos}{retain}{dup}", publish.topic)
}

pub(super) fn nothing() -> Vec<String> {
    Vec::new()
}
