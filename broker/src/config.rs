//! The `[broker]` section: what the user wrote, and what is true after it was checked.

use std::time::Duration;

pub use access::ConfigError;
use access::login::{self, Anonymous};
use access::rules;
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::limits::{ClientRates, KeptLimits};
use crate::listener;
use crate::session::FilterLimits;
use mqtt::topic::TopicLimits;

/// `[broker]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of a plain TCP listener, or empty for none; both protocol versions are
    /// spoken on it.
    pub listen: String,
    /// Lets clients in that bring no credentials, also beyond loopback and beside those with
    /// credentials.
    pub allow_anonymous: bool,
    /// Who may log in, and how.
    pub auth: login::Config,
    /// Connections at one time; further ones are refused.
    pub max_connections: usize,
    /// Connections of one address (IPv6: of one /64 network) at one time; 0: as many as
    /// `max_connections`.
    pub max_connections_per_address: usize,
    /// Connections accepted in a second, over all listeners; further ones wait their turn. 0: no
    /// limit.
    pub max_connect_rate: u32,
    /// How long a client may take from TCP connect to a complete CONNECT.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The largest MQTT packet a client may send.
    pub max_packet_size: ByteSize,
    /// The largest payload that a client may publish; a larger one is refused.
    pub max_payload_size: ByteSize,
    /// Levels of a topic or filter; deeper ones are refused.
    pub max_topic_levels: usize,
    /// Bytes of a topic or filter; longer ones are refused.
    pub max_topic_length: usize,
    /// Publishes of one client in a second; beyond, it is read more slowly. 0: no limit.
    pub max_publish_rate: u32,
    /// Bytes of one client in a second; beyond, it is read more slowly. 0: no limit.
    pub max_receive_rate: ByteSize,
    /// QoS 1 and 2 publishes of one client that may wait for their acknowledgement.
    pub receive_maximum: u16,
    /// Topic aliases a client may use (MQTT 5).
    pub topic_alias_maximum: u16,
    /// QoS 1 and 2 messages to one client that may wait for its acknowledgement.
    pub max_inflight: u16,
    /// Messages that may queue for one client before further ones are dropped (and counted).
    pub max_queued_messages: usize,
    /// Bytes that may queue for one client before further messages are dropped (and counted).
    pub max_queued_bytes: ByteSize,
    /// Bytes that may queue for all clients together, each message counted once; what is beyond its
    /// share is dropped (and counted).
    pub max_queued_bytes_total: ByteSize,
    /// How often the `$SYS/broker/` topics are published; "0s": never.
    #[serde(with = "humantime_serde")]
    pub sys_interval: Duration,
    /// Subscriptions of one client.
    pub max_subscriptions: usize,
    /// Bytes that their filters may take together.
    pub max_subscription_bytes: ByteSize,
    /// Sessions that outlive their connections, those of connected clients among them; a further
    /// one ends with its connection.
    pub max_sessions: usize,
    /// Of them, those of one user, or of all clients without a user. `None`: half of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions_per_user: Option<usize>,
    /// Of them, those of clients that log in with one device's secret.
    pub max_sessions_per_device: usize,
    /// The longest that a session is kept for a client that is not connected.
    #[serde(with = "humantime_serde")]
    pub max_session_expiry: Duration,
    /// The longest keep-alive, also for clients that ask for none; MQTT 5 clients are told. `None`:
    /// as the client asks.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_keep_alive: Option<Duration>,
    /// Retained messages kept.
    pub max_retained_messages: usize,
    /// Bytes of retained messages kept (topics and payloads).
    pub max_retained_bytes: ByteSize,
    /// The log of kept sessions; at this size changes are no longer saved (and counted). 0:
    /// sessions are kept in memory only.
    pub max_session_log_size: ByteSize,
    /// How often the files that may change are looked at: access rules, users, keys of tokens,
    /// certificates.
    #[serde(with = "humantime_serde")]
    pub reload_interval: Duration,
    /// Who may publish and subscribe to what.
    pub acl: rules::Config,
    /// Further listeners, of any kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listener: Vec<listener::Config>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:1883".into(),
            allow_anonymous: false,
            auth: login::Config::default(),
            max_connections: 100_000,
            max_connections_per_address: 0,
            max_connect_rate: 0,
            connect_timeout: Duration::from_secs(10),
            max_packet_size: ByteSize::mb(1),
            max_payload_size: ByteSize::mb(1),
            max_publish_rate: 0,
            max_receive_rate: ByteSize(0),
            max_topic_levels: 200,
            max_topic_length: 65_535,
            receive_maximum: 1_024,
            topic_alias_maximum: 32,
            max_inflight: 100,
            max_queued_messages: 10_000,
            max_queued_bytes: ByteSize::mb(16),
            max_queued_bytes_total: ByteSize::mb(256),
            sys_interval: Duration::from_secs(10),
            max_subscriptions: 1_000,
            max_subscription_bytes: ByteSize::kb(256),
            max_sessions: 100_000,
            max_sessions_per_user: None,
            max_sessions_per_device: 10,
            max_session_expiry: Duration::from_secs(7 * 24 * 60 * 60),
            max_keep_alive: None,
            max_retained_messages: 1_000_000,
            max_retained_bytes: ByteSize::mb(256),
            max_session_log_size: ByteSize::gb(3),
            reload_interval: Duration::from_secs(1),
            acl: rules::Config::default(),
            listener: Vec::new(),
        }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// One at least.
    pub listeners: Vec<listener::Settings>,
    pub(crate) anonymous: Anonymous,
    pub auth: login::Settings,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    /// In a second; `None`: no limit.
    pub max_connect_rate: Option<u64>,
    pub connect_timeout: Duration,
    pub max_packet_bytes: usize,
    pub max_payload_bytes: usize,
    pub(crate) client_rates: ClientRates,
    pub topics: TopicLimits,
    pub receive_maximum: u16,
    pub topic_alias_maximum: u16,
    pub max_inflight: u16,
    pub max_queued_messages: usize,
    pub max_queued_bytes: usize,
    pub max_queued_bytes_total: usize,
    /// `None`: never.
    pub sys_interval: Option<Duration>,
    pub(crate) subscriptions: FilterLimits,
    pub(crate) kept_sessions: KeptLimits,
    /// Below `u32::MAX`, which means "never" on the wire.
    pub max_session_expiry_seconds: u32,
    /// 0: no log.
    pub max_session_log_bytes: u64,
    /// Seconds.
    pub max_keep_alive: Option<u16>,
    pub max_retained_messages: usize,
    pub max_retained_bytes: usize,
    pub reload_interval: Duration,
    pub acl: rules::Settings,
}

