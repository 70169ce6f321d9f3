//! The one point that every publish and subscribe passes.
//!
//! Owns: the rules that hold without users: `alerts/#` is published by Millrace alone (except commands), `$` topics by
//! nobody. Users and access lists are decided here too once they exist. Never: acts on a decision.

use tracing::debug;

use crate::auth::Identity;

/// Topics below it are commands to Millrace's alert engine, which anyone may publish.
const ALERT_COMMANDS: &str = "alerts/command/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Allow,
    Deny,
}

/// Who wants to act: what rules are matched against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Principal<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) client_id: &'a str,
}

/// The rules of this process.
#[derive(Debug, Default)]
pub(crate) struct Access {}

impl Access {
    /// Whether the client may do `action` on the topic or filter.
    pub(crate) fn authorize(
        &self,
        principal: &Principal<'_>,
        action: Action,
        topic: &str,
    ) -> Decision {
        let decision = without_rules(action, topic);
        if decision == Decision::Deny {
            let Principal {
                identity,
                client_id,
            } = principal;
            debug!(client_id, user = &*identity.user, ?action, topic, "denied");
        }
        decision
    }
}

/// What holds for everybody, whatever rules there are.
fn without_rules(action: Action, topic: &str) -> Decision {
    match action {
        Action::Subscribe => Decision::Allow,
        Action::Publish if topic.starts_with('$') => Decision::Deny,
        Action::Publish if topic.starts_with("alerts/") && !topic.starts_with(ALERT_COMMANDS) => {
            Decision::Deny
        }
        Action::Publish => Decision::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_published_by_millrace_alone() {
        let identity = Identity::default();
        let principal = Principal {
            identity: &identity,
            client_id: "c",
        };
        let check = |action, topic, decision| {
            let decided = Access::default().authorize(&principal, action, topic);
            assert_eq!(decided, decision, "{topic}");
        };
        check(Action::Publish, "devices/a/telemetry", Decision::Allow);
        check(Action::Publish, "alerts/active/a/hot", Decision::Deny);
        check(Action::Publish, "alerts/critical/a/hot", Decision::Deny);
        check(Action::Publish, "alerts/command/a/hot", Decision::Allow);
        check(Action::Publish, "alerts", Decision::Allow);
        check(Action::Publish, "alertsx/y", Decision::Allow);
        check(Action::Publish, "$SYS/broker", Decision::Deny);
        check(Action::Subscribe, "alerts/#", Decision::Allow);
        check(Action::Subscribe, "$SYS/#", Decision::Allow);
    }
}
