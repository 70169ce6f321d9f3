//! A gate, its clients' connections, and the hand that moves them.
//!
//! Owns: the connections' tasks, polled here and nowhere else, so that a connection which has
//! something to do and was not woken is noticed. Never: judges; it tells the oracle. Invariant:
//! between two steps nobody has anything to do.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use journal::{AppendError, Poisoned};

use super::hold::Holds;
use super::oracle::{Due, Oracle};
use super::props::{Folder, PATIENCE, Woken, wait_until};
use super::restart::{assemble, write_rules};
use super::script::{self, Disk, Step};
use super::wire::{Heard, Leave, Wire};
use super::{LINES, Limits, words};
use crate::clock::{Clock, SkippedClock};
use crate::fuzzing::HandJournal;
use crate::gate::Gate;
use crate::listener::Place;
use crate::message::Message;
use crate::upkeep::enforce;
use crate::{connection, system};
use access::Peer;
use access::Policy;
use mqtt::{Qos, ReasonCode, encode};

/// Rounds after which connections that still wake each other are said never to rest. The largest
/// packet read byte by byte takes an eighth of its bytes.
const ROUNDS_MAX: usize = 10_000;

/// Steps for which threads are held at most.
const HOLD_STEPS_MAX: u32 = 8;

pub(super) struct Stage {
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Arc<SkippedClock>,
    pub(super) journal: Arc<HandJournal>,
    pub(super) oracle: Oracle,
    lines: [Option<Connection>; LINES],
    pub(super) setting: script::Stage,
    pub(super) config: crate::Config,
    /// Millrace ends in the midst of the next step.
    crashes_next: bool,
    pub(super) holds: Holds,
    /// Payloads and packet ids of subscribes come from here.
    count: u16,
    pub(super) folder: Folder,
}

struct Connection {
    wire: Wire,
    task: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

impl Stage {
    /// Must be called inside a runtime.
    pub(super) fn set(setting: script::Stage) -> Stage {
        let folder = Folder::create();
        let journal = Arc::new(HandJournal::default());
        let limits = Limits {
            session_expiry_seconds: 600,
            topic_alias_max: 3,
            subscriptions: 6,
            retained_messages: if setting.is_tight { 2 } else { 100 },
        };
        let config = crate::Config {
            allow_anonymous: true,
            max_packet_size: bytesize::ByteSize(30_000),
            max_payload_size: bytesize::ByteSize(if setting.is_tight { 400 } else { 25_000 }),
            max_topic_levels: 8,
            max_topic_length: 100,
            receive_maximum: 4,
            topic_alias_maximum: limits.topic_alias_max,
            max_inflight: 3,
            max_queued_messages: if setting.is_tight { 4 } else { 1_000 },
            max_queued_bytes: bytesize::ByteSize(if setting.is_tight { 2_000 } else { 1 << 30 }),
            max_subscriptions: limits.subscriptions,
            max_sessions: if setting.is_tight { 1 } else { 100 },
            max_session_expiry: Duration::from_secs(limits.session_expiry_seconds.into()),
            max_retained_messages: limits.retained_messages,
            max_session_log_size: bytesize::ByteSize(if setting.is_logged { 4 << 20 } else { 0 }),
            // So that more happens; that others are refused has a test of its own.
            auth: access::login::Config {
                exclusive_client_ids: false,
                ..Default::default()
            },
            ..crate::Config::default()
        };
        write_rules(&folder, 0);
        let holds = Holds::default();
        let clock = Arc::new(SkippedClock::start());
        let gate = assemble(&config, &folder, &journal, &holds.disk, &clock);
        Stage {
            oracle: Oracle::new(Arc::clone(&gate), Arc::clone(&journal), limits),
            gate,
            clock,
            journal,
            lines: Default::default(),
            setting,
            config,
            crashes_next: false,
            holds,
            count: 0,
            folder,
        }
    }

    /// Takes the step, and waits until nobody has anything to do.
    pub(super) async fn take(&mut self, step: Step<'_>) {
        self.oracle.step += 1;
        let crashes = std::mem::take(&mut self.crashes_next);
        self.holds.steps += u32::from(self.holds.is_any());
        if self.holds.steps > HOLD_STEPS_MAX {
            self.let_go();
        }
        let held = &mut self.holds.before;
        let before = crashes.then(|| held.take().unwrap_or_else(|| self.oracle.fleeting()));
        self.begin(step).await;
        if let Some(before) = before {
            self.crash(&before).await;
        }
        self.settle().await;
        self.oracle.check_account();
    }

