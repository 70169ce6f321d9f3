//! Devices that exist only in the simulator: what they measure, what befalls them, when they send.
//!
//! Owns: a fleet from its settings to its messages. Never: knows a socket. Invariant: the same
//! settings and seed give the same messages.

mod device;
mod fault;
mod profile;
mod schedule;
mod settings;
mod signal;
mod source;

pub use fault::{Fault, FaultKind, Trigger};
pub(crate) use fault::{FaultCounters, Storms};
pub use profile::{BUILT_IN, Metric, Profile};
pub use schedule::{Limit, Pace};
pub use settings::Fleet;
pub use signal::{Signal, Waveform};
pub(crate) use source::{FleetSource, Kind, Place};
