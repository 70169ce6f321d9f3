//! The broker as the rest of Millrace sees it: started, asked, stopped.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::reload::{self, Reloaded, Reloader};
use access::{DeviceCredentials, login, rules};
use journal::Journal;
use tracing::{info, warn};

use crate::config::Settings;
use crate::gate::{Gate, IsTelemetry, OnUntaken};
use crate::listener::{Bound, Kind, Listening};
use crate::publisher::Publisher;
use crate::session::SlowSession;
use crate::stats::Stats;
use crate::system::SystemValues;
use crate::upkeep::{self, recheck};
use crate::{retained, session_log, system};
use mqtt::ReasonCode;

/// How often silent clients, delayed wills and expired sessions are looked for; all of them count
/// whole seconds.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on `{address}`")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot use the access rules")]
    Access(#[from] rules::LoadError),
    #[error("cannot open the retained messages")]
    Retained(#[from] retained::OpenError),
    #[error("cannot open the kept sessions")]
    Sessions(#[from] session_log::OpenError),
    #[error("cannot start the thread that looks after kept sessions")]
    SessionThread(#[source] io::Error),
    #[error("cannot start the router")]
    Router(#[from] router::StartError),
    #[error("cannot tell who may log in")]
    Auth(#[from] login::OpenError),
}

/// What a broker is made of.
pub struct Parts {
    pub settings: Settings,
    /// The folder for what it keeps: retained messages and sessions.
    pub data: PathBuf,
    pub journal: Arc<dyn Journal>,
    pub is_telemetry: IsTelemetry,
    /// Told where publishes go to nobody.
    pub on_untaken: Option<OnUntaken>,
    /// The secrets of devices, where there are some.
    pub devices: Option<Arc<dyn DeviceCredentials>>,
    /// What others have to say below `$SYS/broker/`.
    pub system_values: Option<SystemValues>,
}

/// A running broker.
pub struct Broker {
    gate: Arc<Gate>,
    /// One at least.
    listeners: Vec<Listening>,
    reloader: Reloader,
}

impl Broker {
    /// Binds the listeners and serves them.
    pub async fn start(parts: Parts) -> Result<Broker, StartError> {
        let mut bound = Vec::new();
        let mut listeners = Vec::new();
        for settings in &parts.settings.listeners {
            let address = settings.address;
            let listen = |source| StartError::Listen { address, source };
            let listener = Bound::new(settings).map_err(listen)?;
            listeners.push(listener.listening().map_err(listen)?);
            bound.push(listener);
        }

        let gate = Gate::assemble(parts)?;
        for listener in bound {
            gate.tasks.spawn(listener.serve(Arc::clone(&gate)));
        }
        gate.tasks.spawn(watch_time(Arc::clone(&gate)));
        gate.tasks.spawn(recheck::run(Arc::clone(&gate)));
        if let Some(interval) = gate.settings.sys_interval {
            gate.tasks
                .spawn(system::publish(Arc::clone(&gate), interval));
        }
        let interval = gate.settings.reload_interval;
        let (reloader, watching) =
            reload::watch(upkeep::sources(&gate), interval, gate.stop.clone());
        gate.tasks.spawn(watching);
        Ok(Broker {
            gate,
            listeners,
            reloader,
        })
    }

    /// Every listener, in the order of the configuration; with the ports that were found where 0
    /// was asked for.
    pub fn listeners(&self) -> &[Listening] {
        &self.listeners
    }

    /// Where plain MQTT is spoken, or, without such a listener, where the first one listens.
    pub fn address(&self) -> SocketAddr {
        let plain = self
            .listeners
            .iter()
            .find(|listener| listener.kind == Kind::Tcp);
        plain.unwrap_or(&self.listeners[0]).address
    }

    /// Whether a client without credentials would be let in now.
    pub fn admits_anonymous(&self) -> bool {
        self.gate.authenticator.admits_nobody()
    }

    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.gate))
    }

    /// The sessions whose messages are dropped now because their client does not keep up, those
    /// that lost most first.
    pub fn slow_sessions(&self, most: usize) -> Vec<SlowSession> {
        match self.gate.stats.sessions_slow.get() {
            0 => Vec::new(),
            _ => self.gate.registry.slow(most),
        }
    }

    pub fn stats(&self) -> &Arc<Stats> {
        &self.gate.stats
    }

    /// Reads the files that may change (access rules, users, keys of tokens, certificates) without
    /// waiting for `reload_interval`. What was found is in force when this returns.
    pub async fn reload(&self) -> Vec<Reloaded> {
        self.reloader.reload().await
    }

    /// Ends the connections of a user, or of a device under its own name; how many there were. It
    /// may come back only with credentials that hold then.
    pub fn disconnect_user(&self, user: &str, reason: ReasonCode) -> usize {
        self.gate
            .registry
            .close_where(reason, |session| &*session.identity().user == user)
    }

    /// Stops accepting and lets every connection send what it owes (acknowledgements of what the
    /// journal holds) and say goodbye; what is not done within the time is cut off. Own publishes
    /// still go through, and are retained.
    pub async fn close(&self, within: Duration) {
        let gate = &self.gate;
        gate.stop.cancel();
        gate.registry.close_all(ReasonCode::ServerShuttingDown);
        gate.tasks.close();
        if tokio::time::timeout(within, gate.tasks.wait())
            .await
            .is_err()
        {
            warn!(
                connections = gate.stats.connections.get(),
                "cut off at the deadline"
            );
        }
    }

    /// Ends the router; to be called after `close`.
    pub async fn shutdown(&self) {
        self.gate.end().await;
        info!("broker stopped");
    }

    /// Writes what is retained and what kept sessions hold, as far as that is not done; to be
    /// called after `shutdown`, and after everything else that gives space on the disk back.
    /// Blocks.
    pub fn save(self) {
        self.gate.save();
    }
}

async fn watch_time(gate: Arc<Gate>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = interval.tick() => tick(&gate),
            () = gate.stop.cancelled() => return,
        }
    }
}

/// What is to be done now and then.
pub(crate) fn tick(gate: &Arc<Gate>) {
    gate.registry.tick(gate);
    gate.refusals.flush();
    gate.authenticator.review_entry();
    gate.authenticator
        .warn_of_strangers(gate.settings.acl.file.is_none());
}
