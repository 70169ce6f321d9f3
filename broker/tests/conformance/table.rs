//! The form of the tables: statements by number, what is asserted of each, and how it is shown.
//!
//! Owns: rows, and running all of a section. Never: knows a statement.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mqtt::Version;
use tokio::runtime::Runtime;

use crate::script;

/// Cases of one section that run at a time: some wait for seconds to pass.
const AT_A_TIME: usize = 6;

/// One or several statements that one case shows.
pub(crate) struct Row {
    /// Without brackets and `MQTT-`, such as `3.1.0-1`.
    pub(crate) numbers: &'static [&'static str],
    /// What is asserted, in our words.
    pub(crate) says: &'static str,
    pub(crate) proof: Proof,
}

pub(crate) enum Proof {
    Script(&'static str),
    /// Not the server's to obey, or nothing a client could observe: the reason.
    Exempt(&'static str),
}

/// The statement obliges the client; what the broker does if it is broken stands in rows of its
/// own.
pub(crate) const CLIENT: Proof = Proof::Exempt("obliges the client only");

/// All rows of a section; a table of one version.
pub(crate) struct Section {
    pub(crate) version: Version,
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
}

pub(crate) const fn shown(
    numbers: &'static [&'static str],
    says: &'static str,
    script: &'static str,
) -> Row {
    Row {
        numbers,
        says,
        proof: Proof::Script(script),
    }
}

pub(crate) const fn exempt(
    numbers: &'static [&'static str],
    says: &'static str,
    proof: Proof,
) -> Row {
    Row {
        numbers,
        says,
        proof,
    }
}

impl Section {
    /// Plays every script; all that fail are told together.
    pub(crate) fn check(&self) {
        let cases: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| match row.proof {
                Proof::Script(script) => Some((
                    format!("{:?} {}", row.numbers, row.says),
                    self.version,
                    script,
                )),
                Proof::Exempt(_) => None,
            })
            .collect();
        play_all(self.name, &cases);
    }
}

/// Plays each case (its name, version, script) on a broker of its own.
pub(crate) fn play_all(name: &str, cases: &[(String, Version, &str)]) {
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(cases.len()) {
            scope.spawn(|| {
                while let Some((case, version, script)) =
                    cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(problem) = script::play(&runtime, *version, script) {
                        let failure = format!("{version:?} {case}\n    {problem}");
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let (failed, all) = (failures.len(), cases.len());
    assert!(
        failures.is_empty(),
        "{name}: {failed} of {all}\n{}",
        failures.join("\n")
    );
}
