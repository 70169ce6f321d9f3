//! The end of a gate, in order or not, and the next one on the same folder.
//!
//! Owns: what goes over from one to the other. Never: judges clients; the oracle does. Invariant: a
//! crash takes nothing that was written before the last byte the oracle heard.

use std::collections::BTreeSet;
use std::sync::Arc;

use journal::Journal;

use super::oracle::Fleeting;
use super::props::{Folder, OneDevice};
use super::script::Disk;
use super::stage::Stage;
use super::{LINES, words};
use crate::broker::Parts;
use crate::clock::SkippedClock;
use crate::fuzzing::{HandDisk, HandJournal};
use crate::gate::Gate;
use mqtt::ReasonCode;

/// In which connections may act before a crash: an answer may leave that must not, or not leave.
const ROUNDS_BEFORE_CRASH: usize = 3;

/// The access rules, in the stage's folder: a start judges by them what it finds.
const RULES_FILE: &str = "acl.toml";

impl Stage {
    /// Stops in order, and starts again with what is in the folder; without a log sessions would be
    /// lost.
    pub(super) async fn restart(&mut self) {
        if !self.setting.is_logged {
            return;
        }
        self.let_go();
        self.turn_disk(Disk::TakesAgain);
        self.settle().await;
        let reason = ReasonCode::ServerShuttingDown;
        self.gate.registry.close_all(reason);
        self.settle().await;
        // What was received is acknowledged before the farewell.
        self.turn_disk(Disk::Syncs);
        self.settle().await;
        self.all_leave().await;
        let retained = self.retained();
        self.stop().await;
        self.start();
        assert_eq!(self.retained(), retained, "step {}", self.oracle.step);
    }

    /// Lets the connections do something, but waits for nobody, and starts with what is in the
    /// folder at this moment.
    pub(super) async fn crash(&mut self, before: &Fleeting) {
        for _ in 0..ROUNDS_BEFORE_CRASH {
            if self.setting.syncs_alone {
                self.sync_journal();
            }
            for line in 0..LINES {
                self.poll_if_woken(line);
            }
        }
        self.oracle.cut_short(before);
        let folder = self.folder.copy();
        for line in 0..LINES {
            self.abort(line);
        }
        self.let_go();
        self.stop().await;
        self.journal.lose_what_is_not_durable();
        self.turn_disk(Disk::TakesAgain);
        self.folder = folder;
        self.start();
    }

    fn start(&mut self) {
        self.clock = Arc::new(SkippedClock::start());
        self.gate = assemble(
            &self.config,
            &self.folder,
            &self.journal,
            &self.holds.disk,
            &self.clock,
        );
        self.oracle.restarted(Arc::clone(&self.gate));
    }

    /// Ends the gate, which nobody is connected to.
    pub(super) async fn stop(&self) {
        self.gate.stop.cancel();
        self.gate.end().await;
        self.gate.save();
    }

    /// Topics and payloads of what is retained.
    fn retained(&self) -> BTreeSet<(String, Vec<u8>)> {
        let mut all = BTreeSet::new();
        self.gate.retained.matching("#", &mut |retained| {
            all.insert((retained.topic.to_string(), retained.payload.to_vec()));
        });
        all
    }
}

pub(super) fn assemble(
    config: &crate::Config,
    folder: &Folder,
    journal: &Arc<HandJournal>,
    disk: &HandDisk,
    clock: &Arc<SkippedClock>,
) -> Arc<Gate> {
    let config = crate::Config {
        acl: access::rules::Config {
            file: Some(folder.path().join(RULES_FILE)),
            ..access::rules::Config::default()
        },
        ..config.clone()
    };
    let parts = Parts {
        settings: config.validate().expect("good settings"),
        data: folder.path().to_owned(),
        journal: Arc::clone(journal) as Arc<dyn Journal>,
        is_telemetry: Arc::new(words::is_telemetry),
        on_untaken: None,
        devices: Some(Arc::new(OneDevice)),
        system_values: None,
    };
    let gate = Gate::assemble_on(parts, Arc::new(disk.clone()), Arc::clone(clock) as _);
    gate.expect("a gate needs a folder and threads")
}

pub(super) fn write_rules(folder: &Folder, which: usize) {
    let file = folder.path().join(RULES_FILE);
    std::fs::write(file, words::RULES[which]).expect("the folder takes a file");
}
