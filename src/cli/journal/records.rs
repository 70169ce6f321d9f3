//! The records of a journal, one a line.
//!
//! Owns: how a payload is shown. Never: keeps more than one frame in memory. Invariant: one record
//! is one line, whatever bytes it holds.

use std::fmt::Write as _;
use std::path::Path;

use journal::{Position, Record, inspect};
use serde::Serialize;

use super::time;
use crate::cli::output;
use crate::diagnostics::Failure;

/// Characters of a payload that are shown to people; `--json` has all of it.
const PAYLOAD_CHARS_MAX: usize = 120;

/// A record as JSON; the payload stands as text when it is UTF-8, as hexadecimal digits otherwise.
#[derive(Serialize)]
struct Line<'a> {
    position: Position,
    received_at: String,
    client_id: &'a str,
    user: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_id: Option<u16>,
    content_type: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

/// Prints up to `limit` records from `from` on, or from the first there is.
pub(super) fn print(
    folder: &Path,
    from: Position,
    limit: Option<usize>,
    json: bool,
) -> Result<(), Failure> {
    let mut left = limit.unwrap_or(usize::MAX);
    for chunk in inspect::records(folder, from)? {
        let chunk = chunk?;
        let mut lines = String::new();
        for (position, record) in chunk.records().take(left) {
            if json {
                json_line(&mut lines, position, &record)?
            } else {
                text_line(&mut lines, position, &record)
            }
            left -= 1;
        }
        if !output::text_while_read(&lines)? || left == 0 {
            break;
        }
    }
    Ok(())
}

fn json_line(out: &mut String, position: Position, record: &Record<'_>) -> Result<(), Failure> {
    let text = std::str::from_utf8(record.payload).ok();
    let line = Line {
        position,
        received_at: time(record.received_at),
        client_id: record.client_id,
        user: record.user,
        qos: record.qos,
        packet_id: record.packet_id,
        content_type: record.content_type,
        topic: record.topic,
        payload: text,
        payload_hex: text.is_none().then(|| hex(record.payload)),
    };
    out.push_str(&serde_json::to_string(&line)?);
    out.push('\n');
    Ok(())
}

pub(super) fn text_line(out: &mut String, position: Position, record: &Record<'_>) {
    let text = String::from_utf8_lossy(record.payload);
    let mut payload: String = text
        .chars()
        .take(PAYLOAD_CHARS_MAX)
        .flat_map(visible)
        .collect();
    if text.chars().nth(PAYLOAD_CHARS_MAX).is_some() {
        payload.push('…');
    }
    let client: String = record.client_id.chars().flat_map(visible).collect();
    let topic: String = record.topic.chars().flat_map(visible).collect();
    let received = time(record.received_at);
    let _ = writeln!(
        out,
        "{position}  {received}  q{}  {client}  {topic}  {payload}",
        record.qos
    );
}

/// Control characters would move the cursor, or begin a new line.
fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}
