//! Why a decision is what it is, for people.
//!
//! Owns: the words. It walks the rules one by one, in their plain form. Never: decides by itself;
//! it asks the policy, and shows the rule that says the same.

use std::collections::BTreeMap;

use super::error::line_at;
use super::policy::{Policy, subject_of};
use super::principal::Principal;
use super::rule::{Actions, Miss, Names, Rule};
use super::{Action, Decision, reserved};
use crate::identity::Identity;

/// Filters or names shown of a rule; the file has the rest.
const SHOWN_MAX: usize = 3;

/// A client as a person describes it.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Empty: let in without credentials.
    pub user: String,
    pub groups: Vec<String>,
    pub client_id: String,
    /// The name in the client's certificate.
    pub certificate: Option<String>,
    /// What `%{name}` stands for.
    pub variables: BTreeMap<String, String>,
}

/// A client as the broker knows it, ready to be decided about many times.
#[derive(Debug, Clone)]
pub struct Client {
    identity: Identity,
    client_id: Box<str>,
}

/// A decision and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    pub reason: Reason,
    /// The rules that were looked at, in their order; the last one decided, if one did.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It holds whatever the rules are.
    Fixed(&'static str),
    Rule {
        /// Counted from 1.
        line: usize,
        /// The rule as it is written.
        text: String,
        /// The filter that fits.
        filter: String,
    },
    /// No rule has a say: denied.
    Default,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Counted from 1.
    pub line: usize,
    /// The rule in short.
    pub rule: String,
    /// Why it decides, or does not.
    pub why: String,
}

impl Policy {
    /// Decides about a valid topic, or filter of a subscribe, and says why.
    pub fn explain(&self, subject: &Subject, action: Action, topic: &str) -> Explanation {
        let client = Client::from(subject);
        let principal = client.principal();
        let decision = self.decide(&principal, action, topic);
        if action == Action::Publish
            && let Some(why) = reserved(topic)
        {
            return Explanation {
                decision,
                reason: Reason::Fixed(why),
                steps: Vec::new(),
            };
        }
        let mut steps = Vec::new();
        let mut partly = false;
        for rule in &self.rules {
            let verdict = rule.judge(&principal, action, subject_of(action, topic));
            let line = line_at(self.text(), rule.span.start);
            steps.push(Step {
                line,
                rule: summary(rule),
                why: match verdict {
                    Ok(template) => format!("fits by `{template}`"),
                    Err(miss) => why_not(rule, miss, subject),
                },
            });
            let is_deny = rule.effect == Decision::Deny;
            partly |= is_deny && matches!(verdict, Err(Miss::OnlyOverlaps(_)));
            if let Ok(template) = verdict {
                let said = match (rule.effect, partly) {
                    (Decision::Allow, true) => Decision::Partly,
                    (effect, _) => effect,
                };
                debug_assert_eq!(decision, said, "{topic}");
                let text = self.text().get(rule.span.clone()).unwrap_or_default();
                let reason = Reason::Rule {
                    line,
                    text: text.to_owned(),
                    filter: template.to_string(),
                };
                return Explanation {
                    decision,
                    reason,
                    steps,
                };
            }
        }
        debug_assert_eq!(decision, Decision::Deny, "{topic}");
        Explanation {
            decision,
            reason: Reason::Default,
            steps,
        }
    }
}

impl Client {
    pub(super) fn principal(&self) -> Principal<'_> {
        Principal {
            identity: &self.identity,
            client_id: &self.client_id,
        }
    }
}

impl From<&Subject> for Client {
    fn from(subject: &Subject) -> Client {
        let groups = subject.groups.iter();
        // Sorted by name, as they are looked up.
        let variables = subject.variables.iter();
        let identity = Identity {
            user: subject.user.as_str().into(),
            groups: groups.map(|group| group.as_str().into()).collect(),
            certificate: subject.certificate.as_deref().map(Box::from),
            variables: variables
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            ..Identity::default()
        };
        Client {
            identity,
            client_id: subject.client_id.as_str().into(),
        }
    }
}

/// `deny publish of anonymous clients to "a", "b"`
fn summary(rule: &Rule) -> String {
    let effect = match rule.effect {
        Decision::Allow | Decision::Partly => "allow",
        Decision::Deny => "deny",
    };
    let actions = match rule.actions {
        Actions::Publish => "publish",
        Actions::Subscribe => "subscribe",
        Actions::Both => "both",
    };
    let filters = rule.topics.iter().map(|template| template.to_string());
    format!("{effect} {actions} {}", list(filters.collect()))
}

fn why_not(rule: &Rule, miss: Miss<'_>, subject: &Subject) -> String {
    let who = &rule.who;
    let is_one = |what: &str, name: &str, names: &Option<Names>| {
        let is = match name {
            "" => format!("has no {what}"),
            name => format!("has the {what} `{name}`"),
        };
        format!("the client {is}, not {}", meant(names))
    };
    match miss {
        Miss::Action => match rule.actions {
            Actions::Subscribe => "is about subscribing alone".to_owned(),
            Actions::Publish | Actions::Both => "is about publishing alone".to_owned(),
        },
        Miss::Anonymous => format!("the client has a user, `{}`", subject.user),
        Miss::User => is_one("user", &subject.user, &who.user),
        Miss::Client => is_one("id", &subject.client_id, &who.client),
        Miss::Certificate => {
            let name = subject.certificate.as_deref().unwrap_or_default();
            is_one("certificate", name, &who.certificate)
        }
        Miss::Group => match subject.groups.as_slice() {
            [] => format!("the client is in no group, not in {}", meant(&who.group)),
            groups => format!(
                "the client is in {}, not in {}",
                list(groups.to_vec()),
                meant(&who.group)
            ),
        },
        Miss::Topics => "no filter fits".to_owned(),
        Miss::OnlyOverlaps(template) if rule.effect == Decision::Deny => {
            format!("`{template}` denies a part, whose messages are not delivered")
        }
        Miss::OnlyOverlaps(template) => {
            format!("`{template}` allows only a part of what is asked for")
        }
        Miss::Unexpandable(template) => {
            format!("`{template}` has no meaning for this client")
        }
    }
}

fn meant(names: &Option<Names>) -> String {
    let Some(names) = names else {
        return String::new();
    };
    let mut all: Vec<String> = names.exact.iter().map(|name| name.to_string()).collect();
    // The set has no order of its own.
    all.sort();
    all.extend(names.globs.iter().map(|glob| glob.to_string()));
    all.extend(names.own_user.then(|| "%u".to_owned()));
    list(all)
}

fn list(names: Vec<String>) -> String {
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}
