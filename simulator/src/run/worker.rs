//! A thread that drives a share of the connections.
//!
//! Owns: the thread, its single-threaded runtime, the start of each connection. Never: shares a
//! connection with another worker. Invariant: when the thread has ended, each of its connections
//! has settled its account.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::connection::{Connection, Manner, OPENING_MAX, Shared};
use super::pacer::Pacer;
use crate::Error;
use crate::fleet::{FaultKind, Fleet, FleetSource, Kind, Pace, Place, Storms};
use crate::message::Source;
use crate::replay::{Replay, ReplaySource, Survey};
use crate::report::{Counters, Expect, Recent, Tally};
use crate::scenario::{Load, Settings};

/// Above this many messages a second a fleet's connections gather what is due into fewer, larger
/// writes: a system call for each message would otherwise be what is measured. Below, each message
/// is written at its moment.
const GATHER_ABOVE: f64 = 20_000.0;
/// Messages a write is to carry when gathering, and how long the first of them may wait for it.
const GATHER_MESSAGES: f64 = 8.0;
const GATHER_MAX: Duration = Duration::from_millis(2);

/// What all workers of a run share.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) settings: Arc<Settings>,
    /// What a replay's file holds.
    pub(crate) survey: Option<Survey>,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) expect: Option<Arc<Expect>>,
    pub(crate) recent: Option<Arc<Recent>>,
    pub(crate) stop: CancellationToken,
    /// Ends everything at once: the run failed, or nobody waits for it any more.
    pub(crate) abort: CancellationToken,
    pub(crate) accepted: Arc<AtomicBool>,
}

impl Job {
    /// Starts worker `number` of `workers`.
    pub(crate) fn spawn(
        self,
        number: usize,
        workers: usize,
    ) -> io::Result<JoinHandle<Result<Tally, Error>>> {
        std::thread::Builder::new()
            .name(format!("simulate-{number}"))
            .spawn(move || self.work(number, workers))
    }

    fn work(self, number: usize, workers: usize) -> Result<Tally, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Worker { source })?;
        let parts = self.parts(number, workers)?;
        let shared = Rc::new(Shared {
            broker: self.settings.broker.clone(),
            clock: self.clock,
            drain: self.settings.drain,
            connect_timeout: self.settings.connect_timeout,
            duration: self.duration(),
            counters: Arc::clone(&self.counters),
            expect: self.expect.clone(),
            recent: self.recent.clone(),
            tally: RefCell::new(Tally::new()),
            pacer: Pacer::new(parts.len()),
            opening: Semaphore::new(OPENING_MAX),
            stop: self.stop.clone(),
            accepted: Arc::clone(&self.accepted),
        });
        let result = LocalSet::new().block_on(&runtime, self.drive(&shared, parts));
        let tally = shared.tally.replace(Tally::new());
        result.map(|()| tally)
    }

    async fn drive(&self, shared: &Rc<Shared>, parts: Vec<Part>) -> Result<(), Error> {
        let mut running = JoinSet::new();
        for (
            number,
            Part {
                manner,
                source,
                storms,
            },
        ) in parts.into_iter().enumerate()
        {
            let connection = Connection::new(Rc::clone(shared), number, manner, source, storms);
            let abort = self.abort.clone();
            running.spawn_local(async move { connection.run(&abort).await });
        }
        let all = async {
            let mut outcome = Ok(());
            while let Some(ended) = running.join_next().await {
                let result = ended.unwrap_or_else(|panic| {
                    Err(Error::Worker {
                        source: io::Error::other(panic.to_string()),
                    })
                });
                if result.is_err() && outcome.is_ok() {
                    // One failure ends the run; the others settle their accounts.
                    self.abort.cancel();
                    outcome = result;
                }
            }
            outcome
        };
        tokio::select! {
            outcome = all => outcome,
            failure = shared.pacer.run() => failure.map_err(|source| Error::Worker { source }),
        }
    }

    fn duration(&self) -> Option<Duration> {
        match &self.settings.load {
            Load::Fleets(fleets) => fleets.first().and_then(|fleet| fleet.limit.duration),
            Load::Replay(replay) => replay.duration,
        }
    }

    /// The connections of one worker: every `workers`th of the run.
    fn parts(&self, number: usize, workers: usize) -> Result<Vec<Part>, Error> {
        match &self.settings.load {
            Load::Replay(replay) if number == 0 => Ok(vec![self.replay_part(replay)?]),
            Load::Replay(_) => Ok(Vec::new()),
            Load::Fleets(fleets) => {
                let mut parts = Vec::new();
                let (mut before, mut first_device) = (0, 0);
                for (fleet_number, fleet) in fleets.iter().enumerate() {
                    let kinds = Kind::of_fleet(fleet);
                    for connection in 0..fleet.connections {
                        if (before + connection) % workers == number {
                            let place = (fleet_number, first_device, connection);
                            parts.push(self.fleet_part(fleet, &kinds, place));
                        }
                    }
                    before += fleet.connections;
                    first_device += fleet.devices;
                }
                Ok(parts)
            }
        }
    }

    fn fleet_part(
        &self,
        fleet: &Fleet,
        kinds: &[Arc<Kind>],
        (fleet_number, first_device, connection): (usize, usize, usize),
    ) -> Part {
        let settings = &self.settings;
        let client_id = fleet.client_name(connection);
        let place = Place {
            connection,
            client_id: &client_id,
            user: settings.broker.username.as_deref().unwrap_or_default(),
            first_device,
            seed: settings.seed,
            fixed_start_us: settings.start_time_us,
            wants_lines: self.expect.is_some(),
        };
        let source = FleetSource::new(fleet, kinds, place, Arc::clone(&self.counters.faults));
        let opens_at = fleet.connect_interval.saturating_mul(connection as u32);
        // Devices have the low streams; fleets have the high ones.
        let storms = fleet
            .faults
            .iter()
            .find(|fault| fault.kind == FaultKind::ReconnectStorm)
            .map(|fault| Storms::new(fault, settings.seed, u64::MAX - fleet_number as u64));
        let manner = Manner {
            client_id,
            qos: fleet.qos,
            retain: fleet.retain,
            inflight: fleet.inflight,
            opens_at,
            gather: gather(fleet),
        };
        Part {
            manner,
            source: Box::new(source),
            storms,
        }
    }

    fn replay_part(&self, replay: &Replay) -> Result<Part, Error> {
        let user = self.settings.broker.username.as_deref().unwrap_or_default();
        let survey = match self.survey {
            Some(survey) => survey,
            None => crate::replay::survey(replay)?,
        };
        let source = ReplaySource::open(replay, survey, user, self.expect.is_some())?;
        let manner = Manner {
            client_id: replay.client_id.clone(),
            qos: replay.qos,
            retain: replay.retain,
            inflight: replay.inflight,
            opens_at: Duration::ZERO,
            gather: Duration::ZERO,
        };
        Ok(Part {
            manner,
            source: Box::new(source),
            storms: None,
        })
    }
}

/// One connection before it starts.
struct Part {
    manner: Manner,
    source: Box<dyn Source>,
    storms: Option<Storms>,
}

/// How long the messages of a connection are gathered at this fleet's pace.
fn gather(fleet: &Fleet) -> Duration {
    let Pace::Every(interval) = fleet.pace else {
        return Duration::ZERO;
    };
    let total = fleet.devices as f64 / interval.as_secs_f64();
    if total <= GATHER_ABOVE {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(GATHER_MESSAGES * fleet.connections as f64 / total).min(GATHER_MAX)
}
