//! One alert as one line for people.
//!
//! Owns: columns and colours. Never: drops a part that tells alerts apart. Invariant: control
//! characters of a message never reach the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::board::{AlertEvent, Severity, Shown};

const INFO: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const CRITICAL: Style = AnsiColor::BrightRed.on_default().bold();
const RESOLVED: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

/// `2026-01-31 12:00:00  critical  boiler-0003  boiler-hot  firing  temperature 96.2 (90)  the
/// message`
pub(super) fn format(shown: &Shown, zone: &TimeZone) -> String {
    let event = &shown.event;
    let severity = match event.severity() {
        Severity::Info => INFO,
        Severity::Warning => WARNING,
        Severity::Critical => CRITICAL,
    };
    let state = match event.state.as_str() {
        "resolved" => RESOLVED,
        "acknowledged" => FAINT,
        _ => severity,
    };
    let word = if shown.was_active {
        "active"
    } else {
        &event.state
    };
    let time = time(
        if shown.was_active {
            &event.started_at
        } else {
            &event.updated_at
        },
        zone,
    );
    let mut line = format!(
        "{FAINT}{time}{FAINT:#}  {severity}{:<8}{severity:#}  {}  {}  {state}{:<8}{state:#}",
        clean(&event.severity),
        clean(&event.device),
        clean(&event.rule),
        clean(word),
    );
    if let Some(value) = value(event) {
        let _ = write!(line, "  {value}");
    }
    if !event.message.is_empty() {
        let _ = write!(line, "  {}", clean(&event.message));
    }
    line
}

/// `temperature 96.2, limit 90`
fn value(event: &AlertEvent) -> Option<String> {
    let value = event.value?;
    let mut text = clean(&event.metric);
    if !text.is_empty() {
        text.push(' ');
    }
    let _ = write!(text, "{value}");
    if let Some(threshold) = event.threshold {
        let _ = write!(text, ", limit {threshold}");
    }
    Some(text)
}

fn time(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time
            .to_zoned_datetime(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => clean(text),
    }
}

/// Names and messages come from outside: an escape sequence in one must not steer the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
