//! The compiled form of the rules: for each client only the trees it can have a rule in.
//!
//! Owns: which tree a rule lies in. A rule that names users, clients, certificates or groups lies
//! in a tree for each name, or for what each glob begins or ends with, so that a thousand users
//! cost a look-up; any other lies in the tree for everybody and is asked when its filter is met.
//! Never: decides by itself what a rule means. Invariant: for a client the trees found hold every
//! rule that is about it.

use foldhash::{HashMap, HashSet};

use super::principal::Principal;
use super::rule::{Key, Names, Rule};
use super::tree::{Entry, NO_RULE, Node, Search};
use super::{Action, Decision};
use mqtt::topic;

/// A rule with many names and many filters is one set of filters in the tree for everybody instead
/// of one for each name: beyond this many copies memory counts for more than the look-up.
const COPIES_MAX: usize = 1_024;

/// Different lengths of what globs begin with, and of what those that begin with `*` end with; the
/// globs of further ones are asked one by one.
const LENGTHS_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Index {
    everybody: Trees,
    anonymous: Trees,
    users: Named,
    groups: Named,
    clients: Named,
    certificates: Named,
}

/// The trees of one key.
#[derive(Debug, Default)]
struct Named {
    by_name: HashMap<Box<str>, Trees>,
    /// By what a glob begins with, or ends with if it begins with `*`; their rules are asked
    /// whether the rest fits too.
    by_start: Parts,
    by_end: Parts,
}

/// The trees of names that have a part in common.
#[derive(Debug, Default)]
struct Parts {
    trees: HashMap<Box<str>, Trees>,
    /// Bytes of these parts, each once, so that a name is looked up as often as there are different
    /// ones.
    lengths: Vec<usize>,
}

/// One set of rules by what is asked of it.
#[derive(Debug, Default)]
struct Trees {
    publish: Node,
    /// Apart, because a deny rule that only meets a filter counts too.
    subscribe_allow: Node,
    subscribe_deny: Node,
}

/// What the rules say.
pub(super) struct Found {
    /// The one that decides; `None`: no rule does.
    pub(super) rule: Option<usize>,
    /// It allows a filter, and rules before it deny a part of what that brings.
    pub(super) partly: bool,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Index {
        let mut index = Index::default();
        for (number, rule) in rules.iter().enumerate() {
            // A file is far too small for so many.
            index.insert(u32::try_from(number).unwrap_or(NO_RULE), rule);
        }
        index
    }

