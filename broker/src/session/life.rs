//! How a session begins, waits for its client, and ends.
//!
//! Owns: the steps between fresh, attached, detached and ended, and what each does to the will.
//! Never: waits. Invariant: a will is published at most once, and not at all once the client is
//! back in time [MQTT-3.1.3-9].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use journal::Position;

use super::outbound::{Outbound, Presence, Stay};
use super::{Session, Will};
use crate::fanout;
use crate::gate::Gate;
use crate::limits::{KeptSessions, NoPlace};
use crate::lock::lock;
use crate::presence::{self, Cause, Visit};
use crate::session_log::{Event, SessionLog};
use crate::subscriptions::Kept;
use access::Identity;
use mqtt::ReasonCode;

/// What a CONNECT brings to its session.
pub(crate) struct Arrival {
    /// Its place among all CONNECTs: of several that want one session at once, the last one gets
    /// it.
    pub(crate) order: u64,
    pub(crate) identity: Arc<Identity>,
    /// What was kept is to be forgotten.
    pub(crate) clean_start: bool,
    /// Seconds to keep the session without a connection; it is 0 after attaching when there was no
    /// place for one more.
    pub(crate) expiry_seconds: u32,
    /// See `Session::is_overdue`.
    pub(crate) silence_seconds_max: u32,
    pub(crate) visit: Visit,
    /// Taken by the session that is attached to.
    pub(crate) will: Option<Box<Will>>,
}

/// What came of an attempt to attach.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// `present`: the session existed before. `saved`: where the log must be durable before the
    /// client is told. `no_place`: why it ends with its connection, though it was to be kept.
    Attached {
        present: bool,
        saved: Position,
        no_place: Option<NoPlace>,
    },
    /// Another connection has it, which was told to end; `waker` is woken when there is something
    /// new.
    Occupied,
    /// It is, or will be, that of a CONNECT that came later.
    Superseded,
    /// It is another user's.
    Foreign,
    /// It is not what the client wants, or not the client's; it must end first.
    Unwanted,
    /// It ended meanwhile.
    Ended,
}

/// How a connection leaves its session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Departure {
    /// The client said goodbye, which takes the will back: [MQTT-3.1.2-10].
    pub(crate) will_withdrawn: bool,
    pub(crate) cause: Cause,
}

impl Session {
    /// `waker` is woken when what the log is told is durable, or when to try again.
    pub(crate) fn try_attach(&self, arrival: &mut Arrival, gate: &Gate, waker: &Waker) -> Attach {
        let mut outbound = self.lock_outbound();
        let (stay, state) = (&outbound.stay, &outbound.state);
        if stay.ended {
            return Attach::Ended;
        }
        // A client id is not a secret: nobody is to end another user's connection, or what is kept
        // for him, by knowing it.
        let is_others = !stay.fresh && state.identity.user != arrival.identity.user;
        let is_owned = is_others && !state.identity.user.is_empty();
        if is_owned && gate.settings.auth.exclusive_client_ids {
            return Attach::Foreign;
        }
        if outbound.is_superseded(arrival.order) {
            return Attach::Superseded;
        }
        if outbound.stay.presence != Presence::Away {
            outbound.give_way_to(arrival.order, waker);
            return Attach::Occupied;
        }
        let stay = &mut outbound.stay;
        let present = !stay.fresh;
        // What was kept for one user is not handed to another in any case.
        if present && (arrival.clean_start || is_others) {
            return Attach::Unwanted;
        }
        let no_place = take_place(stay, arrival, &gate.kept_sessions);
        stay.presence = Presence::Here;
        stay.order = arrival.order;
        stay.fresh = false;
        stay.new_expiry_seconds = None;
        stay.ends_at = u32::MAX;
        stay.will_at = u32::MAX;
        *lock(&self.visit) = Some((arrival.visit.clone(), Arc::clone(&arrival.identity)));
        outbound.newcomer = None;
        outbound.close = None;
        outbound.state.window.start_over();
        for held in outbound.held.values_mut() {
            held.counted = false;
        }
        let credentials_end = match arrival.identity.expires_at {
            Some(at) => gate.clock.second_at(at),
            None => u32::MAX,
        };
        self.due.store(credentials_end, Ordering::Relaxed);
        let silence_seconds_max = arrival.silence_seconds_max;
        self.silence_seconds_max
            .store(silence_seconds_max, Ordering::Relaxed);
        self.heard(gate.clock.seconds());
        if present {
            gate.stats.sessions_kept.subtract(1);
        }
        let saved = self.arrive(gate, &mut outbound, present, arrival, waker);
        Attach::Attached {
            present,
            saved,
            no_place,
        }
    }

