//! A second, simpler notion of a session, and the two logs on disks of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Waker;

use bytes::Bytes;
use journal::{Journal, LocalJournal, Position, Record, RecordBatch};
use testkit::PATIENCE;
use testkit::disk::SimDisk;

use crate::delivery::{Delivery, Options};
use crate::exchange::Origin;
use crate::message::Message;
use crate::session::{InFlight, IncomingQos2, Queue, Stage, State, Waiting, Will, Window};
use crate::session_log::log::{Parts, Source};
use crate::session_log::{Event, SessionLog};
use crate::stats::Stats;
use crate::subscriptions::Group;
use access::{Identity, Voucher};
use mqtt::Qos;

/// Messages are numbers; everything in a message follows from its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) identity: Arc<Identity>,
    pub(super) expiry_seconds: u32,
    pub(super) disconnected_at: Option<i64>,
    pub(super) subscriptions: BTreeMap<String, u32>,
    pub(super) snapshots: BTreeSet<String>,
    /// Without positions.
    pub(super) held: BTreeMap<u16, IncomingQos2>,
    pub(super) inflight: Vec<(u16, Option<u64>)>,
    pub(super) queue: Vec<u64>,
    pub(super) will: Option<(u64, u32)>,
    pub(super) last_packet_id: u16,
}

/// The number of a message that came by an exchange of that session.
pub(super) fn copied(publisher: u64, ordinal: u64) -> u64 {
    COPIED | publisher << PUBLISHER_SHIFT | ordinal
}

/// Publisher and ordinal of a message that came by an exchange.
pub(super) fn exchange_of(number: u64) -> Option<(u64, u64)> {
    let publisher = (number & !COPIED) >> PUBLISHER_SHIFT;
    (number & COPIED != 0).then_some((publisher, number & ORDINAL_MASK))
}

const COPIED: u64 = 1 << 40;
const PUBLISHER_SHIFT: u64 = 20;
const ORDINAL_MASK: u64 = (1 << PUBLISHER_SHIFT) - 1;

pub(super) fn message(number: u64) -> Message {
    let (publisher, ordinal) = exchange_of(number).unwrap_or((number, 0));
    Message {
        topic: format!("topic/{number}").into(),
        payload: Bytes::from(number.to_string()),
        qos: Qos::ExactlyOnce,
        retain: number.is_multiple_of(3),
        properties: Bytes::from(vec![1; (number % 5) as usize]),
        expiry_seconds: number.is_multiple_of(2).then_some(number as u32),
        publisher,
        received_at: number as i64,
        origin: Origin::read(ordinal),
        holders: Default::default(),
    }
}

pub(super) fn delivery(number: u64) -> Delivery {
    Delivery {
        message: Arc::new(message(number)),
        qos: match number % 2 {
            0 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        },
        retain: number.is_multiple_of(7),
        identifier: NonZeroU32::new((number % 4) as u32),
        snapshot: number.is_multiple_of(5),
        share: number
            .is_multiple_of(6)
            .then(|| Arc::new(Group::new("g", "topic/+"))),
    }
}

/// The identity of clients that do not matter.
pub(super) static NOBODY: LazyLock<Arc<Identity>> = LazyLock::new(Arc::default);

pub(super) fn content_type(number: u64) -> &'static str {
    ["", "application/json"][(number % 2) as usize]
}

pub(super) fn identity(number: u64) -> Arc<Identity> {
    let groups = (0..number % 3).map(|group| format!("group {group}").into());
    Arc::new(Identity {
        user: format!("user {number}").into(),
        vouched_by: match number % 5 {
            0 => Voucher::Forgotten,
            1 => Voucher::Nobody,
            2 => Voucher::Users,
            3 => Voucher::Devices,
            _ => Voucher::Token,
        },
        ..match number % 5 {
            0 => Identity::default(),
            _ => Identity {
                groups: groups.collect(),
                certificate: number.is_multiple_of(2).then(|| "name".into()),
                variables: [("site".into(), number.to_string().into())].into(),
                ..Identity::default()
            },
        }
    })
}

