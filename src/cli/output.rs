//! Data for people and pipes, on stdout.
//!
//! Owns: what happens when the reader has gone. Never: writes to stderr. Invariant: a closed pipe
//! is not a failure.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::diagnostics::Failure;

/// Writes text as it is; colours are left out where nobody sees them.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    text_while_read(text).map(|_| ())
}

/// The same for output in pieces: false when the reader has gone, and there is no use in going on.
pub(crate) fn text_while_read(text: &str) -> Result<bool, Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}"))),
    }
}

/// Writes one value as indented JSON and a newline.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = serde_json::to_string_pretty(value)?;
    out.push('\n');
    text(&out)
}

/// `1 rule`, `2 rules`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
