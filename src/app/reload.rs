//! A reload of everything that may change while Millrace runs, on request.
//!
//! Owns: the one log line that says what was found. Never: says why a part failed, which that part
//! has logged already.

use access::reload::{Outcome, Reloaded};
use tracing::info;

use super::App;

impl App {
    /// Reloads files and device secrets now, without waiting for the next regular check.
    pub(crate) async fn reload(&self) {
        let (mut reloaded, devices) = tokio::join!(self.broker.reload(), self.devices.reload());
        reloaded.push(Reloaded {
            name: "device credentials".to_owned(),
            outcome: devices,
        });
        info!(
            "reload: {}. millrace.toml, alert rules and the device registry are read at startup \
             only: restart to apply them",
            describe(&reloaded)
        );
    }
}

/// What is new comes first.
fn describe(reloaded: &[Reloaded]) -> String {
    let told = [
        (Outcome::New, "changed"),
        (Outcome::Same, "unchanged"),
        (Outcome::Failed, "failed (see the error)"),
    ];
    let parts = told.iter().filter_map(|(outcome, words)| {
        let of_outcome = reloaded.iter().filter(|it| it.outcome == *outcome);
        let names: Vec<_> = of_outcome.map(|it| it.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{words}: {}", names.join(", ")))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_by_what_became_of_it() {
        let reloaded = [
            ("access rules", Outcome::Same),
            ("users", Outcome::New),
            ("certificates of `a.pem`", Outcome::Failed),
            ("device credentials", Outcome::Same),
        ];
        let reloaded = reloaded.map(|(name, outcome)| Reloaded {
            name: name.to_owned(),
            outcome,
        });
        assert_eq!(
            describe(&reloaded),
            "changed: users; unchanged: access rules, device credentials; \
             failed (see the error): certificates of `a.pem`"
        );
    }
}