pub(super) fn options(number: u32) -> Options {
    Options {
        qos: Qos::from_u8((number % 3) as u8).expect("0 to 2"),
        no_local: number & 4 != 0,
        retain_as_published: number & 8 != 0,
        identifier: NonZeroU32::new(number),
    }
}

/// The number of a message, when all of it is as it should be.
fn number_of(read: &Message) -> u64 {
    let number = std::str::from_utf8(&read.payload).unwrap().parse().unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", message(number)));
    number
}

fn delivery_number(read: &Delivery) -> u64 {
    let number = number_of(&read.message);
    let expected = delivery(number);
    let group = |delivery: &Delivery| {
        let group = delivery.share.as_ref();
        group.map(|group| group.subscription().to_owned())
    };
    assert_eq!(group(read), group(&expected));
    assert_eq!(
        (read.qos, read.retain, read.identifier, read.snapshot),
        (
            expected.qos,
            expected.retain,
            expected.identifier,
            expected.snapshot
        )
    );
    number
}

fn will_of(read: &Will) -> (u64, u32) {
    let number = number_of(&read.message);
    assert_eq!(&*read.content_type, content_type(number));
    (number, read.delay_seconds)
}

pub(super) fn without_position(hold: IncomingQos2) -> IncomingQos2 {
    match hold {
        IncomingQos2::Whole(_) => IncomingQos2::Whole(None),
        half => half,
    }
}

impl Model {
    pub(super) fn of(session: &State) -> Model {
        let option_number = |filter: &str, read: &Options| {
            let number = read.identifier.map_or(0, NonZeroU32::get);
            assert_eq!(*read, options(number));
            (filter.to_string(), number)
        };
        let inflight = |entry: &InFlight| match &entry.stage {
            Stage::Published(delivery) => (entry.packet_id, Some(delivery_number(delivery))),
            Stage::Released => (entry.packet_id, None),
        };
        Model {
            identity: Arc::clone(&session.identity),
            expiry_seconds: session.expiry_seconds,
            disconnected_at: session.disconnected_at,
            subscriptions: session
                .subscriptions
                .iter()
                .map(|(filter, read)| option_number(filter, read))
                .collect(),
            snapshots: session.snapshots.iter().map(|f| f.to_string()).collect(),
            held: session
                .incoming
                .iter()
                .map(|(id, hold)| (*id, without_position(*hold)))
                .collect(),
            inflight: session.window.entries().map(inflight).collect(),
            queue: session.queue.deliveries().map(delivery_number).collect(),
            will: session.will.as_deref().map(will_of),
            last_packet_id: session.window.last_packet_id(),
        }
    }

    /// As `Source` shows it; the held ids are given apart, since the model knows no positions.
    pub(super) fn saved(
        &self,
        client_id: &str,
        held: impl IntoIterator<Item = (u16, IncomingQos2)>,
        held_through: Position,
    ) -> State {
        let mut window = Window::default();
        for (packet_id, number) in &self.inflight {
            window.take_back(InFlight {
                packet_id: *packet_id,
                sent_before: true,
                saved: Position::ZERO,
                stage: match number {
                    Some(number) => Stage::Published(delivery(*number)),
                    None => Stage::Released,
                },
            });
        }
        window.set_last_packet_id(self.last_packet_id);
        let mut queue = Queue::default();
        for number in &self.queue {
            queue.push(Waiting::Message(delivery(*number)));
        }
        State {
            client_id: client_id.into(),
            number: 0,
            completed_through: 0,
            identity: Arc::clone(&self.identity),
            expiry_seconds: self.expiry_seconds,
            disconnected_at: self.disconnected_at,
            subscriptions: self
                .subscriptions
                .iter()
                .map(|(filter, number)| (filter.as_str().into(), options(*number)))
                .collect(),
            snapshots: self.snapshots.iter().map(|f| f.as_str().into()).collect(),
            incoming: held.into_iter().collect(),
            held_through,
            window,
            queue,
            will: self.will.map(|(number, delay_seconds)| {
                Box::new(Will {
                    message: message(number),
                    delay_seconds,
                    content_type: content_type(number).into(),
                    identity: Arc::clone(&self.identity),
                })
            }),
        }
    }
}

