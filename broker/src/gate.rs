//! What all connections share, and the paths a message takes from here.
//!
//! Owns: the settings, the counters, the session registry, the table of subscriptions, the retained
//! store, the handles of journal and router. Never: reads or writes a socket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use access::{Access, Authenticator};
use journal::disk::{Disk, RealDisk};
use journal::{Journal, LocalJournals, Position};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::broker::{Parts, StartError};
use crate::budget::Budget;
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::delivery::QueueLimits;
use crate::fanout::{self, AnnouncementRouter, Fanout};
use crate::handshake;
use crate::limits::{Addresses, KeptSessions, Refusals, Room, Seldom, TokenBucket};
use crate::lock::lock;
use crate::message::Message;
use crate::registry::Registry;
use crate::retained::{self, Retained};
use crate::session::{Session, State, cut_to_budget, highest_number};
use crate::session_log::{self, SessionLog};
use crate::stats::Stats;
use crate::subscriptions::{Subscriptions, Targets};
use crate::system::System;
use crate::upkeep::{self, recheck};
use router::Rumqttd;

/// Tells whether a topic carries telemetry, which goes into the journal; ingest's topic templates
/// decide.
pub type IsTelemetry = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Told of publishes that nobody takes; it must be quick. Not told of each of many to one topic.
pub type OnUntaken = Arc<dyn Fn(&Untaken<'_>) + Send + Sync>;

/// A publish that is no telemetry, to a topic that nobody subscribes to.
#[derive(Debug, Clone, Copy)]
pub struct Untaken<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Kept as its topic's retained message, and so not gone.
    pub is_retained: bool,
    pub client_id: &'a str,
    /// Empty for a client without one.
    pub user: &'a str,
}

/// Limits how often the log hears of retained messages that are not kept.
static RETAINED_FULL: Seldom = Seldom::new();

pub(crate) struct Gate {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
    /// The memory that all queues share.
    pub(crate) budget: Arc<Budget>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) is_telemetry: IsTelemetry,
    pub(crate) on_untaken: Option<OnUntaken>,
    pub(crate) authenticator: Authenticator,
    pub(crate) access: Access,
    pub(crate) registry: Arc<Registry>,
    /// `None`: kept sessions are in memory only.
    pub(crate) session_log: Option<Arc<SessionLog>>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) kept_sessions: Arc<KeptSessions>,
    /// The rate at which connections are accepted; `None`: no limit.
    pub(crate) connect_rate: Option<Mutex<TokenBucket>>,
    /// Memory for CONNECTs of clients that are not logged in yet.
    pub(crate) room_for_connects: Arc<Room>,
    /// What the log has yet to hear of them.
    pub(crate) refusals: Refusals,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) retained: Retained,
    pub(crate) system: System,
    pub(crate) router: Arc<AnnouncementRouter>,
    /// Cancelled when nothing new is to be accepted.
    pub(crate) stop: CancellationToken,
    /// Cancelled when nothing at all is published any more.
    pub(crate) ended: CancellationToken,
    /// Every connection's task.
    pub(crate) tasks: TaskTracker,
    pub(crate) sessions_created: AtomicU64,
    pub(crate) ids_assigned: AtomicU64,
    /// CONNECTs that were read so far.
    pub(crate) connects: AtomicU64,
    /// Microseconds since 1970, UTC.
    started_at: i64,
}

/// Ids given by the gate begin with it.
const ASSIGNED_PREFIX: &str = "millrace-";

impl Gate {
    /// Opens the retained store and starts the router; must be called inside a runtime.
    pub(crate) fn assemble(parts: Parts) -> Result<Arc<Gate>, StartError> {
        Gate::assemble_on(parts, Arc::new(RealDisk), Arc::new(SystemClock::start()))
    }