    /// The rule that decides, and whether another before it denies a part. `topic` is without
    /// `$share/{group}/`.
    pub(super) fn decide(
        &self,
        rules: &[Rule],
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Found {
        let mut partly = false;
        let first = match action {
            Action::Publish => self.first(rules, principal, NO_RULE, |trees, search| {
                trees.publish.find_matching(topic, search);
            }),
            Action::Subscribe => {
                let allow = self.first(rules, principal, NO_RULE, |trees, search| {
                    trees.subscribe_allow.find_covering(topic, search);
                });
                // Only a deny rule before it counts.
                let first = self.first(rules, principal, allow, |trees, search| {
                    trees.subscribe_deny.find_covering(topic, search);
                });
                // What meets a topic that stands for itself alone covers it.
                if first == allow && allow != NO_RULE && topic::is_wildcard(topic) {
                    let denies = self.first(rules, principal, allow, |trees, search| {
                        trees.subscribe_deny.find_overlapping(topic, search);
                    });
                    partly = denies != allow;
                }
                first
            }
        };
        Found {
            rule: (first != NO_RULE).then_some(first as usize),
            partly,
        }
    }

    /// Searches all trees that hold rules about the client, for one before `limit`.
    fn first(
        &self,
        rules: &[Rule],
        principal: &Principal<'_>,
        limit: u32,
        find: impl Fn(&Trees, &mut Search<'_>),
    ) -> u32 {
        let mut search = Search {
            principal,
            rules,
            first: limit,
        };
        let identity = principal.identity;
        find(&self.everybody, &mut search);
        if identity.user.is_empty() {
            find(&self.anonymous, &mut search);
        }
        let mut found = |trees: &Trees| find(trees, &mut search);
        self.users.trees_of(&identity.user, &mut found);
        for group in identity.groups.iter() {
            self.groups.trees_of(group, &mut found);
        }
        self.clients.trees_of(principal.client_id, &mut found);
        if let Some(certificate) = &identity.certificate {
            self.certificates.trees_of(certificate, &mut found);
        }
        search.first
    }

    fn insert(&mut self, number: u32, rule: &Rule) {
        let who = &rule.who;
        let entry = |conditional| Entry {
            rule: number,
            conditional,
        };
        let copies_max = COPIES_MAX.max(rule.topics.len()) / rule.topics.len().max(1);
        let given = [&who.user, &who.client, &who.certificate, &who.group];
        let keys_given = given.into_iter().flatten().count() + usize::from(who.anonymous);
        // The key that tells most clients apart comes first.
        let named = [
            (&who.user, &mut self.users),
            (&who.client, &mut self.clients),
            (&who.certificate, &mut self.certificates),
            (&who.group, &mut self.groups),
        ];
        for (names, named) in named {
            let Some(keys) = names
                .as_ref()
                .and_then(|names| named.keys(names, copies_max))
            else {
                continue;
            };
            let glob = keys.iter().any(|key| !matches!(key, Key::Name(_)));
            for key in keys {
                // A name may lie in more than one of the rule's trees, and a part is not all of a
                // glob.
                named.tree(key).insert(rule, entry(glob || keys_given > 1));
            }
            return;
        }
        if who.anonymous {
            self.anonymous.insert(rule, entry(keys_given > 1))
        } else {
            self.everybody.insert(rule, entry(keys_given > 0))
        }
    }
}

impl Named {
    /// Shows `found` the trees that hold rules about the name.
    fn trees_of(&self, name: &str, found: &mut impl FnMut(&Trees)) {
        if !self.by_name.is_empty()
            && let Some(trees) = self.by_name.get(name)
        {
            found(trees);
        }
        self.by_start.trees_of(found, |length| name.get(..length));
        self.by_end.trees_of(found, |length| {
            let from = name.len().checked_sub(length)?;
            name.get(from..)
        });
    }

    /// Where rules about these names are to lie; `None`: they cannot be looked up.
    fn keys(&self, names: &Names, copies_max: usize) -> Option<HashSet<Key>> {
        let keys = names.keys().filter(|keys| keys.len() <= copies_max)?;
        let starts = keys.iter().filter_map(|key| match key {
            Key::Start(start) => Some(start.len()),
            _ => None,
        });
        let ends = keys.iter().filter_map(|key| match key {
            Key::End(end) => Some(end.len()),
            _ => None,
        });
        let fit = self.by_start.has_room_for(starts) && self.by_end.has_room_for(ends);
        fit.then_some(keys)
    }

    fn tree(&mut self, key: Key) -> &mut Trees {
        match key {
            Key::Name(name) => self.by_name.entry(name).or_default(),
            Key::Start(start) => self.by_start.tree(start),
            Key::End(end) => self.by_end.tree(end),
        }
    }
}

impl Parts {
    /// Shows `found` the trees of the parts of a name, which `part` cuts out; `None`: it has none
    /// of this length.
    fn trees_of<'a>(
        &self,
        found: &mut impl FnMut(&Trees),
        part: impl Fn(usize) -> Option<&'a str>,
    ) {
        for &length in &self.lengths {
            if let Some(trees) = part(length).and_then(|part| self.trees.get(part)) {
                found(trees);
            }
        }
    }

    fn has_room_for(&self, lengths: impl Iterator<Item = usize>) -> bool {
        let mut all: HashSet<usize> = self.lengths.iter().copied().collect();
        all.extend(lengths);
        all.len() <= LENGTHS_MAX
    }

    fn tree(&mut self, part: Box<str>) -> &mut Trees {
        if !self.lengths.contains(&part.len()) {
            self.lengths.push(part.len());
        }
        self.trees.entry(part).or_default()
    }
}

impl Trees {
    fn insert(&mut self, rule: &Rule, entry: Entry) {
        for template in &rule.topics {
            if rule.actions.include(Action::Publish) {
                self.publish.insert(template, entry);
            }
            if rule.actions.include(Action::Subscribe) {
                let tree = match rule.effect {
                    Decision::Allow | Decision::Partly => &mut self.subscribe_allow,
                    Decision::Deny => &mut self.subscribe_deny,
                };
                tree.insert(template, entry);
            }
        }
    }
}
