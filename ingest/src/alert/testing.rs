//! What the lane's tests put in place of the journal, the gate, the pipeline and the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::time::Duration;

use journal::{
    AppendError, Chunk, Interrupter, Journal, Poisoned, Position, ReadError, Reader, Record,
    RecordBatch, State, Status,
};
use telemetry::{Micros, Value};
use uuid::Uuid;

use super::Event;
use super::engine::Sample;
use super::lane::Clock;
use super::outlet::{Outlet, OutletMessage};
use super::source::Source;
use super::topic::ACTIVE_PREFIX;

pub(crate) const SECOND: Micros = 1_000_000;

/// A journal in memory, one record a chunk.
#[derive(Clone)]
pub(crate) struct FakeJournal {
    log: Arc<(Mutex<Log>, Condvar)>,
}

struct Log {
    start: u64,
    chunks: Vec<Chunk>,
    state: State,
}

impl FakeJournal {
    pub(crate) fn new() -> FakeJournal {
        FakeJournal::starting_at(0)
    }

    pub(crate) fn starting_at(start: u64) -> FakeJournal {
        let log = Log {
            start,
            chunks: Vec::new(),
            state: State::Open,
        };
        FakeJournal {
            log: Arc::new((Mutex::new(log), Condvar::new())),
        }
    }

    /// Appends `metric=value` or `metric=value@time` samples, separated by spaces.
    pub(crate) fn push(&self, received_at: Micros, device: &str, payload: &str) -> Position {
        let bytes = encode(&Record {
            received_at,
            qos: 1,
            packet_id: None,
            content_type: "",
            client_id: device,
            user: "",
            topic: &format!("devices/{device}/telemetry"),
            payload: payload.as_bytes(),
        });
        let mut log = self.log.0.lock().unwrap();
        let first = Position(log.start + log.chunks.len() as u64);
        log.chunks.push(Chunk::new(first, 1, bytes.into()));
        self.log.1.notify_all();
        first.plus(1)
    }

    /// A crash that takes the records from here on along.
    pub(crate) fn truncate(&self, end: Position) {
        let mut log = self.log.0.lock().unwrap();
        let kept = (end.0 - log.start) as usize;
        log.chunks.truncate(kept);
    }

    pub(crate) fn set_state(&self, state: State) {
        self.log.0.lock().unwrap().state = state;
    }
}

/// A record as it lies in the journal (see `journal::Record`): the batch that encodes them does not
/// show its bytes.
fn encode(record: &Record<'_>) -> Vec<u8> {
    let texts = [
        record.content_type,
        record.client_id,
        record.user,
        record.topic,
    ];
    let mut body = Vec::new();
    body.extend_from_slice(&record.received_at.to_le_bytes());
    body.extend_from_slice(&[record.qos, texts[0].len() as u8]);
    for text in &texts[1..] {
        body.extend_from_slice(&(text.len() as u16).to_le_bytes());
    }
    for text in texts {
        body.extend_from_slice(text.as_bytes());
    }
    body.extend_from_slice(record.payload);
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

impl Journal for FakeJournal {
    fn identity(&self) -> Uuid {
        Uuid::nil()
    }

    /// Tests push.
    fn append(&self, _batch: &mut RecordBatch, _waker: &Waker) -> Result<Position, AppendError> {
        Err(AppendError::Full)
    }

    fn durable(&self) -> Position {
        self.end()
    }

    fn end(&self) -> Position {
        let log = self.log.0.lock().unwrap();
        Position(log.start + log.chunks.len() as u64)
    }

    fn start(&self) -> Position {
        Position(self.log.0.lock().unwrap().start)
    }

    fn wake_when_writable(&self, _waker: &Waker) {}

    fn wake_when_durable(&self, _position: Position, waker: &Waker) {
        waker.wake_by_ref();
    }

    fn wait_durable(&self, _position: Position, _timeout: Duration) -> Result<bool, Poisoned> {
        Ok(true)
    }

    fn release(&self, _up_to: Position) {}

    fn reader(&self, from: Position) -> Result<Box<dyn Reader>, ReadError> {
        Ok(Box::new(FakeReader {
            journal: self.clone(),
            next: from,
        }))
    }

    fn status(&self) -> Status {
        let (start, end) = (self.start(), self.end());
        Status {
            state: self.log.0.lock().unwrap().state,
            start,
            durable: end,
            end,
            size_bytes: 0,
            size_bytes_max: u64::MAX,
            limit_reached: 0,
        }
    }

    fn close(&self) {}
}

struct FakeReader {
    journal: FakeJournal,
    next: Position,
}

impl Reader for FakeReader {
    fn position(&self) -> Position {
        self.next
    }

    fn read(
        &mut self,
        chunks: &mut Vec<Chunk>,
        _max_bytes: usize,
        timeout: Duration,
    ) -> Result<usize, ReadError> {
        let (mutex, appended) = &*self.journal.log;
        let mut log = mutex.lock().unwrap();
        let from = |log: &Log| (self.next.0 - log.start) as usize;
        if from(&log) >= log.chunks.len() && !timeout.is_zero() {
            log = appended.wait_timeout(log, timeout).unwrap().0;
        }
        let new = log.chunks.get(from(&log)..).unwrap_or_default();
        chunks.extend_from_slice(new);
        self.next = self.next.plus(new.len() as u64);
        Ok(new.len())
    }

    fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::new(|| {}))
    }
}

