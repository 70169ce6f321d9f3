//! Limits on what a client, or an address, may ask for in a time.
//!
//! Owns: the counting. Never: ends or delays anything itself; whoever asks acts on the answer.

mod addresses;
mod kept;
mod rate;
mod throttle;

pub(crate) use addresses::{Addresses, Place, counted};
pub(crate) use kept::{KeptLimits, KeptPlace, KeptSessions, NoPlace};
pub(crate) use rate::TokenBucket;
pub(crate) use throttle::{ClientRates, Throttle};
