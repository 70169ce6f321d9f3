//! `users.toml` as people write it, and what is wrong with it.
//!
//! Owns: the names of the keys, and what a name may be. Never: shows what stands in a password,
//! stops at the first mistake.
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

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{User, UserError};
use crate::password::PasswordHash;

/// Far beyond what a broker of one machine has users (some 200 bytes each); what is larger is
/// another file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Names travel with every connection and decision.
const NAME_BYTES_MAX: usize = 256;

/// One `[user.NAME]`.
#[derive(Default)]
struct Entry {
    password: Option<String>,
    groups: Vec<Spanned<String>>,
    disabled: bool,
}

/// So many letters of it may be wrong in a key that is meant to be `password`.
const PASSWORD_TYPOS_MAX: usize = 4;

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
    let (document, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let not_toml = |error: toml::de::Error| {
            let first = error.message().lines().next().unwrap_or("not TOML");
            problem(
                error.span().unwrap_or(0..0),
                format!("not TOML: {first}"),
                None,
            )
        };
        return Err(syntax.into_iter().map(not_toml).collect());
    }
    let mut errors = Vec::new();
    let mut users = HashMap::new();
    for (name, value) in entries(document.get_ref(), &mut |span, message, hint| {
        errors.push(problem(span, message, Some(hint)));
    }) {
        let span = name.span();
        let name = name.get_ref().to_string();
        let entry = read_entry(&name, &span, value, &mut |span, message, hint| {
            errors.push(problem(span, message, hint));
        });
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
    if errors.is_empty() {
        Ok(users)
    } else {
        errors.sort_by_key(|error| error.span.start);
        Err(errors)
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

type Name<'t> = Spanned<DeString<'t>>;
type Value<'t> = Spanned<DeValue<'t>>;

/// What stands below `user`; whatever else is in the file is an error.
fn entries<'t, 'i>(
    document: &'t DeTable<'i>,
    error: &mut impl FnMut(Range<usize>, String, &str),
) -> Vec<(&'t Name<'i>, &'t Value<'i>)> {
    const BEGIN: &str = "a user begins with a line `[user.NAME]`";
    let mut users = Vec::new();
    for (key, value) in document.iter() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("user", DeValue::Table(table)) => users.extend(table.iter()),
            ("user", _) => error(key.span(), "`user` is no table of users".into(), BEGIN),
            (other, _) => error(
                key.span(),
                format!("unknown section or key `{other}`"),
                BEGIN,
            ),
        }
    }
    users
}

/// The user's values as far as they can be read. Never quotes one, for it may be a password.
fn read_entry(
    name: &str,
    place: &Range<usize>,
    value: &Value<'_>,
    error: &mut impl FnMut(Range<usize>, String, Option<&str>),
) -> Entry {
    let mut entry = Entry::default();
    let DeValue::Table(table) = value.get_ref() else {
        let hint = format!("write `[user.{name}]`, and its keys below");
        error(
            place.clone(),
            format!("user `{name}` is no table"),
            Some(&hint),
        );
        return entry;
    };
    for (key, value) in table.iter() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("password", DeValue::String(hash)) => entry.password = Some(hash.to_string()),
            // At the name: the line may hold a password in the clear.
            ("password", _) => error(
                place.clone(),
                format!("the password of user `{name}` must be a hash in quotes"),
                Some(&format!(
                    "`millrace user add {name} --update` asks for a password"
                )),
            ),
            ("groups", _) => match groups(value) {
                Some(groups) => entry.groups = groups,
                None => error(
                    value.span(),
                    "`groups` must be a list of names in quotes, such as [\"consoles\"]".into(),
                    None,
                ),
            },
            ("disabled", DeValue::Boolean(disabled)) => entry.disabled = *disabled,
            ("disabled", _) => error(
                value.span(),
                "`disabled` must be true or false".into(),
                None,
            ),
            (other, _) => error(
                if is_password(other) {
                    place.clone()
                } else {
                    key.span()
                },
                format!("unknown key `{other}`"),
                Some(&format!("a user has `{}`", KEYS.join("`, `"))),
            ),
        }
    }
    entry
}

/// Whether the line of a key may hold a password, and had better not be shown.
fn is_password(key: &str) -> bool {
    strsim::damerau_levenshtein(&key.to_lowercase(), "password") <= PASSWORD_TYPOS_MAX
}

fn groups(value: &Value<'_>) -> Option<Vec<Spanned<String>>> {
    let name = |group: &Value<'_>| {
        let name = group.get_ref().as_str()?;
        Some(Spanned::new(group.span(), name.to_owned()))
    };
    value.get_ref().as_array()?.iter().map(name).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