    /// Puts what the CONNECT brings into the state, and tells the log who has come, or that it has
    /// nothing to do with the session any more.
    fn arrive(
        &self,
        gate: &Gate,
        outbound: &mut Outbound,
        present: bool,
        arrival: &mut Arrival,
        waker: &Waker,
    ) -> Position {
        let (identity, expiry_seconds) = (&arrival.identity, arrival.expiry_seconds);
        let log = self.log.as_deref();
        let is_to_be_logged = log.is_some() && expiry_seconds > 0;
        let expiry_changes = present && outbound.state.expiry_seconds != expiry_seconds;
        // A change of the expiry has no event: the whole state is written instead.
        let mut batch = log
            .filter(|_| is_to_be_logged && !expiry_changes)
            .map(|log| log.batch(&self.client_id));
        if present {
            outbound.change_in(&mut batch, &Event::Attached { identity });
            outbound.state.expiry_seconds = expiry_seconds;
        } else {
            let created = Event::Created {
                identity,
                expiry_seconds,
                held_through: log.map_or(Position::ZERO, SessionLog::telemetry_end),
            };
            outbound.change_in(&mut batch, &created);
            let numbered = Event::Numbered {
                number: self.number,
                completed_through: 0,
            };
            outbound.change_in(&mut batch, &numbered);
        }
        // A will that waited for its moment is cancelled by this: [MQTT-3.1.3-9].
        match arrival.will.take() {
            Some(mut will) => {
                will.message.publisher = self.number;
                outbound.change_in(&mut batch, &will.armed());
            }
            None if present => outbound.change_in(&mut batch, &Event::WillCleared),
            None => {}
        }
        let Some(log) = log else {
            return Position::ZERO;
        };
        let was_logged = self.logged.swap(is_to_be_logged, Ordering::Relaxed);
        outbound.log = self.log.clone().filter(|_| is_to_be_logged);
        let mut batch = batch.unwrap_or_else(|| log.batch(&self.client_id));
        match (was_logged, is_to_be_logged) {
            // It ends with this connection, whatever ends that.
            (true, false) => {
                gate.stats.sessions_saved.subtract(1);
                batch.push(&Event::Ended);
            }
            (false, true) => gate.stats.sessions_saved.add(1),
            (true, true) if expiry_changes => batch.push_state(&outbound.state),
            _ => {}
        }
        log.write(batch, waker)
    }

    /// Tells the log that the session is over; nothing more is told of it.
    fn tell_end(&self, gate: &Gate, outbound: &mut Outbound) {
        if let Some(log) = outbound.log.take() {
            log.write_one(&self.client_id, &Event::Ended, Waker::noop());
        }
        if self.logged.swap(false, Ordering::Relaxed) {
            gate.stats.sessions_saved.subtract(1);
        }
    }

    /// DISCONNECT may change it, but gets no place for a session that had none.
    pub(crate) fn set_expiry_seconds(&self, seconds: u32) {
        let stay = &mut self.lock_outbound().stay;
        if stay.place.is_some() {
            stay.new_expiry_seconds = Some(seconds);
        }
    }