/// The smallest useful packet limit, "1KB"; below it not even a CONNECT with a will fits.
const MAX_PACKET_BYTES_MIN: u64 = 1_000;
/// "1MB": a few clients that keep up have as much on the way.
const MAX_QUEUED_BYTES_TOTAL_MIN: u64 = 1_000_000;
/// More often would cost the broker more than it tells.
const SYS_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Filters are walked level by level by recursion, and a stack that runs out takes the process with
/// it.
const TOPIC_LEVELS_MAX: usize = 1_000;
/// One more means "never" on the wire.
const SESSION_EXPIRY_SECONDS_MAX: u32 = u32::MAX - 1;
/// The log of kept sessions is compacted in segments of a sixteenth of it, and a segment should
/// hold many events.
const MAX_SESSION_LOG_BYTES_MIN: u64 = 4 << 20;
/// Looking at the files more often would cost more than anybody gains.
const RELOAD_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Beyond it a change would seem to be ignored.
const RELOAD_INTERVAL_MAX: Duration = Duration::from_secs(3_600);
/// MQTT cannot express a larger packet; "256MiB" and the four bytes before.
const MAX_PACKET_BYTES_MAX: u64 = 268_435_460;

impl Config {
    /// Checks every value; the first problem is reported.
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        let listeners = self.listeners()?;
        let max_packet = self.max_packet_size.as_u64();
        if !(MAX_PACKET_BYTES_MIN..=MAX_PACKET_BYTES_MAX).contains(&max_packet) {
            return Err(out_of_range("max_packet_size", "1KB", "256MiB"));
        }
        if !(1..=TOPIC_LEVELS_MAX).contains(&self.max_topic_levels) {
            return Err(out_of_range("max_topic_levels", "1", "1000"));
        }
        if self.max_topic_length == 0 {
            return Err(out_of_range("max_topic_length", "1", "65535"));
        }
        if self.receive_maximum == 0 {
            return Err(out_of_range("receive_maximum", "1", "65535"));
        }
        if self.max_inflight == 0 {
            return Err(out_of_range("max_inflight", "1", "65535"));
        }
        let max_queued_bytes_total = self.max_queued_bytes_total.as_u64();
        if max_queued_bytes_total < MAX_QUEUED_BYTES_TOTAL_MIN {
            return Err(out_of_range(
                "max_queued_bytes_total",
                "1MB",
                "any larger size",
            ));
        }
        if !self.sys_interval.is_zero() && self.sys_interval < SYS_INTERVAL_MIN {
            return Err(out_of_range(
                "sys_interval",
                "100ms",
                "any longer time, or be 0s",
            ));
        }
        if self.connect_timeout.is_zero() {
            return Err(out_of_range("connect_timeout", "1ms", "any longer time"));
        }
        if !(RELOAD_INTERVAL_MIN..=RELOAD_INTERVAL_MAX).contains(&self.reload_interval) {
            return Err(out_of_range("reload_interval", "10ms", "1h"));
        }
        let expiry = self.max_session_expiry.as_secs();
        let Ok(max_session_expiry_seconds @ 0..=SESSION_EXPIRY_SECONDS_MAX) = u32::try_from(expiry)
        else {
            return Err(out_of_range("max_session_expiry", "0s", "136years"));
        };
        let max_session_log_bytes = self.max_session_log_size.as_u64();
        if !matches!(max_session_log_bytes, 0 | MAX_SESSION_LOG_BYTES_MIN..) {
            return Err(out_of_range(
                "max_session_log_size",
                "4MiB",
                "any larger size, or be 0B",
            ));
        }
        let max_keep_alive = match self.max_keep_alive.map(|longest| longest.as_secs()) {
            None => None,
            Some(seconds @ 1..=0xFFFF) => Some(seconds as u16),
            Some(_) => return Err(out_of_range("max_keep_alive", "1s", "65535s")),
        };
        Ok(Settings {
            anonymous: self.anonymous(&listeners),
            listeners,
            auth: self.auth.validate()?,
            max_connections: self.max_connections,
            max_connections_per_address: match self.max_connections_per_address {
                0 => self.max_connections,
                own => own,
            },
            max_connect_rate: (self.max_connect_rate != 0).then_some(self.max_connect_rate.into()),
            connect_timeout: self.connect_timeout,
            max_packet_bytes: max_packet as usize,
            max_payload_bytes: self.max_payload_size.as_u64() as usize,
            client_rates: ClientRates {
                publishes: (self.max_publish_rate != 0).then_some(self.max_publish_rate.into()),
                bytes: (self.max_receive_rate.0 != 0).then_some(self.max_receive_rate.0),
            },
            topics: TopicLimits {
                bytes_max: self.max_topic_length,
                levels_max: self.max_topic_levels,
            },
            receive_maximum: self.receive_maximum,
            topic_alias_maximum: self.topic_alias_maximum,
            max_inflight: self.max_inflight,
            max_queued_messages: self.max_queued_messages,
            max_queued_bytes: self.max_queued_bytes.as_u64() as usize,
            max_queued_bytes_total: max_queued_bytes_total as usize,
            sys_interval: (!self.sys_interval.is_zero()).then_some(self.sys_interval),
            subscriptions: FilterLimits {
                count: self.max_subscriptions,
                bytes: self.max_subscription_bytes.as_u64() as usize,
            },
            kept_sessions: KeptLimits {
                all: self.max_sessions,
                per_user: self
                    .max_sessions_per_user
                    .unwrap_or(self.max_sessions.div_ceil(2)),
                per_device: self.max_sessions_per_device,
            },
            max_session_expiry_seconds,
            max_session_log_bytes,
            max_keep_alive,
            max_retained_messages: self.max_retained_messages,
            max_retained_bytes: self.max_retained_bytes.as_u64() as usize,
            reload_interval: self.reload_interval,
            acl: self.acl.validate()?,
        })
    }

    /// All listeners, `listen` first.
    fn listeners(&self) -> Result<Vec<listener::Settings>, ConfigError> {
        let mut listeners = Vec::new();
        if !self.listen.is_empty() {
            let key = || "listen".into();
            let plain = listener::Settings::plain(listener::resolve(&self.listen, key)?);
            listeners.push(plain);
        }
        for (index, written) in self.listener.iter().enumerate() {
            listeners.push(written.validate(index)?);
        }
        if listeners.is_empty() {
            return Err(ConfigError {
                key: "listen".into(),
                problem: "is empty, and there is no other listener".into(),
                hint: Some(
                    "set it to an address such as \"127.0.0.1:1883\", or add a \
                     `[[broker.listener]]`"
                        .into(),
                ),
                source: None,
            });
        }
        Ok(listeners)
    }
}