/// Time stands still until it is set.
#[derive(Clone, Default)]
pub(crate) struct FakeClock {
    /// Microseconds that have passed since 1970, and how far the wall clock is set off.
    passed: Arc<AtomicI64>,
    set_off: Arc<AtomicI64>,
}

impl FakeClock {
    pub(crate) fn at(seconds: i64) -> FakeClock {
        let clock = FakeClock::default();
        clock.set(seconds);
        clock
    }

    /// Lets time pass until the wall clock shows this.
    pub(crate) fn set(&self, seconds: i64) {
        let set_off = self.set_off.load(Ordering::SeqCst);
        self.passed
            .store(seconds * SECOND - set_off, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock, by so many seconds.
    pub(crate) fn step(&self, seconds: i64) {
        self.set_off.fetch_add(seconds * SECOND, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Micros {
        self.monotonic() + self.set_off.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Micros {
        self.passed.load(Ordering::SeqCst)
    }
}

/// A broker that keeps everything.
#[derive(Clone, Default)]
pub(crate) struct FakeOutlet(Arc<(Mutex<Broker>, Condvar)>);

#[derive(Default)]
struct Broker {
    events: Vec<(String, Event)>,
    retained: BTreeMap<String, Vec<u8>>,
    retained_publishes: usize,
}

impl FakeOutlet {
    /// Everything published and not retained, with its topic.
    pub(crate) fn events(&self) -> Vec<(String, Event)> {
        self.0.0.lock().unwrap().events.clone()
    }

    /// As `0:30 hot boiler-1 firing`, time in seconds of the event's change.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.events().iter().map(|(_, event)| line(event)).collect()
    }

    /// The retained topics below `alerts/active/` with the metric each shows.
    pub(crate) fn active(&self) -> Vec<String> {
        let broker = self.0.0.lock().unwrap();
        let retained = broker.retained.iter();
        retained
            .map(|(topic, payload)| {
                let shown = match serde_json::from_slice::<Event>(payload) {
                    Ok(event) => event.metric,
                    Err(_) => "?".to_owned(),
                };
                format!("{} {shown}", topic.strip_prefix(ACTIVE_PREFIX).unwrap())
            })
            .collect()
    }

    pub(crate) fn retain(&self, topic: &str, payload: &str) {
        let mut broker = self.0.0.lock().unwrap();
        broker.retained.insert(topic.into(), payload.into());
    }

    pub(crate) fn forget_retained(&self) {
        self.0.0.lock().unwrap().retained.clear();
    }

    pub(crate) fn retained_publishes(&self) -> usize {
        self.0.0.lock().unwrap().retained_publishes
    }

    /// Blocks until so many events were published.
    #[track_caller]
    pub(crate) fn wait_for_events(&self, count: usize) {
        let broker = self.0.0.lock().unwrap();
        let patience = Duration::from_secs(20);
        let missing = |broker: &mut Broker| broker.events.len() < count;
        let waited = self.0.1.wait_timeout_while(broker, patience, missing);
        assert!(!waited.unwrap().1.timed_out(), "{:?}", self.lines());
    }
}

pub(crate) fn line(event: &Event) -> String {
    let second = event.updated_at as f64 / SECOND as f64;
    let (rule, device, metric) = (&event.rule, &event.device, &event.metric);
    let metric = match metric.as_str() {
        "" => String::new(),
        metric => format!(" {metric}"),
    };
    format!("{second} {rule} {device}{metric} {}", event.state.as_str())
}

impl Outlet for FakeOutlet {
    fn publish(&mut self, message: OutletMessage<'_>) {
        assert_eq!(message.qos, 1);
        let mut broker = self.0.0.lock().unwrap();
        if message.retain {
            assert!(
                message.topic.starts_with(ACTIVE_PREFIX),
                "{}",
                message.topic
            );
            broker.retained_publishes += 1;
            match message.payload {
                [] => broker.retained.remove(message.topic),
                payload => broker.retained.insert(message.topic.into(), payload.into()),
            };
        } else {
            let event = serde_json::from_slice(message.payload).unwrap();
            broker.events.push((message.topic.to_owned(), event));
            self.0.1.notify_all();
        }
    }

    fn retained(&self, filter_prefix: &str) -> Vec<(String, Vec<u8>)> {
        let broker = self.0.0.lock().unwrap();
        let below = broker.retained.iter();
        below
            .filter(|(topic, _)| topic.starts_with(filter_prefix))
            .map(|(topic, payload)| (topic.clone(), payload.clone()))
            .collect()
    }
}

/// Reads the payloads of `FakeJournal::push`. A device `name` has the label `kind` with what stands
/// before the first `-`.
#[derive(Default)]
pub(crate) struct FakeSource {
    series: HashMap<(String, String), u32>,
}

impl FakeSource {
    pub(crate) fn series(&mut self, device: &str, metric: &str) -> u32 {
        let next = self.series.len() as u32;
        let key = (device.to_owned(), metric.to_owned());
        *self.series.entry(key).or_insert(next)
    }
}

pub(crate) fn labels(device: &str) -> String {
    let kind = device.split('-').next().unwrap();
    format!("{{\"kind\":\"{kind}\"}}")
}

fn device_of<'r>(record: &Record<'r>) -> Option<&'r str> {
    let device = record.topic.strip_prefix("devices/")?;
    device.strip_suffix("/telemetry")
}

impl Source for FakeSource {
    fn device<'r>(&'r self, record: &Record<'r>, _name: &'r mut String) -> Option<&'r str> {
        device_of(record)
    }

    fn device_labels(&self, record: &Record<'_>) -> String {
        labels(device_of(record).unwrap())
    }

    fn samples(
        &mut self,
        _position: Position,
        record: &Record<'_>,
        each: &mut dyn FnMut(&Sample<'_>),
    ) {
        let device = device_of(record).unwrap();
        let payload = std::str::from_utf8(record.payload).unwrap();
        for sample in payload.split_whitespace() {
            let (metric, value) = sample.split_once('=').unwrap();
            let (value, time) = match value.split_once('@') {
                Some((value, time)) => (value, Some(time.parse::<i64>().unwrap() * SECOND)),
                None => (value, None),
            };
            let value = match value.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => Value::Text(value),
            };
            each(&Sample {
                series: self.series(device, metric),
                device,
                metric,
                unit: "°C",
                labels: &labels(device),
                time: time.unwrap_or(record.received_at),
                has_device_time: time.is_some(),
                value,
            });
        }
    }
}