    /// The connection is gone: the session waits for its client, or ends.
    pub(crate) fn detach(&self, gate: &Arc<Gate>, departure: Departure) {
        // Asked without a lock. Who is removed from now on is found when all sessions are looked
        // through.
        let is_welcome = gate.authenticator.standing(&self.identity()).is_some();
        let kept = self.begin_to_leave(gate, is_welcome);
        if lock(&self.visit).take().is_some() {
            presence::disconnected(gate, self, departure.cause);
        }
        if kept == Kept::No {
            self.drop_subscriptions(gate);
        }
        self.hand_on_shared(gate, kept);
        let (will, newcomer) = match kept {
            Kept::Yes => self.go_away(gate, departure),
            Kept::No => {
                let mut left = self.clear_away(gate);
                left.state.will.take_if(|_| departure.will_withdrawn);
                let newcomer = left.newcomer.map(|newcomer| newcomer.waker);
                (left.state.will, newcomer)
            }
        };
        if let Some(newcomer) = newcomer {
            newcomer.wake();
        }
        if let Some(will) = will {
            will.publish(gate, &self.client_id);
        }
        if kept == Kept::Yes {
            // Its user may have changed: that is often why the connection has ended.
            crate::upkeep::review(gate, self);
        }
    }

    /// From here on the session counts as offline; whether it will be kept. It is not for a client
    /// that cannot come back.
    fn begin_to_leave(&self, gate: &Gate, is_welcome: bool) -> Kept {
        let mut outbound = self.lock_outbound();
        outbound.waker = None;
        outbound.close = None;
        outbound.stay.presence = Presence::Leaving;
        self.silence_seconds_max.store(0, Ordering::Relaxed);
        self.due.store(u32::MAX, Ordering::Relaxed);
        if outbound.expiry_seconds() > 0 && is_welcome {
            Kept::Yes
        } else {
            outbound.stay.ended = true;
            self.tell_end(gate, &mut outbound);
            Kept::No
        }
    }

    /// Gives to others what this session was chosen for among them.
    fn hand_on_shared(&self, gate: &Gate, kept: Kept) {
        let shared = self.lock_outbound().shared();
        let mut gone = Vec::new();
        for (place, delivery) in shared {
            if fanout::hand_on([delivery], self, kept, &gate.stats).is_empty() {
                gone.push(place);
            }
        }
        if kept == Kept::Yes && !gone.is_empty() {
            self.lock_outbound().remove(&gone);
        }
    }

    /// Leaves a session that is kept: its will if that is due now, and who waits for the session.
    fn go_away(&self, gate: &Gate, departure: Departure) -> (Option<Box<Will>>, Option<Waker>) {
        let mut outbound = self.lock_outbound();
        let dropped = outbound.client_left();
        gate.stats.dropped_offline.add(dropped as u64);
        let shed = outbound.shed(&gate.budget);
        gate.stats.dropped_queues_full.add(shed as u64);
        if departure.will_withdrawn && outbound.state.will.is_some() {
            outbound.change(&Event::WillCleared);
        }
        let expiry_seconds = outbound.expiry_seconds();
        let after = |seconds: u32| {
            let wait = Duration::from_secs(seconds.into());
            gate.clock.second_after(wait)
        };
        // The end of the session publishes it too, whichever comes first: section 3.1.3.2.2.
        let will_at = match &outbound.state.will {
            Some(will) => after(will.delay_seconds.min(expiry_seconds)),
            None => u32::MAX,
        };
        let stay = &mut outbound.stay;
        stay.presence = Presence::Away;
        stay.ends_at = after(expiry_seconds);
        stay.will_at = will_at;
        let will = outbound.take_due_will(gate.clock.seconds());
        self.due.store(outbound.stay.due(), Ordering::Relaxed);
        outbound.change(&Event::Detached {
            at: gate.clock.now_micros(),
            expiry_seconds,
        });
        gate.stats.sessions_kept.add(1);
        // It keeps its turn until it is here.
        let newcomer = outbound.newcomer.as_ref();
        (will, newcomer.map(|newcomer| newcomer.waker.clone()))
    }

    /// Ends the session now if nobody is attached; its will is published, since it can wait no
    /// longer.
    pub(crate) fn end(&self, gate: &Arc<Gate>) {
        self.end_detached(gate, |_| true);
    }

