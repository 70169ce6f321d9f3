//! The end of a script: everybody gets what is due, everybody leaves, and a fresh client finds a
//! broker as good as new.

use super::LINES;
use super::script::Disk;
use super::stage::Stage;
use super::wire::Leave;
use super::words::{SECRET, USER};
use mqtt::client::{self, Connect};
use mqtt::{Qos, ReasonCode, RetainHandling, Subscription, Version, encode};

/// Longer than any session is kept.
const LONG_SECONDS: u32 = 100_000;
/// The line of who comes last.
const LINE: usize = 0;

impl Stage {
    pub(super) async fn end(mut self) {
        self.oracle.step += 1;
        self.let_go();
        self.turn_disk(Disk::TakesAgain);
        self.turn_disk(Disk::Syncs);
        self.finish_conversations().await;
        self.oracle.check_promises();
        self.all_leave().await;
        self.finish_exchanges().await;
        self.bring_back_the_absent().await;
        self.all_leave().await;
        self.pass(LONG_SECONDS);
        self.settle().await;
        // Wills of sessions that have just ended.
        self.pass(LONG_SECONDS);
        self.settle().await;
        self.oracle.check_journal();
        self.oracle.check_retained();
        self.nothing_is_left();
        self.change_rules(0);
        for version in [Version::V5, Version::V311] {
            self.try_a_fresh_client(version).await;
        }
        self.nothing_is_left();
        self.stop().await;
    }

    /// Lets every client take what there is for it, and answer.
    async fn finish_conversations(&mut self) {
        for line in 0..LINES {
            self.with_wire(line, |wire| wire.make_room(usize::MAX));
            self.settle().await;
        }
        // One may hold what another waits for.
        for line in (0..LINES).chain(0..LINES) {
            self.answer_all(line).await;
            self.turn_disk(Disk::Syncs);
            self.settle().await;
        }
    }

    /// Clients that were lost in the midst of publishes at QoS 2 come back for them.
    async fn finish_exchanges(&mut self) {
        for (client_id, user) in self.oracle.absent() {
            if !self.oracle.has_unfinished(&client_id) {
                continue;
            }
            // Once to publish again, and once to release.
            for _ in 0..2 {
                self.oracle.step += 1;
                self.go_on(LINE, &client_id, &user).await;
                self.settle().await;
                self.turn_disk(Disk::Syncs);
                self.settle().await;
            }
            self.all_leave().await;
        }
    }

    /// Sessions that are kept have what they were promised.
    async fn bring_back_the_absent(&mut self) {
        for (client_id, user) in self.oracle.absent() {
            self.oracle.step += 1;
            let is_known = user == USER;
            let connect = Connect {
                clean_start: false,
                session_expiry: Some(1),
                user: is_known.then_some(USER),
                password: is_known.then_some(SECRET),
                ..Connect::new(Version::V5, &client_id)
            };
            self.come(&connect).await;
            self.answer_all(LINE).await;
            self.oracle.check_promises();
            self.all_leave().await;
        }
    }

    pub(super) async fn all_leave(&mut self) {
        for line in 0..LINES {
            self.leave(line, Leave::Lost);
            self.settle().await;
            assert!(
                !self.is_open(line),
                "line {line} does not end when it is lost"
            );
        }
        self.oracle.check_account();
    }

    fn nothing_is_left(&mut self) {
        assert_eq!(self.gate.router.stats().filters, 0);
        self.oracle.check_empty();
    }

    async fn come(&mut self, connect: &Connect<'_>) {
        self.open(LINE, false).await;
        let mut bytes = Vec::new();
        client::connect(&mut bytes, connect);
        self.send(LINE, &bytes);
        self.settle().await;
    }

    /// It connects, subscribes, publishes and receives, by an exact filter and by a wildcard.
    async fn try_a_fresh_client(&mut self, version: Version) {
        self.oracle.step += 1;
        let name = "fresh";
        self.come(&Connect::new(version, name)).await;
        let subscription = |filter| Subscription {
            filter,
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let mut bytes = Vec::new();
        let filters = [subscription("probe/x"), subscription("probe/#")];
        client::subscribe(&mut bytes, version, 1, None, &filters);
        self.send(LINE, &bytes);
        self.settle().await;
        self.oracle.step += 1;
        let payload = match version {
            Version::V5 => "five",
            Version::V311 => "three",
        };
        let publish = encode::Publish {
            qos: Qos::AtLeastOnce,
            topic: "probe/x",
            packet_id: 1,
            payload: payload.as_bytes(),
            ..Default::default()
        };
        bytes.clear();
        encode::publish(&mut bytes, version, &publish);
        client::pingreq(&mut bytes);
        self.send(LINE, &bytes);
        self.settle().await;
        self.answer_all(LINE).await;
        let key = ("probe/x".to_owned(), payload.as_bytes().to_vec());
        assert_eq!(
            self.oracle.copies(name, &key),
            2,
            "a fresh client gets what it publishes"
        );
        assert!(self.oracle.is_answered(LINE), "a fresh client is answered");
        bytes.clear();
        client::disconnect(&mut bytes, version, ReasonCode::Success, None);
        self.send(LINE, &bytes);
        self.settle().await;
        assert!(!self.is_open(LINE), "a fresh client can leave");
    }
}
