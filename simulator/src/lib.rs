//! A fleet of devices that exists only on the wire.
//!
//! Owns: making load over MQTT and accounting for every message of it. Never: knows the server,
//! beyond what MQTT says. Invariant: the account of a run adds up: a message that was sent is
//! acknowledged, failed, or in flight.
//!
//! Folders from top to bottom; none knows one above it:
//!
//! ```text
//! run        threads and connections: what is due is sent, what is answered is counted
//! scenario   what people wrote (flags, a file), and the settings it comes to
//! report     what is counted, measured and shown
//! fleet      devices: signals, faults, schedules       replay   a recorded file instead of them
//! message    where messages come from, and their form  wire     sockets, TLS, MQTT
//! ```
//!
//! What it costs: with three metrics a message and 64 in flight on each of 100 connections, half a
//! microsecond of one core a message, signals and JSON included (release build; 550,000
//! acknowledged messages a second beside a server on the same two cores). Below 20,000 messages a
//! second each message is written at its moment, which costs a system call or two each.

mod error;
mod fleet;
mod message;
mod replay;
mod report;
mod run;
mod scenario;
mod units;
mod wire;

pub use error::Error;
pub use fleet::{
    BUILT_IN, Fault, FaultKind, Fleet, Limit, Metric, Pace, Profile, Signal, Trigger, Waveform,
};
pub use message::{PayloadShape, Template, TimeUnit};
pub use replay::{Columns, Replay, ReplayError};
pub use report::{LatencySummary, Report};
pub use run::run;
pub use scenario::{FleetKeys, Load, Progress, ReplayKeys, RunKeys, Scenario, Settings};
pub use wire::{
    Advice, Broker, ConnectError, MqttVersion, News, Subscriber, Tls, TlsError, TlsKeys,
};
