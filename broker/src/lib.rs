//! The gate: every MQTT session, and what is published to whom.
//!
//! Owns: every MQTT session, from the socket to the acknowledgement. Never: decodes telemetry or
//! touches a database. Invariant: a QoS 1 publish on a telemetry topic is acknowledged only after
//! the journal holds it durably.

mod broker;
mod budget;
mod client;
mod clock;
mod config;
mod connection;
mod delivery;
mod end;
mod exchange;
mod fanout;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod handshake;
mod limits;
mod listener;
mod lock;
mod message;
mod presence;
mod proxy_protocol;
mod publisher;
mod registry;
mod retained;
mod session;
mod session_log;
mod stats;
mod subscriptions;
mod system;
mod tls;
mod upkeep;
pub mod verify;
mod websocket;

pub use broker::{Broker, Parts, StartError};
pub use config::{Config, ConfigError, Settings};
pub use gate::{IsTelemetry, OnUntaken, Untaken};
pub use limits::LineBudget;
pub use listener::{
    Config as ListenerConfig, Kind as ListenerKind, Listening, Settings as ListenerSettings,
};
pub use publisher::Publisher;
pub use session::SlowSession;
pub use stats::{Counter, Stats};
pub use system::SystemValues;
