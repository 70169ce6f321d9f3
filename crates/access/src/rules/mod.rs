//! Authorisation: the one point that every publish, subscribe and will passes.
//!
//! Owns: the rules in force, and what no rule can change: `alerts/#` and `$` topics are published
//! by Millrace alone. Never: acts on a decision, or remembers one. Invariant: what no rule allows
//! is denied.

mod config;
mod error;
mod explain;
mod file;
mod guard;
mod index;
mod policy;
mod principal;
mod relation;
mod rule;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tracing::debug;

pub use config::{Config, DeniedPublish, Settings};
pub use error::{LoadError, RuleError};
pub use explain::{Client, Explanation, Reason, Step, Subject};
pub use guard::{Grant, Guard};
pub use policy::Policy;
pub use principal::Principal;

/// What a client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Publish,
    Subscribe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// The filter is allowed, except topics in it that earlier rules deny.
    Partly,
    Deny,
}

/// The rules of this process, which change while it runs.
pub struct Access {
    policy: ArcSwap<Policy>,
    /// How often the rules have changed.
    generation: AtomicU64,
}

impl Access {
    /// Reads the file that is named, or takes the built-in rules.
    pub fn open(settings: &Settings) -> Result<Access, LoadError> {
        let policy = match &settings.file {
            Some(file) => Policy::load(file)?,
            None => Policy::built_in(),
        };
        Ok(Access::new(policy))
    }

    /// These rules, until they are replaced.
    pub fn new(policy: Policy) -> Access {
        Access {
            policy: ArcSwap::from_pointee(policy),
            generation: AtomicU64::new(0),
        }
    }

    /// Whether the client may do `action` on a valid topic or filter.
    pub fn allows(&self, client: &Client, action: Action, topic: &str) -> bool {
        self.authorize(&client.principal(), action, topic) != Decision::Deny
    }

    /// Whether the client may do `action` on the topic or filter.
    pub fn authorize(&self, principal: &Principal<'_>, action: Action, topic: &str) -> Decision {
        self.judge(&self.policy.load(), principal, action, topic)
    }

    fn judge(
        &self,
        policy: &Policy,
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Decision {
        let decision = policy.decide(principal, action, topic);
        if decision == Decision::Deny {
            let Principal {
                identity,
                client_id,
            } = principal;
            debug!(client_id, user = &*identity.user, ?action, topic, "denied");
        }
        decision
    }

    /// Changes with the rules. Who keeps something because of a decision compares it afterwards and
    /// asks again when it differs: the look at everything that is kept comes after it has changed,
    /// so one of the two sees the new rules.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The rules that hold now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// From now on these rules hold. Whoever keeps something because of a decision must look at it
    /// again.
    pub fn replace(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
        })
    }
}

/// Below it a bridge of Mosquitto publishes whether it is connected, at each CONNECT and as its
/// will.
const BRIDGE_STATES: &str = "$SYS/broker/connection/";

/// Whether clients may publish to the topic, if the rules allow it, although it begins with `$`.
pub fn is_bridge_state(topic: &str) -> bool {
    topic
        .strip_prefix(BRIDGE_STATES)
        .is_some_and(|bridge| !bridge.is_empty())
}

/// Why nobody but Millrace publishes to the topic, whatever the rules say.
fn reserved(topic: &str) -> Option<&'static str> {
    if is_bridge_state(topic) {
        return None;
    }
    let below = |name: &str| {
        topic
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if topic.starts_with('$') {
        Some(
            "topics that begin with `$` are published by the server alone, but for `$SYS/broker/connection/#`",
        )
    } else if below("alerts") && !below("alerts/command") {
        Some("`alerts/#` is published by Millrace alone, but for `alerts/command/#`")
    } else {
        None
    }
}