    /// Ends the session if nobody is attached and it still is of this identity; whether it was.
    pub(crate) fn end_of(&self, gate: &Arc<Gate>, identity: &Arc<Identity>) -> bool {
        self.end_detached(gate, |outbound| {
            !outbound.stay.fresh && Arc::ptr_eq(&outbound.state.identity, identity)
        })
    }

    /// What became of `known` while nobody is attached; false when nothing did, or when it is not
    /// the session's any more.
    pub(crate) fn renew_identity(&self, known: &Arc<Identity>, now: Arc<Identity>) -> bool {
        let mut outbound = self.lock_outbound();
        let renews = outbound.stay.presence == Presence::Away
            && Arc::ptr_eq(&outbound.state.identity, known)
            && !Arc::ptr_eq(known, &now);
        if renews {
            // The log need not know: a start asks again.
            outbound.state.identity = now;
        }
        renews
    }

    /// What is due by the clock: of a connection the end of its credentials, without one the will,
    /// or the end.
    pub(crate) fn act_on_time(&self, gate: &Arc<Gate>) {
        let now = gate.clock.seconds();
        if self.identity().has_expired(gate.clock.unix_seconds())
            && self.close(ReasonCode::NotAuthorized)
        {
            return;
        }
        if self.end_detached(gate, |outbound| outbound.stay.ends_at <= now) {
            gate.stats.sessions_expired.add(1);
            return;
        }
        let mut outbound = self.lock_outbound();
        if outbound.stay.presence != Presence::Away || outbound.stay.ended {
            return;
        }
        let will = outbound.take_due_will(now);
        self.due.store(outbound.stay.due(), Ordering::Relaxed);
        drop(outbound);
        if let Some(will) = will {
            will.publish(gate, &self.client_id);
        }
    }

    fn end_detached(&self, gate: &Arc<Gate>, when: impl FnOnce(&Outbound) -> bool) -> bool {
        let mut outbound = self.lock_outbound();
        if outbound.stay.presence != Presence::Away || outbound.stay.ended || !when(&outbound) {
            return false;
        }
        outbound.stay.ended = true;
        self.tell_end(gate, &mut outbound);
        if !outbound.stay.fresh {
            gate.stats.sessions_kept.subtract(1);
        }
        drop(outbound);
        self.due.store(u32::MAX, Ordering::Relaxed);
        self.drop_subscriptions(gate);
        self.hand_on_shared(gate, Kept::No);
        if let Some(will) = self.clear_away(gate).state.will {
            will.publish(gate, &self.client_id);
        }
        true
    }

    /// Takes an ended session out of the registry; what was left in it, which is owed to nobody any
    /// more. It is freed now, since a fan-out may hold the session a moment longer.
    fn clear_away(&self, gate: &Gate) -> Outbound {
        gate.registry.leave(self);
        gate.stats.sessions.subtract(1);
        let left = self.lock_outbound().take_all();
        if left.drops.is_dropping() {
            gate.stats.sessions_slow.subtract(1);
        }
        left
    }
}

/// Sees to it that the session has a place if it is to be kept, and only then.
fn take_place(
    stay: &mut Stay,
    arrival: &mut Arrival,
    sessions: &Arc<KeptSessions>,
) -> Option<NoPlace> {
    if arrival.expiry_seconds == 0 {
        stay.place = None;
    } else if stay.place.is_none() {
        match sessions.enter(&arrival.identity) {
            Ok(place) => stay.place = Some(place),
            Err(no_place) => {
                arrival.expiry_seconds = 0;
                return Some(no_place);
            }
        }
    }
    None
}

impl Outbound {
    /// Seconds the session is kept once its connection has ended.
    fn expiry_seconds(&self) -> u32 {
        let new = self.stay.new_expiry_seconds;
        new.unwrap_or(self.state.expiry_seconds)
    }
}

impl Stay {
    pub(super) fn due(&self) -> u32 {
        self.ends_at.min(self.will_at)
    }
}
