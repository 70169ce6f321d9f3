//! `users.toml` as people write it, and what is wrong with it.
//!
//! Owns: the names of the keys, and what a name may be. Never: shows what stands in a password.
//!
//! ```toml
//! [user.alice]
//! password = "$argon2id$v=19$m=19456,t=2,p=1$…"
//! groups = ["consoles"]
//!
//! [user.gateway-7]        # comes with a certificate of that name
//! groups = ["gateways"]
//! disabled = true
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{User, UserError};
use crate::auth::password::PasswordHash;

/// Far beyond what a broker of one machine has users (some 200 bytes each); what is larger is another file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Names travel with every connection and decision.
const NAME_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Written {
    user: BTreeMap<Spanned<String>, Entry>,
}

/// One `[user.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    password: Option<String>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    #[serde(default)]
    disabled: bool,
}

/// The keys of a `[user.NAME]`.
const KEYS: [&str; 3] = ["password", "groups", "disabled"];

pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

pub(super) fn parse(text: &str) -> Result<HashMap<Box<str>, Arc<User>>, Vec<UserError>> {
    let problem = |span: Range<usize>, message: String, hint: Option<&str>| UserError {
        line: line_of(text, span.start),
        span,
        message,
        hint: hint.map(str::to_owned),
    };
    let written: Written = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let (message, hint) = explain(error.message());
        vec![problem(span, message, hint.as_deref())]
    })?;
    let mut errors = Vec::new();
    let mut users = HashMap::with_capacity(written.user.len());
    for (name, entry) in written.user {
        let span = name.span();
        let name = name.into_inner();
        if let Err(reason) = check_name(&name) {
            errors.push(problem(
                span,
                format!("user `{}` {reason}", name.escape_debug()),
                None,
            ));
            continue;
        }
        let wrong_group = entry.groups.iter().find_map(|group| {
            let reason = check_name(group.get_ref()).err()?;
            let message = format!(
                "group `{}` of user `{name}` {reason}",
                group.get_ref().escape_debug()
            );
            Some(problem(group.span(), message, None))
        });
        errors.extend(wrong_group);
        let password = match entry
            .password
            .as_deref()
            .map(PasswordHash::parse)
            .transpose()
        {
            Ok(password) => password,
            Err(reason) => {
                // At the name: the line of the password may hold one in the clear.
                let message = format!("the password of user `{name}` {reason}");
                let hint = format!("`millrace user add {name} --update` asks for a password");
                errors.push(problem(span, message, Some(&hint)));
                continue;
            }
        };
        let mut groups: Vec<Box<str>> = entry
            .groups
            .into_iter()
            .map(|group| group.into_inner().into())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        let user = User::new(&name, password, groups.into(), entry.disabled);
        users.insert(name.into(), Arc::new(user));
    }
    match errors.is_empty() {
        true => Ok(users),
        false => {
            errors.sort_by_key(|error| error.span.start);
            Err(errors)
        }
    }
}

/// What is wrong with the name of a user or a group.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("has no name".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("is longer than {NAME_BYTES_MAX} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("contains control characters".into());
    }
    Ok(())
}

/// serde's words for people. It quotes values when a type is wrong, and a value may be a password.
fn explain(message: &str) -> (String, Option<String>) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let key = rest.split('`').nth(1).unwrap_or_default();
        return match KEYS
            .iter()
            .any(|known| message.contains(&format!("`{known}`")))
        {
            true => (
                format!("unknown key `{key}`"),
                Some(format!("a user has `{}`", KEYS.join("`, `"))),
            ),
            false => (
                format!("unknown section or key `{key}`"),
                Some("a user begins with a line `[user.NAME]`".into()),
            ),
        };
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let expected = rest
            .rsplit_once("expected ")
            .map_or("another", |(_, word)| word);
        return (format!("wrong type of value: expected {expected}"), None);
    }
    let first = message.lines().next().unwrap_or("not TOML");
    (format!("not TOML: {first}"), None)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
