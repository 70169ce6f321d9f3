//! All sessions, connected or kept, by client id.
//!
//! Owns: the rule that a client id is connected once: a newcomer takes over, and waits until the
//! connection before it has let go, so that nothing of a session is ever changed by two. Of several
//! newcomers the one whose CONNECT came last gets in, and the others are refused as soon as it is
//! there. Never: touches a session's contents.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use journal::Position;
use tracing::{info, warn};

use crate::budget::Turn;
use crate::gate::Gate;
use crate::limits::NoPlace;
use crate::lock::lock;
use crate::session::{Arrival, Attach, Session, SlowSession, State};
use crate::session_log::Source;
use access::Identity;
use mqtt::ReasonCode;

/// How long a newcomer waits for the one whose client id it has. Letting go takes one turn of that
/// connection's task, which never blocks; this bounds what a defect could cost.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(5);

/// A session with a connection.
pub(crate) struct Attached {
    pub(crate) session: Arc<Session>,
    /// It was kept for the client.
    pub(crate) present: bool,
    /// It is kept without a connection.
    pub(crate) kept: bool,
    /// Where the log of kept sessions must be durable before the client is told; the task that
    /// attached is woken then.
    pub(crate) saved: Position,
}

#[derive(Default)]
pub(crate) struct Registry {
    /// In order, so that all of them can be looked through in pieces.
    by_client: Mutex<BTreeMap<Box<str>, Arc<Session>>>,
}

impl Registry {
    /// Attaches a connection to the session of its client id: the one that is kept, if the client
    /// wants it, or a new one. Whoever is connected under this id is ended first [MQTT-3.1.4-3],
    /// unless the id is another user's, or that CONNECT came later than this one: then the reason
    /// is `SessionTakenOver`.
    pub(crate) async fn attach(
        &self,
        gate: &Arc<Gate>,
        client_id: &str,
        mut arrival: Arrival,
    ) -> Result<Attached, ReasonCode> {
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        loop {
            let session = self.find_or_enter(gate, client_id);
            match session.try_attach(&mut arrival, gate, &waker) {
                Attach::Attached {
                    present,
                    saved,
                    no_place,
                } => {
                    if let Some(no_place) = no_place {
                        tell_not_kept(gate, &arrival.identity, no_place);
                    }
                    return Ok(Attached {
                        session,
                        present,
                        kept: arrival.expiry_seconds > 0,
                        saved,
                    });
                }
                Attach::Occupied => tokio::time::timeout(TAKE_OVER_WAIT, woken())
                    .await
                    .map_err(|_elapsed| ReasonCode::ServerBusy)?,
                Attach::Superseded => return Err(ReasonCode::SessionTakenOver),
                Attach::Foreign => return Err(ReasonCode::ClientIdentifierNotValid),
                Attach::Unwanted => session.end(gate),
                Attach::Ended => self.leave(&session),
            }
        }
    }

    /// Removes the session unless its client id belongs to a newer one by now.
    pub(crate) fn leave(&self, session: &Session) {
        let mut by_client = lock(&self.by_client);
        if by_client
            .get(&*session.client_id)
            .is_some_and(|held| held.number == session.number)
        {
            by_client.remove(&*session.client_id);
        }
    }

