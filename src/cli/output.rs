//! Data for people and pipes, on stdout.
//!
//! Owns: what happens when the reader has gone. Never: writes to stderr. Invariant: a closed pipe is not a failure.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::diagnostics::Failure;

/// Writes text as it is; colours are left out where nobody sees them.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    reader_may_leave(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Writes one value as indented JSON and a newline.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = serde_json::to_string_pretty(value)?;
    out.push('\n');
    text(&out)
}

fn reader_may_leave(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
