//! A look at everything that may change while Millrace runs, because somebody asked for it.
//!
//! Owns: the one line that says what was found. Never: tells why something failed: whoever found
//! that has told it.

use access::reload::{Outcome, Reloaded};
use tracing::info;

use super::App;
use super::known_devices::outcome;

impl App {
    /// Takes up what has changed in files and among the devices, without waiting for the next look.
    pub(crate) async fn reload(&self) {
        let (mut reloaded, devices) = tokio::join!(self.broker.reload(), self.devices.reload());
        reloaded.push(Reloaded {
            name: "device credentials".to_owned(),
            outcome: outcome(devices),
        });
        info!(
            "asked to look again: {}; the configuration file, alert rules and the device registry \
             are read at a start only",
            describe(&reloaded)
        );
    }
}

/// What is new comes first.
fn describe(reloaded: &[Reloaded]) -> String {
    let told = [
        (Outcome::New, "changed"),
        (Outcome::Same, "the same as before"),
        (Outcome::Failed, "not usable (see the error)"),
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
            "changed: users; the same as before: access rules, device credentials; \
             not usable (see the error): certificates of `a.pem`"
        );
    }
}
