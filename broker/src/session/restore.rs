//! A session that was kept over a restart.
//!
//! Owns: what it lacks beside the state that the log has kept. Invariant: it goes on as if its
//! connection had just been lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::load::Load;
use super::outbound::Outbound;
use super::state::State;
use super::{Session, Snapshot};
use crate::budget::{Budget, Ledger};
use crate::delivery::Options;
use crate::gate::Gate;
use crate::lock::lock;
use crate::session_log::Event;

impl Session {
    /// Shows the session's state while nothing can change it; not at all when the log does not know
    /// it.
    pub(crate) fn show_state(&self, show: &mut dyn FnMut(&State)) {
        let outbound = self.lock_outbound();
        if outbound.log.is_some() {
            show(&outbound.state);
        }
    }

    /// A session that the log knows, whose client is away.
    pub(crate) fn restore(gate: &Gate, mut state: State) -> Arc<Session> {
        let session = gate.numbered_session(state.number, &state.client_id);
        let now = gate.clock.now_micros();
        let left_at = state.disconnected_at.unwrap_or(now);
        let away = Duration::from_micros(now.saturating_sub(left_at).max(0).unsigned_abs());
        let in_seconds = |seconds: u32| {
            let wait = Duration::from_secs(seconds.into());
            gate.clock.second_after(wait.saturating_sub(away))
        };
        let expiry_max = gate.settings.max_session_expiry_seconds;
        let expiry_seconds = state.expiry_seconds.min(expiry_max);
        state.expiry_seconds = expiry_seconds;
        if let Some(will) = &mut state.will {
            will.message.publisher = session.number;
            will.identity = Arc::clone(&state.identity);
        }
        {
            let mut outbound = session.lock_outbound();
            *outbound = Outbound::restored(state);
            outbound.log.clone_from(&session.log);
            let will_delay = outbound.state.will.as_ref().map(|will| will.delay_seconds);
            let place = gate
                .kept_sessions
                .enter_again(&outbound.state.identity.user);
            let stay = &mut outbound.stay;
            stay.ends_at = in_seconds(expiry_seconds);
            stay.place = Some(place);
            if let Some(delay_seconds) = will_delay {
                stay.will_at = in_seconds(delay_seconds.min(expiry_seconds));
            }
            session.due.store(stay.due(), Ordering::Relaxed);
            session.logged.store(true, Ordering::Relaxed);
        }
        gate.stats.sessions.add(1);
        gate.stats.sessions_kept.add(1);
        gate.stats.sessions_saved.add(1);
        let session = Arc::new(session);
        session.enter_filters(gate);
        session.find_groups();
        session
    }

    /// Subscribes to the filters of the state, and lets the snapshots begin anew that were not
    /// through.
    fn enter_filters(self: &Arc<Self>, gate: &Gate) {
        let subscriptions: Vec<(Box<str>, Options, bool)> = {
            let state = &self.lock_outbound().state;
            let all = state.subscriptions.iter();
            all.map(|(name, options)| (name.clone(), *options, state.snapshots.contains(name)))
                .collect()
        };
        for (name, options, has_snapshot) in subscriptions {
            // It was checked when the client asked for it; a limit that was lowered since ends it
            // here.
            match gate.settings.topics.check_filter(&name) {
                Ok(filter) => {
                    self.enter_filter(gate, &name, &filter, options);
                    if has_snapshot {
                        let snapshot = Snapshot::new(gate, &name, &options, None);
                        self.lock_outbound().restore_snapshot(snapshot);
                    }
                }
                Err(_) => {
                    let ended = Event::Unsubscribed { filter: &name };
                    self.lock_outbound().change(&ended);
                }
            }
        }
    }

    /// Puts the groups of the session's shared subscriptions in the place of those that the log
    /// remembers. What came by a subscription that the session has given up since stays with it.
    fn find_groups(&self) {
        let filters = lock(&self.filters);
        let state = &mut self.lock_outbound().state;
        let deliveries = state.queue.deliveries_mut();
        for delivery in deliveries.chain(state.window.deliveries_mut()) {
            if let Some(remembered) = &delivery.share {
                let held = filters.by_name.get(remembered.subscription());
                delivery.share = held.and_then(|held| held.membership.group().cloned());
            }
        }
    }
}

/// Drops the newest messages of the largest queues until what all sessions hold is within the
/// budget again, and what is in flight when that is not enough; how many went.
///
/// To be called when sessions were restored: the budget may be smaller than before, and memory that
/// is not there would keep the broker from ever starting.
pub(crate) fn cut_to_budget(sessions: &[Arc<Session>], budget: &Budget) -> usize {
    let is_exceeded = || budget.is_exceeded(&Ledger::default());
    let mut bytes_max = sessions
        .iter()
        .map(|session| session.queued_bytes())
        .max()
        .unwrap_or_default();
    let mut dropped = 0;
    while is_exceeded() && bytes_max > 0 {
        bytes_max = bytes_max / CUT_DENOMINATOR * CUT_NUMERATOR;
        let is_enough = |load: &Load| load.bytes <= bytes_max || !budget.is_exceeded(&load.ledger);
        for session in sessions {
            dropped += session.lock_outbound().shed_queued(is_enough);
        }
    }
    for session in sessions {
        dropped += session.lock_outbound().shed(budget);
    }
    dropped
}

/// What is left of the largest queues in each round: small enough to be done in a few dozen, large
/// enough to drop little more than must be.
const CUT_NUMERATOR: usize = 7;
const CUT_DENOMINATOR: usize = 8;
