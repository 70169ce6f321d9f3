//! Why a connection ends, and how that is said in a line of the log.
//!
//! Owns: the kinds of ends. Never: ends anything.

use std::fmt;
use std::io;

use mqtt::{DecodeError, ReasonCode};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said DISCONNECT; `will`: and asked for its will to be published.
    Disconnected {
        will: bool,
    },
    /// The socket was closed without a word.
    Closed,
    Io(io::Error),
    /// Bytes that are not MQTT, or a packet that is not allowed.
    Malformed(DecodeError),
    /// The gate ends it, for a reason MQTT 5 has a code for.
    Refused(ReasonCode),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Disconnected { .. } => f.write_str("disconnected by the client"),
            End::Closed => f.write_str("closed by the client without a disconnect"),
            End::Io(error) => write!(f, "lost: {error}"),
            End::Malformed(error) => write!(f, "malformed: {error}"),
            End::Refused(reason) => write!(f, "ended: {}", reason.name()),
        }
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> End {
        End::Malformed(error)
    }
}
