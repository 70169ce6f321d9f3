//! Threads of the broker that are given no processor for a while, and clients that come back to go
//! on.
//!
//! Owns: which threads are held. Never: holds one for long. Invariant: whoever waits for a thread
//! that is held is left waiting.

use super::oracle::Fleeting;
use super::script::Threads;
use super::stage::Stage;
use super::words::{SECRET, USER};
use crate::fuzzing::HandDisk;
use mqtt::client::{self, Connect};
use mqtt::{Qos, ReasonCode, Version, encode};

/// How long a session is kept that its client has come back to.
const SESSION_EXPIRY_SECONDS: u32 = 60;

#[derive(Default)]
pub(super) struct Holds {
    /// The disk of the log of kept sessions.
    pub(super) disk: HandDisk,
    journal: bool,
    /// What a crash may take back of what has happened since then.
    pub(super) before: Option<Fleeting>,
    /// Steps since then.
    pub(super) steps: u32,
}

impl Holds {
    pub(super) fn is_any(&self) -> bool {
        self.before.is_some()
    }

    pub(super) fn holds_log(&self) -> bool {
        self.disk.is_held()
    }
}

impl Stage {
    pub(super) fn hold(&mut self, threads: Threads) {
        let fleeting = self.oracle.fleeting();
        self.holds.before.get_or_insert(fleeting);
        self.holds.journal |= threads.journal;
        if threads.log {
            self.holds.disk.hold();
        }
    }

    pub(super) fn let_go(&mut self) {
        self.holds.disk.let_go();
        self.holds = Holds {
            disk: self.holds.disk.clone(),
            ..Holds::default()
        };
    }

    /// The journal's writer does what it can.
    pub(super) fn sync_journal(&self) {
        if !self.holds.journal {
            self.journal.sync();
        }
    }

    /// Who was connected last on the line comes back.
    pub(super) async fn come_back(&mut self, line: usize) {
        if let Some((client_id, user)) = self.oracle.latest(line) {
            self.go_on(line, &client_id, &user).await;
        }
    }

    /// The client connects, publishes again what has no PUBREC, and releases what has one.
    pub(super) async fn go_on(&mut self, line: usize, client_id: &str, user: &str) {
        self.open(line, false).await;
        let is_known = user == USER;
        let connect = Connect {
            clean_start: false,
            session_expiry: Some(SESSION_EXPIRY_SECONDS),
            user: is_known.then_some(USER),
            password: is_known.then_some(SECRET),
            ..Connect::new(Version::V5, client_id)
        };
        let mut bytes = Vec::new();
        client::connect(&mut bytes, &connect);
        self.send(line, &bytes);
        self.settle().await;
        bytes.clear();
        for (packet_id, publish) in self.oracle.unfinished(line) {
            match &publish {
                Some(publish) => {
                    let (topic, payload) = &publish.key;
                    let publish = encode::Publish {
                        dup: true,
                        qos: Qos::ExactlyOnce,
                        retain: publish.retain,
                        packet_id,
                        topic,
                        payload,
                        ..Default::default()
                    };
                    encode::publish(&mut bytes, Version::V5, &publish);
                }
                None => encode::pubrel(&mut bytes, Version::V5, packet_id, ReasonCode::Success),
            }
        }
        self.send(line, &bytes);
    }
}
