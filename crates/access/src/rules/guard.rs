//! What rules let a subscription bring.
//!
//! Owns: the answer to a SUBSCRIBE, and what of a filter's messages is delivered when rules deny a
//! part of them. Never: changes: with other rules, or another identity, there is another guard.
//! Invariant: a subscription that is denied nothing has no guard.

use std::sync::Arc;

use super::policy::Policy;
use super::principal::Principal;
use super::{Action, Decision};
use crate::identity::Identity;

/// What a client gets by a filter.
pub enum Grant {
    Whole,
    /// Rules deny some of its topics: each message is asked about.
    Partly(Arc<Guard>),
    Denied,
}

/// Asked for each message of a subscription that rules deny in part.
pub struct Guard {
    policy: Arc<Policy>,
    identity: Arc<Identity>,
    client_id: Box<str>,
}

impl Grant {
    /// `None`: there is nothing to be asked; also where there is no subscription.
    pub fn guard(self) -> Option<Arc<Guard>> {
        match self {
            Grant::Partly(guard) => Some(guard),
            Grant::Whole | Grant::Denied => None,
        }
    }
}

impl Guard {
    /// Whether the client may have a message of this topic. Costs what a decision about a publish
    /// does.
    pub fn admits(&self, topic: &str) -> bool {
        let principal = Principal {
            identity: &self.identity,
            client_id: &self.client_id,
        };
        self.policy.decide(&principal, Action::Subscribe, topic) == Decision::Allow
    }
}

impl super::Access {
    /// What the client gets by a filter, which may be that of a shared subscription.
    pub fn grant(&self, identity: &Arc<Identity>, client_id: &str, filter: &str) -> Grant {
        let principal = Principal {
            identity,
            client_id,
        };
        let policy = self.policy.load();
        match self.judge(&policy, &principal, Action::Subscribe, filter) {
            Decision::Allow => Grant::Whole,
            Decision::Deny => Grant::Denied,
            Decision::Partly => Grant::Partly(Arc::new(Guard {
                policy: Arc::clone(&policy),
                identity: Arc::clone(identity),
                client_id: client_id.into(),
            })),
        }
    }
}
