//! A fleet of devices that exists only on the wire.
//!
//! Owns: making load over MQTT and accounting for every message of it. Never: knows the server,
//! beyond what MQTT says. Invariant: the account of a run adds up: a message that was sent is
//! acknowledged, failed, or in flight.
//!
//! A run goes through these modules:
//!
//! ```text
//! keys, scenario ─▶ settings ─▶ run ─▶ worker ─▶ connection ─▶ wire
//!                                                 ▲     │
//!            profile, signal, fault ─▶ device     │     ├─▶ window: what is unacknowledged
//!      schedule, fleet (or replay) ─▶ source ─────┘     └─▶ tally, latency, expect ─▶ report
//! ```
//!
//! What it costs: with three metrics a message and 64 in flight on each of 100 connections, half a
//! microsecond of one core a message, signals and JSON included (release build; 550,000
//! acknowledged messages a second beside a server on the same two cores). Below 20,000 messages a
//! second each message is written at its moment, which costs a system call or two each.

mod alerts;
mod clock;
mod connection;
mod device;
mod error;
mod expect;
mod fault;
mod fleet;
mod keys;
mod latency;
mod pacer;
mod payload;
mod profile;
mod progress;
mod replay;
mod report;
mod run;
mod scenario;
mod schedule;
mod settings;
mod signal;
mod source;
mod stream;
mod subscriber;
mod tally;
mod template;
mod tls;
mod units;
mod window;
mod wire;
mod worker;

pub use error::{ConnectError, Error};
pub use fault::{Fault, FaultKind, Trigger};
pub use keys::{FleetKeys, ReplayKeys, RunKeys};
pub use latency::LatencySummary;
pub use payload::{PayloadShape, TimeUnit};
pub use profile::{BUILT_IN, Metric, Profile};
pub use replay::{Columns, Replay, ReplayError};
pub use report::Report;
pub use run::run;
pub use scenario::Scenario;
pub use schedule::{Limit, Pace};
pub use settings::{Broker, Fleet, Load, MqttVersion, Progress, Settings};
pub use signal::{Signal, Waveform};
pub use subscriber::{News, Subscriber};
pub use template::Template;
pub use tls::{Advice, Tls, TlsError, TlsKeys};