    /// `assemble` with the log of kept sessions on this disk, and with this clock.
    pub(crate) fn assemble_on(
        parts: Parts,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Gate>, StartError> {
        let Parts {
            settings,
            data,
            journal,
            is_telemetry,
            on_untaken,
            devices,
            system_values,
        } = parts;
        let stats = Arc::new(Stats::default());
        let subscriptions = Arc::new(Subscriptions::default());
        let fanout = Fanout {
            subscriptions: Arc::clone(&subscriptions),
            stats: Arc::clone(&stats),
        };
        let budget = Budget::new(settings.max_queued_bytes_total, Arc::clone(&stats));
        let budget = Arc::new(budget);
        let retained_limits = retained::Limits {
            messages: settings.max_retained_messages,
            bytes: settings.max_retained_bytes,
        };
        let retained_journals = Arc::new(LocalJournals::new(&data, Arc::new(RealDisk)));
        let stop = CancellationToken::new();
        let authenticator = Authenticator::open(
            settings.auth.clone(),
            settings.anonymous,
            &data,
            devices,
            Arc::clone(&stats.logins),
            stop.clone(),
        )?;
        authenticator.warn_of_strangers(settings.acl.file.is_none());
        let (session_log, saved) = match settings.max_session_log_bytes {
            0 => (None, Vec::new()),
            max_bytes => {
                let parts = session_log::Parts {
                    max_bytes,
                    telemetry: Arc::clone(&journal),
                    stats: Arc::clone(&stats),
                    now: clock.now_micros(),
                };
                let (log, saved) = SessionLog::open(parts, &LocalJournals::new(&data, disk))?;
                (Some(Arc::new(log)), saved)
            }
        };
        let gate = Arc::new(Gate {
            session_log,
            retained: Retained::open(retained_journals, &data, retained_limits)?,
            router: Arc::new(Rumqttd::start(Arc::new(fanout))?),
            addresses: Addresses::new(settings.max_connections_per_address),
            kept_sessions: KeptSessions::new(settings.kept_sessions),
            connect_rate: settings
                .max_connect_rate
                .map(|rate| Mutex::new(TokenBucket::new(rate, Instant::now()))),
            refusals: Refusals::default(),
            room_for_connects: handshake::room_for_connects(settings.max_packet_bytes),
            access: Access::open(&settings.acl)?,
            settings,
            stats,
            budget,
            journal,
            is_telemetry,
            on_untaken,
            authenticator,
            registry: Arc::default(),
            subscriptions,
            system: System::new(system_values),
            stop,
            ended: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sessions_created: AtomicU64::new(highest_number(&saved)),
            ids_assigned: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            started_at: clock.now_micros(),
            clock,
        });
        gate.restore(saved)?;
        Ok(gate)
    }

    /// Enters the sessions that were kept over a restart, and lets the log look after itself.
    fn restore(self: &Arc<Self>, saved: Vec<State>) -> Result<(), StartError> {
        let Some(log) = &self.session_log else {
            return Ok(());
        };
        if !saved.is_empty() {
            info!(sessions = saved.len(), "kept sessions are back");
        }
        let sessions: Vec<_> = saved
            .into_iter()
            .map(|session| Session::restore(self, session))
            .collect();
        let dropped = cut_to_budget(&sessions, &self.budget);
        if dropped > 0 {
            self.stats.dropped_queues_full.add(dropped as u64);
            warn!(
                dropped,
                max_queued_bytes_total = self.settings.max_queued_bytes_total,
                "the kept sessions hold more than all queues together may: the newest messages of the largest queues were dropped"
            );
        }
        for session in sessions {
            self.registry.restore(session);
        }
        self.review_restored();
        let source = Arc::clone(&self.registry) as Arc<dyn session_log::Source>;
        log.serve(Arc::downgrade(&source))
            .map_err(StartError::SessionThread)
    }

    /// While the process was down users may have gone and rules may have changed.
    fn review_restored(self: &Arc<Self>) {
        let (mut sessions, mut subscriptions) = (0, 0);
        self.registry.for_each(|session| {
            if upkeep::review(self, session) {
                sessions += 1;
            } else {
                subscriptions += upkeep::revoke(self, session);
            }
        });
        recheck::tell_ended(sessions);
        if subscriptions > 0 {
            info!(
                subscriptions,
                "ended subscriptions of kept sessions that the rules deny by now"
            );
        }
    }

    /// The log that an acknowledgement waits for when the message may have entered queues of kept
    /// sessions; `None`: it cannot have.
    pub(crate) fn log_of_queues(&self) -> Option<&SessionLog> {
        let log = self.session_log.as_deref();
        log.filter(|_| self.stats.sessions_saved.get() > 0)
    }

    /// Whether what the log of kept sessions was told up to this position survives; also when it no
    /// longer can.
    pub(crate) fn is_saved(&self, position: Position) -> bool {
        let log = self.session_log.as_deref();
        position == Position::ZERO || log.is_none_or(|log| log.is_durable(position))
    }

    /// The same; if not, the waker is woken when it may be.
    pub(crate) fn is_saved_or_wakes(&self, position: Position, waker: &Waker) -> bool {
        let saved = self.is_saved(position);
        if !saved && let Some(log) = &self.session_log {
            log.wake_when_durable(position, waker);
        }
        saved
    }

    /// A session with a number of its own, which nobody knows yet.
    pub(crate) fn new_session(&self, client_id: &str) -> Session {
        let number = self.sessions_created.fetch_add(1, Ordering::Relaxed) + 1;
        self.numbered_session(number, client_id)
    }

    /// One that has its number from before a restart.
    pub(crate) fn numbered_session(&self, number: u64, client_id: &str) -> Session {
        let limits = QueueLimits {
            messages: self.settings.max_queued_messages,
            bytes: self.settings.max_queued_bytes,
        };
        let budget = Arc::clone(&self.budget);
        Session::new(number, client_id, limits, budget, self.session_log.clone())
    }

    /// The place of the CONNECT that was just read among all of them.
    pub(crate) fn connect_order(&self) -> u64 {
        self.connects.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A client id for a client that brought none; never given twice, also not after a restart.
    pub(crate) fn assigned_id(&self) -> String {
        let number = self.ids_assigned.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{ASSIGNED_PREFIX}{:x}-{number}", self.started_at)
    }

    /// One more connection was accepted; how long to wait before the next one.
    pub(crate) fn connect_pause(&self) -> Option<Duration> {
        let rate = self.connect_rate.as_ref()?;
        lock(rate).take(1, Instant::now())
    }

    /// Queues the message for everyone who subscribes to its topic. All have it when this returns:
    /// what a kept session has of a publish is complete when its acknowledgement waits for the log.
    pub(crate) fn fan_out(&self, targets: &Targets, message: &Arc<Message>) {
        for entry in targets.all() {
            fanout::to_holders(entry, message, &self.stats);
        }
    }

    /// Retains the message if it asks for it, and queues it for everyone who subscribes.
    pub(crate) fn distribute(&self, message: impl Into<Arc<Message>>) {
        let message = message.into();
        if message.retain {
            self.retain(&message);
        }
        self.fan_out(&self.subscriptions.targets(&message.topic), &message);
    }

    /// Tells subscribers something about the broker itself. The copies of wildcard subscribers
    /// travel through the router, since no client waits for them.
    pub(crate) fn announce(&self, message: &Arc<Message>) {
        let targets = self.subscriptions.targets(&message.topic);
        let is_routed = !targets.wildcards.is_empty()
            && self
                .router
                .publish(&message.topic, Arc::clone(message))
                .is_ok();
        if !is_routed {
            self.fan_out(&targets, message);
        } else if let Some(entry) = &targets.exact {
            fanout::to_holders(entry, message, &self.stats);
        }
    }

    /// Ends the router; nobody may be connected.
    pub(crate) async fn end(&self) {
        self.ended.cancel();
        let router = Arc::clone(&self.router);
        // An error means that it has panicked, and so has nothing left to deliver.
        let _ = tokio::task::spawn_blocking(move || router.close()).await;
    }

    /// Writes what is retained and what kept sessions hold; to be called after `end`. Blocks.
    pub(crate) fn save(&self) {
        // First: it gives back the space that its journal has taken in advance.
        if let Some(log) = &self.session_log {
            log.close();
        }
        self.retained.close();
    }

    /// Keeps the message as its topic's retained one; an empty payload clears it.
    pub(crate) fn retain(&self, message: &Message) {
        let Err(full) = self.retained.put(message) else {
            return;
        };
        self.stats.dropped_retained_full.add(1);
        if let Some(silenced) = RETAINED_FULL.may_tell(Instant::now()) {
            let topic = &*message.topic;
            warn!(topic, error = %full, silenced, "a retained message is not kept");
        }
    }
}
