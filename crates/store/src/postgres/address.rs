//! Where the server is and how to connect to it, and how to say so without the password.

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::Host;
use uuid::Uuid;

use super::ANSWER_GRACE;

/// A server that vanished without a word (power, cable) is noticed after about this time of
/// silence.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

const PORT: u16 = 5432;

pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    /// Names this store's sessions among all the server's, so that a lost one can be ended when it
    /// lives on there.
    pub(super) application: String,
    pub(super) statement_timeout: Duration,
}

impl Address {
    pub(super) fn new(
        config: &tokio_postgres::Config,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> Address {
        let instance = Uuid::new_v4().simple().to_string();
        let application = format!("millrace {}", &instance[..12]);
        let mut config = config.clone();
        config
            .application_name(&application)
            .connect_timeout(connect_timeout)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        Address {
            config,
            application,
            statement_timeout,
        }
    }

    /// The longest time one answer may take.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.statement_timeout + ANSWER_GRACE
    }

    /// Settings of every session. The server must notice a vanished client too, or its locks would
    /// stay.
    pub(super) fn session_settings(&self) -> String {
        format!(
            "SET timezone = 'UTC';
             SET statement_timeout = {statement_ms};
             SET idle_in_transaction_session_timeout = {silence_ms};
             SET tcp_user_timeout = {silence_ms};
             SET tcp_keepalives_idle = {idle_s};
             SET tcp_keepalives_interval = {interval_s};
             SET tcp_keepalives_count = {KEEPALIVE_RETRIES};
             SET default_transaction_isolation = 'read committed';
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'",
            statement_ms = self.statement_timeout.as_millis(),
            silence_ms = SILENCE_MAX.as_millis(),
            idle_s = KEEPALIVE_IDLE.as_secs(),
            interval_s = KEEPALIVE_INTERVAL.as_secs(),
        )
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// PostgreSQL takes the user's name when none is given.
    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_else(|| self.user())
    }

    pub(super) fn host(&self) -> String {
        let ports = self.config.get_ports();
        let port = ports.first().copied().unwrap_or(PORT);
        match (self.config.get_hosts().first(), self.config.get_hostaddrs()) {
            (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => folder.display().to_string(),
            (None, [address, ..]) => format!("{address}:{port}"),
            (None, []) => String::new(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "postgres://{}@{}/{}",
            self.user(),
            self.host(),
            self.database()
        )
    }
}
