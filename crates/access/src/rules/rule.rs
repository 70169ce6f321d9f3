//! One rule, and how it is held against a client and a topic by itself.
//!
//! Owns: the meaning of a rule's keys, in its plainest form: `explain` walks the rules with it, and
//! tests hold the compiled form against it. Never: knows other rules.

use std::fmt;
use std::ops::Range;

use foldhash::HashSet;

use super::principal::{Placeholder, Principal};
use super::relation;
use super::{Action, Decision};
use mqtt::topic;

/// One `[[rule]]`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) effect: Decision,
    pub(super) actions: Actions,
    pub(super) who: Who,
    pub(super) topics: Vec<Template>,
    /// Its bytes in the file.
    pub(super) span: Range<usize>,
}

/// What the rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actions {
    Publish,
    Subscribe,
    Both,
}

/// Whom the rule is about: every key that is there must fit; without any it is about everybody.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    /// Only clients without a user.
    pub(super) anonymous: bool,
    pub(super) user: Option<Names>,
    pub(super) group: Option<Names>,
    pub(super) client: Option<Names>,
    pub(super) certificate: Option<Names>,
}

/// Names of which one must fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) exact: HashSet<Box<str>>,
    /// With `*`, which stands for any characters.
    pub(super) globs: Vec<Box<str>>,
    /// `%u`: the name of the client's user, so that nobody can pass for another.
    pub(super) own_user: bool,
}

/// What names can be looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Name(Box<str>),
    /// What a glob begins with.
    Start(Box<str>),
    /// What a glob that begins with `*` ends with.
    End(Box<str>),
}

/// A filter of a rule, with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// As it is written.
    pub(super) text: Box<str>,
    pub(super) levels: Box<[Level]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    Literal(Box<str>),
    /// `+`
    Single,
    /// `#`
    Multi,
    Placeholder(Placeholder),
}

/// Why a rule has no say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss<'a> {
    Action,
    Anonymous,
    User,
    Group,
    Client,
    Certificate,
    /// No filter fits.
    Topics,
    /// A filter of the rule meets the one that is asked for without covering it: an allow rule has
    /// no say then, and a deny rule takes a part away from one that allows.
    OnlyOverlaps(&'a Template),
    /// A filter would perhaps fit, but the client's own name cannot stand in it.
    Unexpandable(&'a Template),
}

impl Rule {
    /// The filter by which the rule decides, or why it has no say. `topic` is without
    /// `$share/{group}/`.
    pub(super) fn judge(
        &self,
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Result<&Template, Miss<'_>> {
        if !self.actions.include(action) {
            return Err(Miss::Action);
        }
        self.who.judge(principal)?;
        let mut miss = Miss::Topics;
        for template in &self.topics {
            let Some(filter) = template.expand(principal) else {
                if miss == Miss::Topics {
                    miss = Miss::Unexpandable(template);
                }
                continue;
            };
            let fits = match action {
                Action::Publish => topic::matches(&filter, topic),
                Action::Subscribe => relation::covers(&filter, topic),
            };
            if fits {
                return Ok(template);
            }
            if action == Action::Subscribe && relation::overlaps(&filter, topic) {
                miss = Miss::OnlyOverlaps(template);
            }
        }
        Err(miss)
    }
}

impl Actions {
    pub(super) fn include(self, action: Action) -> bool {
        match self {
            Actions::Publish => action == Action::Publish,
            Actions::Subscribe => action == Action::Subscribe,
            Actions::Both => true,
        }
    }
}

impl Who {
    pub(super) fn fits(&self, principal: &Principal<'_>) -> bool {
        self.judge(principal).is_ok()
    }

    /// Which key does not fit, if one does not.
    fn judge(&self, principal: &Principal<'_>) -> Result<(), Miss<'static>> {
        let Principal {
            identity,
            client_id,
        } = principal;
        let user = &*identity.user;
        let fits = |names: &Option<Names>, name: &str| match names {
            Some(names) => names.contain(name, user),
            None => true,
        };
        if self.anonymous && !user.is_empty() {
            return Err(Miss::Anonymous);
        }
        if !fits(&self.user, user) {
            return Err(Miss::User);
        }
        if self.group.is_some() && !identity.groups.iter().any(|group| fits(&self.group, group)) {
            return Err(Miss::Group);
        }
        if !fits(&self.client, client_id) {
            return Err(Miss::Client);
        }
        if !fits(
            &self.certificate,
            identity.certificate.as_deref().unwrap_or_default(),
        ) {
            return Err(Miss::Certificate);
        }
        Ok(())
    }
}

impl Names {
    /// Nothing fits a name that is not there.
    fn contain(&self, name: &str, user: &str) -> bool {
        !name.is_empty()
            && (self.exact.contains(name)
                || (self.own_user && name == user)
                || self.globs.iter().any(|glob| glob_matches(glob, name)))
    }

    /// What they can be looked up by; `None` when one of them could be any name.
    pub(super) fn keys(&self) -> Option<HashSet<Key>> {
        if self.own_user {
            return None;
        }
        let exact = self.exact.iter().map(|name| Some(Key::Name(name.clone())));
        let globs = self.globs.iter().map(|glob| {
            let (start, rest) = glob.split_once('*')?;
            if !start.is_empty() {
                return Some(Key::Start(start.into()));
            }
            let end = rest.rsplit('*').next().unwrap_or(rest);
            (!end.is_empty()).then(|| Key::End(end.into()))
        });
        exact.chain(globs).collect()
    }
}

impl Template {
    /// The filter for this client; `None` when a placeholder has no value that can stand in a
    /// filter.
    pub(super) fn expand(&self, principal: &Principal<'_>) -> Option<String> {
        let mut filter = String::with_capacity(self.text.len());
        for (at, level) in self.levels.iter().enumerate() {
            if at > 0 {
                filter.push('/');
            }
            filter.push_str(match level {
                Level::Literal(literal) => literal,
                Level::Single => "+",
                Level::Multi => "#",
                Level::Placeholder(placeholder) => principal.expand(placeholder, at == 0)?,
            });
        }
        Some(filter)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Whether the whole name matches; `*` stands for any characters, none included.
fn glob_matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    // `split` yields at least one part.
    let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else {
        return false;
    };
    let Some(end) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        // The leftmost place leaves the most for what follows.
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (glob, fits, others) in [
            ("*", &["", "a", "*"][..], &[][..]),
            ("a*", &["a", "ab", "a*"], &["", "ba", "A"]),
            ("*a", &["a", "ba", "aa"], &["", "ab"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab", ""]),
            ("a*b*c", &["abc", "axxbyyc", "abbc"], &["acb", "ab", "ac"]),
            ("*ab*ab*", &["abab", "xabyabz"], &["ab", "aba"]),
            ("größe-*", &["größe-1"], &["grösse-1"]),
            ("a", &["a"], &["ab", ""]),
        ] {
            for name in fits {
                assert!(glob_matches(glob, name), "{glob} {name}");
            }
            for name in others {
                assert!(!glob_matches(glob, name), "{glob} {name}");
            }
        }
    }
}
