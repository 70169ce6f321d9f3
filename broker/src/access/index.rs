//! The compiled form of the rules: for each client only the trees it can have a rule in.
//!
//! Owns: which tree a rule lies in. A rule that names users, clients, certificates or groups lies in a tree for each name, so
//! that a thousand users cost a look-up; any other lies in the tree for everybody and is asked when its filter is met.
//! Never: decides by itself what a rule means. Invariant: for a client the trees found hold every rule that is about it.

use foldhash::{HashMap, HashSet};

use super::principal::Principal;
use super::rule::{Names, Rule};
use super::tree::{Entry, NO_RULE, Node, Search};
use super::{Action, Decision};

/// A rule with many names and many filters is one set of filters in the tree for everybody instead of one for each name:
/// beyond this many copies memory counts for more than the look-up.
const COPIES_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Index {
    everybody: Trees,
    anonymous: Trees,
    users: HashMap<Box<str>, Trees>,
    groups: HashMap<Box<str>, Trees>,
    clients: HashMap<Box<str>, Trees>,
    certificates: HashMap<Box<str>, Trees>,
}

/// One set of rules by what is asked of it.
#[derive(Debug, Default)]
struct Trees {
    publish: Node,
    /// Apart, because an allow rule must cover a filter, and a deny rule only meet it.
    subscribe_allow: Node,
    subscribe_deny: Node,
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

    /// The rule that decides; `None`: no rule does. `topic` is without `$share/{group}/`.
    pub(super) fn decide(
        &self,
        rules: &[Rule],
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Option<usize> {
        let first = match action {
            Action::Publish => self.first(rules, principal, NO_RULE, |trees, search| {
                trees.publish.find_matching(topic, search);
            }),
            Action::Subscribe => {
                let allow = self.first(rules, principal, NO_RULE, |trees, search| {
                    trees.subscribe_allow.find_covering(topic, search);
                });
                // Only a deny rule before it counts.
                self.first(rules, principal, allow, |trees, search| {
                    trees.subscribe_deny.find_overlapping(topic, search);
                })
            }
        };
        (first != NO_RULE).then_some(first as usize)
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
        let mut named = |map: &HashMap<Box<str>, Trees>, name: &str| {
            if !map.is_empty()
                && let Some(trees) = map.get(name)
            {
                find(trees, &mut search);
            }
        };
        named(&self.users, &identity.user);
        for group in identity.groups.iter() {
            named(&self.groups, group);
        }
        named(&self.clients, principal.client_id);
        if let Some(certificate) = &identity.certificate {
            named(&self.certificates, certificate);
        }
        search.first
    }

    fn insert(&mut self, number: u32, rule: &Rule) {
        let who = &rule.who;
        let keys = [&who.user, &who.client, &who.certificate, &who.group];
        let given = keys.into_iter().flatten().count() + usize::from(who.anonymous);
        let copies_max = COPIES_MAX.max(rule.topics.len()) / rule.topics.len().max(1);
        let listed = |names: &'_ Option<Names>| -> Option<HashSet<Box<str>>> {
            let exact = names.as_ref()?.only_exact()?;
            (exact.len() <= copies_max).then(|| exact.clone())
        };
        let entry = |found: usize| Entry {
            rule: number,
            conditional: given > found,
        };
        // The key that tells most clients apart comes first.
        let named = [
            (listed(&who.user), &mut self.users),
            (listed(&who.client), &mut self.clients),
            (listed(&who.certificate), &mut self.certificates),
            (listed(&who.group), &mut self.groups),
        ];
        for (names, map) in named {
            if let Some(names) = names {
                for name in names {
                    map.entry(name).or_default().insert(rule, entry(1));
                }
                return;
            }
        }
        match who.anonymous {
            true => self.anonymous.insert(rule, entry(1)),
            false => self.everybody.insert(rule, entry(0)),
        }
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
                    Decision::Allow => &mut self.subscribe_allow,
                    Decision::Deny => &mut self.subscribe_deny,
                };
                tree.insert(template, entry);
            }
        }
    }
}