    /// Shows `visit` every session, connected or kept, in no order. Those that come or go meanwhile
    /// may be seen or not.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Session>)) {
        // Collected first: what is done with a session wakes tasks, which must not happen under
        // this lock.
        self.collect(|_| true).iter().for_each(&mut visit);
    }

    /// The next `count` sessions in the order of their client ids, behind the one that is given.
    pub(crate) fn page(&self, after: Option<&str>, count: usize) -> Vec<Arc<Session>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_client = lock(&self.by_client);
        let behind = by_client.range::<str, _>((start, Bound::Unbounded));
        behind
            .take(count)
            .map(|(_, session)| Arc::clone(session))
            .collect()
    }

    /// The sessions that lose messages now, those that lost most first; no more than `most`.
    pub(crate) fn slow(&self, most: usize) -> Vec<SlowSession> {
        let all = self.collect(|_| true);
        let mut slow: Vec<_> = all.iter().filter_map(|session| session.slow()).collect();
        slow.sort_by_key(|session| std::cmp::Reverse(session.dropped));
        slow.truncate(most);
        slow
    }

    /// Does what the time asks for: ends connections that have been silent for too long or whose
    /// credentials no longer hold, publishes delayed wills, ends sessions that nobody came back to.
    pub(crate) fn tick(&self, gate: &Arc<Gate>) {
        let seconds = gate.clock.seconds();
        self.close_where(ReasonCode::KeepAliveTimeout, |session| {
            session.is_overdue(seconds)
        });
        for session in self.collect(|session| session.is_due(seconds)) {
            session.act_on_time(gate);
        }
        if let Some(turn) = gate.budget.look() {
            self.tell(turn);
        }
    }

    /// Tells the operator that messages are dropped because of what all sessions hold, and who
    /// holds most of it.
    fn tell(&self, turn: Turn) {
        match turn {
            Turn::Begun { used_bytes } => {
                let all = self.collect(|_| true);
                let sizes = all.iter().map(|session| session.queued_bytes());
                let largest = sizes.zip(&all).max_by_key(|(bytes, _)| *bytes);
                warn!(
                    used_bytes,
                    largest_bytes = largest.map(|(bytes, _)| bytes),
                    largest_client_id = largest.map(|(_, session)| session.shown_id()),
                    "the queues of all sessions together are full; messages for those that are away or behind are dropped"
                );
            }
            Turn::Ended { dropped } => {
                info!(
                    dropped,
                    "the queues of all sessions together have room again"
                );
            }
        }
    }

    pub(crate) fn close_all(&self, reason: ReasonCode) {
        self.close_where(reason, |_| true);
    }

    /// Ends the connections of the sessions that are meant; how many there were.
    pub(crate) fn close_where(
        &self,
        reason: ReasonCode,
        is_meant: impl Fn(&Session) -> bool,
    ) -> usize {
        // Collected first: `close` wakes tasks, which must not happen under this lock.
        let meant = self.collect(is_meant);
        meant.iter().filter(|session| session.close(reason)).count()
    }

    /// Enters a session that was kept over a restart.
    pub(crate) fn restore(&self, session: Arc<Session>) {
        lock(&self.by_client).insert((*session.client_id).into(), session);
    }

    fn find(&self, client_id: &str) -> Option<Arc<Session>> {
        lock(&self.by_client).get(client_id).cloned()
    }

    fn find_or_enter(&self, gate: &Gate, client_id: &str) -> Arc<Session> {
        let mut by_client = lock(&self.by_client);
        if let Some(session) = by_client.get(client_id) {
            return Arc::clone(session);
        }
        let session = Arc::new(gate.new_session(client_id));
        by_client.insert(client_id.into(), Arc::clone(&session));
        gate.stats.sessions.add(1);
        session
    }

    fn collect(&self, picked: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        lock(&self.by_client)
            .values()
            .filter(|session| picked(session))
            .cloned()
            .collect()
    }
}

/// Waits until this task is woken.
async fn woken() {
    let mut waits = true;
    poll_fn(|_| {
        if std::mem::take(&mut waits) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// The session will end with its connection; counted, and told once for each limit that is reached.
fn tell_not_kept(gate: &Gate, identity: &Identity, no_place: NoPlace) {
    gate.stats.sessions_refused.add(1);
    if no_place.first {
        warn!(
            user = &*identity.user,
            limit = no_place.limit,
            "no further sessions are kept: they end with their connections"
        );
    }
}

/// What the log of kept sessions takes its snapshots from.
impl Source for Registry {
    fn client_ids(&self) -> Vec<Box<str>> {
        let logged = self.collect(Session::is_logged);
        logged
            .iter()
            .map(|session| (*session.client_id).into())
            .collect()
    }

    fn with_state(&self, client_id: &str, show: &mut dyn FnMut(&State)) {
        if let Some(session) = self.find(client_id) {
            session.show_state(show);
        }
    }
}
