//! The running system: built from settings, watched, drained in order.
//!
//! Owns: which part is started with which other, and the order of the end. Never: does the work of
//! a part. Invariant: when `drain` returns, everything that was acknowledged is in the database or
//! in the journal.

mod descriptors;
mod full;
mod outlet;
mod reload;
mod system;
mod untaken;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::{Broker, Listening};
use devices::Devices;
use ingest::alert::{LaneHandle, Pending, SystemClock};
use ingest::prepare::Preparer;
use ingest::{alert, rows};
use journal::local::LocalJournal;
use journal::{Journal, State, Status};
use store::Reasons;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::config::Settings;
use crate::diagnostics::Failure;
use full::{FullWatch, Turn};
use outlet::GateOutlet;
use untaken::Untaken;

/// How long a start waits for the database before it goes on without it: the journal keeps what
/// comes.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
/// How often the parts are asked whether they are well.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How much of the deadline the connections may take; the rest is for the rows on their way to the
/// database.
const BROKER_SHARE: u32 = 3;

/// A started system.
pub(crate) struct App {
    journal: Arc<LocalJournal>,
    broker: Broker,
    rows: rows::Handle,
    alerts: LaneHandle,
    devices: Devices,
    store: String,
    full: Mutex<FullWatch>,
}

impl App {
    /// Starts every part, the broker last: nothing is acknowledged before it can be kept.
    pub(crate) async fn start(mut settings: Settings) -> Result<App, Failure> {
        descriptors::raise_limit();
        settings.broker.max_connections =
            descriptors::connections_max(settings.broker.max_connections);
        let journal = open_journal(&settings).await?;
        let pending = Pending::open(&settings.data, settings.alerts.max_pending_events);
        // What devices send again from now on is told apart from what the journal already held.
        pending.note_journal_end(journal.end());
        let store = store::open(&settings.store)?;
        let described = store.describe();
        let devices = Devices::start(&settings.data, &settings.store)?;
        let rows = rows::spawn(rows::Parts {
            journal: journal.clone(),
            store,
            meaning: settings.meaning.clone(),
            settings: settings.rows.clone(),
            pending: Some(pending.clone()),
        })?;
        let rows = wait_for_store(rows).await?;
        let devices = wait_for_devices(devices).await?;

        let topics = Arc::clone(&settings.meaning.topics);
        for template in topics.iter().filter(|topics| topics.joins_by_default()) {
            let (topic, device) = (template.as_str(), template.device_name());
            info!(
                topic,
                device,
                "the devices of these topics are named by every part; the template's key \
                 `device` names them otherwise"
            );
        }
        let untaken = Untaken::default();
        let broker = Broker::start(broker::Parts {
            settings: settings.broker,
            data: settings.data.clone(),
            journal: journal.clone(),
            is_telemetry: Arc::new(move |topic: &str| topics.matches(topic).is_some()),
            on_untaken: Some(Arc::new(move |publish| untaken.look(publish))),
            devices: Some(devices.known()),
            system_values: Some(system::values(
                Arc::clone(&journal) as Arc<dyn Journal>,
                rows.observer(),
            )),
        })
        .await?;
        let alerts = alert::spawn(alert::Parts {
            journal: journal.clone(),
            rules: settings.rules,
            config: settings.alerts,
            source: Box::new(Preparer::new(settings.meaning)),
            outlet: Box::new(GateOutlet::new(broker.publisher())),
            pending,
            clock: Box::new(SystemClock::default()),
        })?;
        Ok(App {
            journal,
            broker,
            rows,
            alerts,
            devices,
            store: described,
            full: Mutex::default(),
        })
    }

    /// Every way in.
    pub(crate) fn listeners(&self) -> &[Listening] {
        self.broker.listeners()
    }

    /// Where plain MQTT is spoken, if it is anywhere.
    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// Whether a client without credentials would be let in now.
    pub(crate) fn admits_anonymous(&self) -> bool {
        self.broker.admits_anonymous()
    }

    /// The database, without its password.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// Whether the database has been reached.
    pub(crate) fn store_is_reached(&self) -> bool {
        matches!(self.rows.state(), rows::State::Running)
    }

    /// Returns when a part has failed for good.
    pub(crate) async fn failure(&self) -> Failure {
        let mut interval = tokio::time::interval(WATCH_INTERVAL);
        loop {
            interval.tick().await;
            let status = self.journal.status();
            self.tell_of_limit(&status);
            if status.state == State::Poisoned {
                return Failure::new("the journal cannot be written any more").hint(
                    "the disk failed a write: see the log, check the disk, then start again; \
                     everything that was acknowledged before is kept",
                );
            }
            if let rows::State::Failed(failure) = self.rows.state() {
                return rows_failure(&failure);
            }
            if self.alerts.is_finished() {
                return Failure::new("the alerts lane ended unexpectedly")
                    .hint("this is a defect of Millrace; nothing is lost, start again to go on");
            }
        }
    }