/// A telemetry journal and a session log, each on a disk of its own.
pub(super) struct Logs {
    pub(super) telemetry_disk: SimDisk,
    pub(super) disk: SimDisk,
    pub(super) telemetry: Arc<LocalJournal>,
    pub(super) log: SessionLog,
    pub(super) stats: Arc<Stats>,
}

/// When a start happens, in tests.
pub(super) const NOW: i64 = 1_000;

impl Logs {
    pub(super) fn open(telemetry_disk: SimDisk, disk: SimDisk) -> (Logs, Vec<State>) {
        // Small segments: several of them, and little memory promised in vain.
        Logs::open_sized(telemetry_disk, disk, 1 << 20)
    }

    pub(super) fn open_sized(
        telemetry_disk: SimDisk,
        disk: SimDisk,
        max_bytes: u64,
    ) -> (Logs, Vec<State>) {
        let settings = journal::Settings {
            segment_size_bytes: 4 << 10,
            ..journal::Settings::default()
        };
        let (telemetry, _) =
            LocalJournal::open(Path::new("telemetry"), settings, telemetry_disk.shared()).unwrap();
        let telemetry = Arc::new(telemetry);
        let stats = Arc::new(Stats::default());
        let parts = Parts {
            max_bytes,
            telemetry: Arc::clone(&telemetry) as _,
            stats: Arc::clone(&stats),
            now: NOW,
        };
        let (log, sessions) = SessionLog::open(parts, &disk.journals()).unwrap();
        let logs = Logs {
            telemetry_disk,
            disk,
            telemetry,
            log,
            stats,
        };
        (logs, sessions)
    }

    /// Opened again on what is left; nothing of the old is written any more that counts.
    pub(super) fn reopen(telemetry_disk: SimDisk, disk: SimDisk) -> (Logs, Vec<State>) {
        Logs::open(telemetry_disk, disk)
    }

    pub(super) fn write(&self, client_id: &str, events: &[Event<'_>]) -> Position {
        let mut batch = self.log.batch(client_id);
        events.iter().for_each(|event| batch.push(event));
        self.log.write(batch, Waker::noop())
    }

    /// A telemetry record; its position.
    pub(super) fn publish(&self, client_id: &str, packet_id: Option<u16>) -> Position {
        let mut batch = RecordBatch::new();
        batch.push(&Record {
            received_at: 1,
            qos: 2,
            packet_id,
            content_type: "",
            client_id,
            user: "",
            topic: "devices/d/telemetry",
            payload: b"1",
        });
        let end = self.telemetry.append(&mut batch, Waker::noop()).unwrap();
        Position(end.0 - 1)
    }

    pub(super) fn settle(&self) {
        let end = self.log.journal().end();
        assert_eq!(self.log.journal().wait_durable(end, PATIENCE), Ok(true));
        self.settle_telemetry();
    }

    pub(super) fn settle_telemetry(&self) {
        let end = self.telemetry.end();
        assert_eq!(self.telemetry.wait_durable(end, PATIENCE), Ok(true));
    }
}

/// Sessions in memory, and something that happens whenever one is shown.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) by_client: Mutex<BTreeMap<String, State>>,
    pub(super) on_show: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl Source for Sessions {
    fn client_ids(&self) -> Vec<Box<str>> {
        let by_client = self.by_client.lock().unwrap();
        by_client.keys().map(|id| id.as_str().into()).collect()
    }

    fn with_state(&self, client_id: &str, show: &mut dyn FnMut(&State)) {
        if let Some(happens) = &mut *self.on_show.lock().unwrap() {
            happens();
        }
        if let Some(session) = self.by_client.lock().unwrap().get(client_id) {
            show(session);
        }
    }
}
