//! Limits on what a client, or an address, may ask for in a time, and on what it can make the log
//! say.
//!
//! Owns: the counting. Never: ends or delays anything itself; whoever asks acts on the answer.

mod addresses;
mod kept;
mod rate;
mod refusals;
mod room;
mod seldom;
mod throttle;

pub(crate) use addresses::{Addresses, Place};
pub(crate) use kept::{KeptLimits, KeptPlace, KeptSessions, NoPlace};
pub(crate) use rate::TokenBucket;
pub(crate) use refusals::{Kind as RefusalKind, Refusals, Who};
pub(crate) use room::{Room, Share};
pub use seldom::LineBudget;
pub(crate) use seldom::Seldom;
pub(crate) use throttle::{ClientRates, Throttle};

/// Unsent bytes above which nothing more is read from or prepared for this client. What they hold
/// is a copy for this client alone, while what waits in its queue is shared with the others: a
/// thousand that do not read cost a thousand times this.
pub(crate) const UNSENT_BYTES_MAX: usize = 32 * 1024;