    async fn begin(&mut self, step: Step<'_>) {
        match step {
            Step::Open { line, late } => self.open(line, late).await,
            Step::Connect {
                line,
                who,
                limits,
                will,
            } => {
                if self.lines[line].is_none() {
                    self.open(line, false).await;
                }
                let text = self.text();
                self.say(line, |_, out| words::connect(who, limits, will, &text, out));
            }
            Step::Raw { line, bytes } => self.send(line, bytes),
            Step::Publish { line, what, how } => {
                let text = self.text();
                self.say(line, |version, out| {
                    words::publish(version, what, how, &text, out);
                });
            }
            Step::Subscribe { line, what, how } => {
                let packet_id = self.number();
                self.say(line, |version, out| {
                    words::subscribe(version, packet_id, what, how, out);
                });
            }
            Step::Unsubscribe { line, what } => {
                let packet_id = self.number();
                self.say(line, |version, out| {
                    words::unsubscribe(version, packet_id, what, out);
                });
            }
            Step::Answer { line, which } => {
                let due = self.oracle.due(line);
                if !due.is_empty() {
                    self.answer(line, due[usize::from(which) % due.len()]);
                }
            }
            Step::AnswerAll { line } => self.answer_all(line).await,
            Step::Acknowledge { line, what } => {
                self.say(line, |version, out| words::acknowledge(version, what, out));
            }
            Step::Release { line, what } => {
                self.say(line, |version, out| words::release(version, what, out));
            }
            Step::Ping { line } => self.say(line, |_, out| mqtt::client::pingreq(out)),
            Step::Disconnect { line, how } => {
                self.say(line, |version, out| words::disconnect(version, how, out));
            }
            Step::Leave { line, how } => self.leave(line, how),
            Step::Abort { line } => self.abort(line),
            Step::Tear { line, at } => self.with_wire(line, |wire| wire.tear_next(at.into())),
            Step::Pieces { line, bytes } => {
                let bytes = if bytes == 0 { usize::MAX } else { bytes.into() };
                self.with_wire(line, |wire| wire.read_in_pieces(bytes));
            }
            Step::Room { line, bytes } => {
                let bytes = match bytes {
                    0..=127 => bytes.into(),
                    128..=200 => usize::from(bytes) * 100,
                    _ => usize::MAX,
                };
                self.with_wire(line, |wire| wire.make_room(bytes));
            }
            Step::Pass { seconds } => self.pass(seconds),
            Step::Disk(disk) => self.turn_disk(disk),
            Step::Rules { which } => self.change_rules(usize::from(which) % words::RULES.len()),
            Step::Own { what } => {
                let (topic, payload) = (words::own_topic(what), self.text());
                self.oracle.published(topic, &payload);
                let qos = Qos::AtLeastOnce;
                let message = Message::own(
                    topic.into(),
                    payload.into(),
                    qos,
                    true,
                    self.clock.now_micros(),
                );
                self.gate.distribute(message);
            }
            Step::System => system::publish_once(&self.gate),
            Step::Return { line } => self.come_back(line).await,
            Step::Hold(threads) => self.hold(threads),
            Step::LetGo => self.let_go(),
            Step::Restart => self.restart().await,
            Step::Crash => self.crashes_next = self.setting.is_logged,
        }
    }

    /// A new connection in the line's place; the one that is there is lost.
    pub(super) async fn open(&mut self, line: usize, late: bool) {
        if self.lines[line].is_some() {
            self.leave(line, Leave::Lost);
            self.settle().await;
        }
        let wire = Wire::new();
        let peer = Peer::at(SocketAddr::from(([127, 0, 0, 1], 1_000 + line as u16)));
        let now = tokio::time::Instant::now();
        let deadline = if late {
            now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
        } else {
            now + PATIENCE
        };
        let place = Place::take(&self.gate).expect("there is room for a few");
        let serving = connection::serve(Arc::clone(&self.gate), wire.clone(), peer, deadline);
        let serving = async move {
            let _place = place;
            serving.await;
        };
        self.oracle.opened(line);
        self.lines[line] = Some(Connection {
            wire,
            // Of a task of its own each would have a budget of its own.
            task: Box::pin(tokio::task::unconstrained(serving)),
            woken: Arc::new(Woken::at_first()),
        });
    }

    pub(super) fn send(&self, line: usize, bytes: &[u8]) {
        self.with_wire(line, |wire| wire.send(bytes));
    }

    /// Sends what `words` appends, in the version that is spoken there.
    fn say(&self, line: usize, words: impl FnOnce(mqtt::Version, &mut Vec<u8>)) {
        let mut bytes = Vec::new();
        words(self.oracle.version(line), &mut bytes);
        self.send(line, &bytes);
    }

    fn answer(&self, line: usize, due: Due) {
        let reason = ReasonCode::Success;
        self.say(line, |version, out| match due {
            Due::Puback(id) => encode::puback(out, version, id, reason),
            Due::Pubrec(id) => encode::pubrec(out, version, id, reason),
            Due::Pubcomp(id) => encode::pubcomp(out, version, id, reason),
        });
    }

    /// Answers deliveries for as long as some come.
    pub(super) async fn answer_all(&mut self, line: usize) {
        for _ in 0..ROUNDS_MAX {
            let due = self.oracle.due(line);
            if due.is_empty() || !self.oracle.is_clean(line) {
                return;
            }
            due.iter().for_each(|due| self.answer(line, *due));
            self.settle().await;
            if self.oracle.due(line) == due {
                // It is not read, or what it is answered does not leave.
                return;
            }
        }
        panic!("step {}: there is no end to deliveries", self.oracle.step);
    }

