//! Where a connection's messages come from, and what they are written with.
//!
//! Owns: the seam between what is sent (a fleet's devices, a recorded file) and how (a connection).
//! Never: knows MQTT. Invariant: the messages of a source come in the order of their intended
//! moments.

mod lines;
mod payload;
mod template;

use std::error::Error;
use std::time::Duration;

pub(crate) use lines::{csv_field, write_line};
pub(crate) use payload::{DEFAULT_BATCH_SIZE, write};
pub use payload::{PayloadShape, TimeUnit};
pub(crate) use template::Filling;
pub use template::Template;

/// When the next message is meant to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// This long after the connection's start.
    At(Duration),
    /// As soon as there is room.
    Now,
    /// There is no further message.
    Never,
}

/// What a source has been asked for; reused from message to message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// The samples as lines of the `--expect` file; empty unless they are wanted.
    pub(crate) lines: Vec<u8>,
    pub(crate) samples: u32,
    /// How often the message is sent: 0 when the device is silent, 2 for a duplicate.
    pub(crate) copies: u8,
    /// The number of the device within the run, and the time of the newest sample: what an alert is
    /// recognised by.
    pub(crate) device: usize,
    pub(crate) time_us: i64,
}

impl Message {
    pub(crate) fn clear(&mut self) {
        self.topic.clear();
        self.payload.clear();
        self.lines.clear();
        self.samples = 0;
        self.copies = 0;
    }
}

/// A stream of messages with intended moments.
pub(crate) trait Source {
    /// The connection starts here: the wall clock in microseconds since 1970.
    fn start(&mut self, wall_us: i64);

    fn due(&mut self) -> Due;

    /// Fills the (cleared) message that is due; `elapsed` is the time since the start.
    fn next(&mut self, elapsed: Duration, message: &mut Message);

    /// Messages that have not been asked for; `None` when there is no end.
    fn left(&self) -> Option<u64>;

    /// The failure that ended the stream early, if one did.
    fn take_error(&mut self) -> Option<Box<dyn Error + Send + Sync>> {
        None
    }
}
