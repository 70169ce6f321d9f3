//! The compiled form against the rules one by one, over random rules, clients, topics and filters.

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::rules::policy::subject_of;
use crate::rules::rule::Miss;
use mqtt::topic;

/// Files of rules, and questions asked of each.
const FILES: usize = 300;
const QUESTIONS: usize = 60;

/// Few names and levels, so that rules and questions meet often.
const NAMES: [&str; 6] = ["a", "b", "a/b", "+", "$s", "ab"];
const LEVELS: [&str; 5] = ["a", "b", "", "$s", "c"];

/// The plain form: the first rule that has a say.
fn one_by_one(policy: &Policy, principal: &Principal<'_>, action: Action, topic: &str) -> Decision {
    if action == Action::Publish && reserved(topic).is_some() {
        return Decision::Deny;
    }
    let topic = subject_of(action, topic);
    let mut partly = false;
    for rule in &policy.rules {
        match rule.judge(principal, action, topic) {
            Ok(_) if partly && rule.effect == Decision::Allow => return Decision::Partly,
            Ok(_) => return rule.effect,
            Err(Miss::OnlyOverlaps(_)) => partly |= rule.effect == Decision::Deny,
            Err(_) => {}
        }
    }
    Decision::Deny
}

struct Random(ChaCha8Rng);

impl Random {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.0).expect("not empty")
    }

    fn topic(&mut self) -> String {
        loop {
            let levels: Vec<_> = (0..self.0.random_range(1..=4))
                .map(|_| self.pick(&LEVELS))
                .collect();
            let topic = levels.join("/");
            if topic::valid_topic(&topic) {
                return topic;
            }
        }
    }

    /// A filter, of a rule when `placeholders`.
    fn filter(&mut self, placeholders: bool) -> String {
        loop {
            let mut levels: Vec<_> = (0..self.0.random_range(0..=3))
                .map(|_| match self.0.random_range(0..10) {
                    0..=1 => "+",
                    2..=3 if placeholders => self.pick(&["%u", "%c", "%{v}", "%{w}"]),
                    _ => self.pick(&LEVELS),
                })
                .collect();
            if self.0.random_bool(0.4) {
                levels.push("#");
            }
            let filter = levels.join("/");
            if topic::valid_filter(&filter) && !filter.starts_with("$share") {
                return filter;
            }
        }
    }

    fn names(&mut self, key: &str) -> String {
        let one = |random: &mut Random| match random.0.random_range(0..8) {
            0 => random.pick(&["a*", "ab*", "a/*", "a*b", "$*"]),
            1 => random.pick(&["*", "*b", "*/b", "*a*b", "*a*"]),
            2 if key == "client" => "%u",
            _ => random.pick(&NAMES),
        };
        let names: Vec<_> = (0..self.0.random_range(1..=3))
            .map(|_| format!("'{}'", one(self)))
            .collect();
        format!("{key} = [{}]\n", names.join(", "))
    }

    fn rules(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.0.random_range(1..=12) {
            text.push_str("[[rule]]\n");
            let mut has_user = false;
            for key in ["user", "group", "client", "certificate"] {
                if self.0.random_bool(0.2) {
                    text.push_str(&self.names(key));
                    has_user |= key == "user";
                }
            }
            if !has_user && self.0.random_bool(0.15) {
                text.push_str("anonymous = true\n");
            }
            let effect = self.pick(&["allow", "allow", "deny"]);
            let actions = self.pick(&["publish", "subscribe", "both"]);
            let filters: Vec<_> = (0..self.0.random_range(1..=4))
                .map(|_| format!("'{}'", self.filter(true)))
                .collect();
            text.push_str(&format!(
                "{effect} = '{actions}'\ntopics = [{}]\n",
                filters.join(", ")
            ));
        }
        text
    }

    fn subject(&mut self) -> Subject {
        let maybe = |random: &mut Random| {
            random
                .0
                .random_bool(0.7)
                .then(|| random.pick(&NAMES).to_owned())
        };
        Subject {
            user: maybe(self).unwrap_or_default(),
            groups: (0..self.0.random_range(0..=2))
                .map(|_| self.pick(&NAMES).to_owned())
                .collect(),
            client_id: self.pick(&NAMES).to_owned(),
            certificate: maybe(self),
            variables: maybe(self)
                .map(|value| ("v".to_owned(), value))
                .into_iter()
                .collect(),
        }
    }
}

#[test]
fn the_compiled_rules_decide_as_the_rules_one_by_one() {
    let mut random = Random(ChaCha8Rng::seed_from_u64(0x00AC_CE55));
    let mut allowed = [0; 2];
    for _ in 0..FILES {
        let rules = random.rules();
        let policy = Policy::parse(&rules).unwrap_or_else(|errors| panic!("{errors:?}\n{rules}"));
        for _ in 0..QUESTIONS {
            let subject = random.subject();
            let client = Client::from(&subject);
            let principal = client.principal();
            let topic = random.topic();
            let filter = if random.0.random_bool(0.1) {
                format!("$share/g/{}", random.filter(false))
            } else {
                random.filter(false)
            };
            for (action, name) in [(Action::Publish, &topic), (Action::Subscribe, &filter)] {
                let decision = policy.decide(&principal, action, name);
                let expected = one_by_one(&policy, &principal, action, name);
                assert_eq!(decision, expected, "{subject:?} {action} {name}\n{rules}");
                allowed[action as usize] += usize::from(decision != Decision::Deny);
            }
        }
    }
    // The questions are not all answered alike.
    let asked = FILES * QUESTIONS;
    for count in allowed {
        assert!(
            count > asked / 20 && count < asked / 2,
            "{count} of {asked}"
        );
    }
}

/// Whatever a granted filter brings, each topic by itself would be granted too.
#[test]
fn a_granted_filter_brings_no_topic_that_is_denied() {
    let mut random = Random(ChaCha8Rng::seed_from_u64(0x0005_0BAD));
    let topics: Vec<String> = (0..400).map(|_| random.topic()).collect();
    let (mut granted, mut brought, mut partly) = (0, 0, 0);
    for _ in 0..FILES {
        let rules = random.rules();
        let policy = Policy::parse(&rules).unwrap_or_else(|errors| panic!("{errors:?}\n{rules}"));
        for _ in 0..20 {
            let subject = random.subject();
            let client = Client::from(&subject);
            let principal = client.principal();
            let filter = random.filter(false);
            let decision = policy.decide(&principal, Action::Subscribe, &filter);
            partly += usize::from(decision == Decision::Partly);
            if decision != Decision::Allow {
                continue;
            }
            granted += 1;
            for topic in topics.iter().filter(|topic| topic::matches(&filter, topic)) {
                brought += 1;
                let alone = policy.decide(&principal, Action::Subscribe, topic);
                assert_eq!(
                    alone,
                    Decision::Allow,
                    "{subject:?} {filter} {topic}\n{rules}"
                );
            }
        }
    }
    assert!(
        granted > 300 && brought > 10 * granted,
        "{granted} filters, {brought} topics"
    );
    assert!(partly > 20, "{partly} filters in part");
}