    pub(super) fn leave(&self, line: usize, how: Leave) {
        self.with_wire(line, |wire| wire.leave(how));
    }

    pub(super) fn abort(&mut self, line: usize) {
        if self.lines[line].take().is_some() {
            self.oracle.ended(line);
        }
    }

    pub(super) fn with_wire(&self, line: usize, act: impl FnOnce(&Wire)) {
        if let Some(connection) = &self.lines[line] {
            act(&connection.wire);
        }
    }

    pub(super) fn is_open(&self, line: usize) -> bool {
        self.lines[line].is_some()
    }

    pub(super) fn pass(&mut self, seconds: u32) {
        self.oracle.passed(seconds);
        self.clock.skip(Duration::from_secs(seconds.into()));
        self.gate.registry.tick(&self.gate);
    }

    pub(super) fn turn_disk(&mut self, disk: Disk) {
        let refused = match disk {
            Disk::Syncs => return self.sync_journal(),
            Disk::TakesAgain => None,
            Disk::IsFull => Some(AppendError::Full),
            Disk::IsBusy => Some(AppendError::Busy),
            Disk::IsPoisoned => Some(AppendError::Poisoned(Poisoned)),
        };
        match refused {
            Some(refused) => self.oracle.disk_refuses(refused == AppendError::Full),
            None => self.oracle.disk_takes(),
        }
        self.journal.refuse(refused);
    }

    pub(super) fn change_rules(&mut self, which: usize) {
        write_rules(&self.folder, which);
        let policy = Policy::parse(words::RULES[which]).expect("good rules");
        enforce(&self.gate, policy);
        self.oracle.rules_changed();
    }

    /// Polls who was woken until nobody is any more, and sees that nobody should have been.
    pub(super) async fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            // What the gate has spawned.
            tokio::task::yield_now().await;
            if self.setting.syncs_alone {
                self.sync_journal();
            }
            let polled = (0..LINES).filter(|&line| self.poll_if_woken(line)).count();
            if polled > 0 || self.await_threads() {
                continue;
            }
            if (0..LINES).all(|line| !self.is_woken(line)) {
                self.check_wakes();
                return;
            }
        }
        panic!("step {}: the connections find no rest", self.oracle.step);
    }

    /// Polling who was not woken must change nothing: else a connection would have hung until
    /// something else happened to it.
    fn check_wakes(&mut self) {
        if self.setting.is_logged {
            // The log's thread makes events durable a moment before it wakes who waits.
            return;
        }
        for line in 0..LINES {
            let Some(connection) = &self.lines[line] else {
                continue;
            };
            let wire = connection.wire.clone();
            let before = wire.moves();
            self.poll(line);
            assert!(
                self.is_open(line) && wire.moves() == before,
                "step {}, line {line}: it had something to do and was not woken",
                self.oracle.step
            );
        }
    }

    fn is_woken(&self, line: usize) -> bool {
        let connection = self.lines[line].as_ref();
        connection.is_some_and(|connection| connection.woken.is_set())
    }

    pub(super) fn poll_if_woken(&mut self, line: usize) -> bool {
        let connection = self.lines[line].as_ref();
        let woken = connection.is_some_and(|connection| connection.woken.take());
        if woken {
            self.poll(line);
        }
        woken
    }

    fn poll(&mut self, line: usize) {
        let Some(connection) = &mut self.lines[line] else {
            return;
        };
        let waker = Waker::from(Arc::clone(&connection.woken));
        let mut context = Context::from_waker(&waker);
        let is_over = connection.task.as_mut().poll(&mut context).is_ready();
        for heard in connection.wire.heard() {
            match heard {
                Heard::Read(bytes) => self.oracle.read(line, &bytes),
                Heard::Wrote(bytes) => self.oracle.wrote(line, &bytes),
            }
        }
        if is_over {
            self.lines[line] = None;
            self.oracle.ended(line);
        }
    }

    /// Waits for the router to deliver what it accepted, and for the log of kept sessions; whether
    /// there was something to wait for.
    fn await_threads(&mut self) -> bool {
        let mut waited = false;
        let is_routed = |stats: router::Stats| stats.accepted == stats.delivered;
        if !is_routed(self.gate.router.stats()) {
            let start = std::time::Instant::now();
            while !is_routed(self.gate.router.stats()) {
                assert!(start.elapsed() < PATIENCE, "announcements never arrive");
                std::thread::yield_now();
            }
            waited = true;
        }
        if let Some(log) = &self.gate.session_log {
            let end = log.end();
            if !self.holds.holds_log() && !log.is_durable(end) {
                wait_until(|waker| {
                    log.wake_when_durable(end, waker);
                    log.is_durable(end)
                });
                waited = true;
            }
        }
        waited
    }

    /// A payload that nothing else has.
    fn text(&mut self) -> Vec<u8> {
        format!("m{}", self.number()).into_bytes()
    }

    /// Never 0.
    fn number(&mut self) -> u16 {
        self.count += 1;
        self.count
    }
}