    /// Tells when the journal reaches its size limit, why, and when that is over.
    fn tell_of_limit(&self, status: &Status) {
        // Nothing between lock and unlock can panic.
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(turn) = full.look(status, Instant::now()) else {
            return;
        };
        drop(full);
        let rows = self.rows.stats();
        let pending = system::pending(status, &rows);
        match turn {
            Turn::Begun => {
                let reached = self.store_is_reached() && !rows.store_is_away;
                let (cause, hint) = match (reached, rows.alerts_position < rows.rows_position) {
                    (false, _) => (
                        "the database does not answer",
                        "bring it back, or raise `journal.max_size`",
                    ),
                    (true, true) => (
                        "alerts are evaluated more slowly than messages come",
                        "narrow the alert rules, or raise `journal.max_size`",
                    ),
                    (true, false) => (
                        "rows are written more slowly than messages come",
                        "make the database faster, or raise `journal.max_size`",
                    ),
                };
                warn!(
                    pending,
                    size_bytes = status.size_bytes,
                    size_bytes_max = status.size_bytes_max,
                    cause,
                    hint,
                    "the journal has reached `journal.max_size`: it takes nothing until there is room"
                );
            }
            Turn::Ended { lasted } => {
                let lasted_seconds = lasted.as_secs();
                info!(pending, lasted_seconds, "the journal has room again");
            }
        }
    }

    /// Stops in the order of the data path, within the deadline: accept nothing more, acknowledge
    /// what the journal holds, evaluate what is left, write it.
    pub(crate) async fn drain(self, within: Duration) -> Result<Drained, Failure> {
        let deadline = Instant::now() + within;
        let App {
            journal,
            broker,
            rows,
            alerts,
            devices,
            ..
        } = self;
        broker.close(within / BROKER_SHARE).await;
        // It publishes through the broker, and its last changes go with the last commit: so it ends
        // between the two.
        let stopped = spawn_blocking(move || alerts.stop(deadline)).await?;
        if !stopped {
            warn!("alerts were not evaluated to the journal's end; the next start goes on there");
        }
        broker.shutdown().await;
        let end = spawn_blocking(move || {
            drop(devices);
            journal.close();
            let stopped = rows.stop(deadline);
            // Last: what has ended before has given space back, which a full disk may have kept
            // these changes waiting for.
            broker.save();
            (stopped, journal.end().0)
        });
        let (stopped, received) = end.await?;
        info!("stopped");
        Ok(Drained {
            account: stopped.account,
            reasons: stopped.reasons,
            drained: stopped.drained,
            received,
        })
    }
}

/// How a drained system left things.
pub(crate) struct Drained {
    account: Option<rows::Account>,
    reasons: Reasons,
    drained: bool,
    received: u64,
}

impl Drained {
    /// Where the journal's records have ended; `None` when the database was never reached.
    pub(crate) fn account(&self) -> Option<rows::Account> {
        self.account
    }

    /// Why messages were filtered or dead-lettered.
    pub(crate) fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// The account in a line, the reasons below it, and what is still to be done.
    pub(crate) fn describe(&self) -> String {
        let Some(account) = self.account else {
            return format!(
                "{} messages received; none written, since the database was never reached: they \
                 are kept in the journal\n",
                self.received
            );
        };
        let rows::Account {
            received,
            stored,
            filtered,
            dead_lettered,
            pending,
            ..
        } = account;
        let mut text = format!(
            "{received} messages received = {stored} stored + {filtered} filtered + {dead_lettered} \
             dead-lettered + {pending} pending\n"
        );
        for (outcome, reasons) in [
            ("filtered", &self.reasons.filtered),
            ("dead-lettered", &self.reasons.dead_lettered),
        ] {
            let parts = reasons.iter().filter(|(_, count)| count.messages > 0);
            let parts: Vec<_> = parts
                .map(|(reason, count)| format!("{} {reason}", count.messages))
                .collect();
            if !parts.is_empty() {
                text.push_str(&format!("  {outcome}: {}\n", parts.join(", ")));
            }
        }
        if !self.drained {
            text.push_str(
                "pending messages are kept in the journal and written after the next start\n",
            );
        }
        text
    }
}

async fn open_journal(settings: &Settings) -> Result<Arc<LocalJournal>, Failure> {
    let (folder, journal) = (settings.journal_folder(), settings.journal);
    let (journal, report) =
        spawn_blocking(move || LocalJournal::open_dir(&folder, journal)).await??;
    if let Some(torn) = &report.torn_tail {
        warn!(
            ?torn,
            "cut an unfinished write off the journal; nothing in it was acknowledged"
        );
    }
    info!(
        identity = %report.identity,
        start = %report.start,
        end = %report.end,
        created = report.created,
        "journal open"
    );
    Ok(Arc::new(journal))
}

/// Lets the lane reach its database; a refusal ends the start, an absence does not.
async fn wait_for_store(rows: rows::Handle) -> Result<rows::Handle, Failure> {
    spawn_blocking(move || match rows.wait_until_started(STORE_PATIENCE) {
        rows::State::Failed(failure) => Err(rows_failure(&failure)),
        rows::State::Waiting | rows::State::Running => Ok(rows),
    })
    .await?
}

/// Before the listener opens: devices that come back at once find themselves known. The time is
/// counted from the start, so that a silent database is not waited for twice.
async fn wait_for_devices(devices: Devices) -> Result<Devices, Failure> {
    Ok(spawn_blocking(move || {
        devices.wait_until_asked(STORE_PATIENCE);
        devices
    })
    .await?)
}

fn rows_failure(failure: &rows::Failure) -> Failure {
    let reported = Failure::from_error(failure);
    if failure.hint.is_empty() {
        reported
    } else {
        reported.hint(failure.hint.clone())
    }
}
