//! What `millrace device list` shows of a device.

use devices::credentials::Credential;
use serde::Serialize;

use super::time;

/// One device. Times are RFC 3339, in UTC.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    device: String,
    /// Whether it is let in.
    active: bool,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// Until when the secret before the last rotation lets it in too.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_until: Option<String>,
}

impl Line {
    pub(super) fn of(credential: &Credential, now: i64) -> Line {
        let previous = credential.previous.filter(|previous| previous.until > now);
        Line {
            device: credential.device.clone(),
            active: credential.revoked_at.is_none(),
            created_at: time(credential.created_at),
            rotated_at: credential.rotated_at.map(time),
            revoked_at: credential.revoked_at.map(time),
            old_secret_until: previous.map(|previous| time(previous.until)),
        }
    }

    fn state(&self) -> String {
        if let Some(revoked_at) = &self.revoked_at {
            return format!("revoked {revoked_at}");
        }
        let mut state = format!("active since {}", self.created_at);
        if let Some(rotated_at) = &self.rotated_at {
            state.push_str(&format!(", rotated {rotated_at}"));
        }
        if let Some(until) = &self.old_secret_until {
            state.push_str(&format!(", the old secret is good until {until}"));
        }
        state
    }
}

pub(super) fn text(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "no device has a secret\n".to_owned();
    }
    let width = lines.iter().map(|line| line.device.chars().count()).max();
    let width = width.unwrap_or(0);
    lines.iter().fold(String::new(), |text, line| {
        text + &format!("{:width$}  {}\n", line.device, line.state())
    })
}