impl Config {
    /// The rule that keeps a broker closed: beyond loopback nobody is anonymous unless it is
    /// written down.
    fn anonymous(&self, listeners: &[listener::Settings]) -> Anonymous {
        match self.allow_anonymous {
            true => Anonymous::Always,
            false if listeners.iter().any(listener::Settings::is_reachable) => Anonymous::Never,
            false => Anonymous::WithoutUsers,
        }
    }
}

impl Settings {
    /// Whether clients without credentials are let in whoever else logs in.
    pub fn allows_anonymous(&self) -> bool {
        self.anonymous == Anonymous::Always
    }

    /// Whether nobody can get in as long as there is no user: other machines reach the broker, it
    /// believes no tokens, and clients need not bring a certificate.
    pub fn needs_users(&self) -> bool {
        let needs_one = |listener: &listener::Settings| {
            let has_name = listener.requires_certificate() && self.auth.certificate_is_user;
            listener.is_reachable() && !has_name
        };
        self.anonymous == Anonymous::Never
            && self.auth.tokens.is_none()
            && self.listeners.iter().any(needs_one)
    }
}

fn out_of_range(key: &'static str, low: &str, high: &str) -> ConfigError {
    ConfigError {
        key: key.into(),
        problem: format!("must lie between {low} and {high}"),
        hint: None,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_nobody_is_anonymous_unless_it_is_written_down() {
        for (listen, allow_anonymous, expected, needs_users) in [
            ("127.0.0.1:1883", false, Anonymous::WithoutUsers, false),
            ("[::1]:1883", false, Anonymous::WithoutUsers, false),
            ("0.0.0.0:1883", false, Anonymous::Never, true),
            ("[::]:1883", false, Anonymous::Never, true),
            ("192.0.2.1:1883", false, Anonymous::Never, true),
            ("0.0.0.0:1883", true, Anonymous::Always, false),
            ("127.0.0.1:1883", true, Anonymous::Always, false),
        ] {
            let config = Config {
                listen: listen.into(),
                allow_anonymous,
                ..Config::default()
            };
            let settings = config.validate().expect("valid");
            assert_eq!(settings.anonymous, expected, "{listen}");
            assert_eq!(settings.needs_users(), needs_users, "{listen}");
        }
    }

    #[test]
    fn an_unusable_value_is_named() {
        let config = Config {
            max_packet_size: ByteSize(10),
            ..Config::default()
        };
        let error = config.validate().expect_err("too small");
        assert_eq!(
            error.to_string(),
            "`broker.max_packet_size` must lie between 1KB and 256MiB"
        );
        for allowed in ["1KB", "256MiB"] {
            let config: Config =
                toml::from_str(&format!("max_packet_size = \"{allowed}\"")).expect("the format");
            assert!(config.validate().is_ok(), "{allowed} is said to be allowed");
        }
        let config = Config {
            listen: "nowhere".into(),
            ..Config::default()
        };
        assert!(
            config
                .validate()
                .expect_err("no port")
                .to_string()
                .contains("`nowhere`")
        );
    }
}
