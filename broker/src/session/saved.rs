//! A session as the log keeps it, in both directions.
//!
//! Owns: what of a session is saved, and what a restored one is. Invariant: a session that is
//! restored from what was saved of it goes on as if its connection had just been lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use journal::Position;

use super::exchanges::{self, Exchanges};
use super::filters::Filters;
use super::load::Load;
use super::outbound::{Outbound, Presence};
use super::will::Will;
use super::window::{InFlight, Stage};
use super::{Session, Snapshot};
use crate::auth::Identity;
use crate::budget::{Budget, Ledger};
use crate::delivery::Delivery;
use crate::gate::Gate;
use crate::lock::lock;
use crate::session_log::{SavedInflight, SavedSession, SavedWill};
use mqtt::Qos;

impl Session {
    /// Shows the session's state while nothing can change it; not at all when the log does not know
    /// it.
    pub(crate) fn show_state(&self, show: &mut dyn FnMut(&SavedSession)) {
        let filters = lock(&self.filters);
        let outbound = self.lock_outbound();
        if self.is_logged() {
            show(&self.state(&filters, &outbound));
        }
    }

    pub(super) fn state(&self, filters: &Filters, outbound: &Outbound) -> SavedSession {
        let stay = &outbound.stay;
        let subscriptions = filters.by_name.iter();
        let is_kept = |delivery: &&Delivery| delivery.qos != Qos::AtMostOnce;
        SavedSession {
            client_id: self.client_id.clone(),
            number: self.number,
            completed_through: outbound.exchanges.told_through,
            identity: Arc::clone(&stay.identity),
            expiry_seconds: stay.expiry_seconds,
            disconnected_at: (stay.presence == Presence::Away).then_some(stay.left_at),
            subscriptions: subscriptions
                .map(|(name, held)| (name.clone(), held.options))
                .collect(),
            held: exchanges::saved(&outbound.held),
            held_through: outbound.held_through,
            inflight: outbound.window.entries().map(InFlight::saved).collect(),
            queue: outbound.deliveries().filter(is_kept).cloned().collect(),
            snapshots: outbound.snapshots().map(Box::from).collect(),
            will: stay.will.as_deref().map(Will::saved),
            last_packet_id: outbound.window.last_packet_id(),
        }
    }

    /// A session that the log knows, whose client is away.
    pub(crate) fn restore(gate: &Gate, saved: SavedSession) -> Arc<Session> {
        let session = gate.numbered_session(saved.number, &saved.client_id);
        let left_at = saved
            .disconnected_at
            .unwrap_or_else(|| gate.clock.now_micros());
        let away_micros = gate.clock.now_micros().saturating_sub(left_at).max(0);
        let away = Duration::from_micros(away_micros.unsigned_abs());
        let in_seconds = |seconds: u32| {
            let wait = Duration::from_secs(seconds.into());
            gate.clock.second_after(wait.saturating_sub(away))
        };
        let expiry_seconds = saved
            .expiry_seconds
            .min(gate.settings.max_session_expiry_seconds);
        {
            let mut outbound = session.lock_outbound();
            let outbound = &mut *outbound;
            let stay = &mut outbound.stay;
            stay.fresh = false;
            stay.expiry_seconds = expiry_seconds;
            stay.left_at = left_at;
            stay.ends_at = in_seconds(expiry_seconds);
            stay.place = Some(gate.kept_sessions.enter_again(&saved.identity.user));
            if let Some(will) = saved.will {
                stay.will_at = in_seconds(will.delay_seconds.min(expiry_seconds));
                let will = Will::restored(will, session.number, &saved.identity);
                stay.will = Some(Box::new(will));
            }
            stay.identity = saved.identity;
            session.due.store(stay.due(), Ordering::Relaxed);
            outbound.held = saved.held.into_iter().map(exchanges::restored).collect();
            outbound.exchanges = Exchanges::restored(saved.completed_through);
            outbound.held_through = saved.held_through;
            outbound.restore(saved.inflight, saved.queue, saved.last_packet_id);
            session.logged.store(true, Ordering::Relaxed);
        }
        gate.stats.sessions.add(1);
        gate.stats.sessions_kept.add(1);
        gate.stats.sessions_saved.add(1);
        let session = Arc::new(session);
        for (name, options) in &saved.subscriptions {
            // It was checked when the client asked for it; a limit that was lowered since ends it
            // here.
            match gate.settings.topics.check_filter(name) {
                Ok(filter) => {
                    session.enter_filter(gate, name, &filter, *options);
                    if saved.snapshots.contains(name) {
                        let snapshot = Snapshot::new(gate, name, options, None);
                        session.lock_outbound().restore_snapshot(snapshot);
                    }
                }
                Err(_) => {
                    session.unsubscribe(gate, name);
                }
            }
        }
        session.find_groups();
        session
    }

    /// Puts the groups of the session's shared subscriptions in the place of those that the log
    /// remembers. What came by a subscription that the session has given up since stays with it.
    fn find_groups(&self) {
        let filters = lock(&self.filters);
        self.lock_outbound().for_each_delivery(|delivery| {
            if let Some(remembered) = &delivery.share {
                let held = filters.by_name.get(remembered.subscription());
                delivery.share = held.and_then(|held| held.membership.group().cloned());
            }
        });
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
            let scribe = session.scribe(Waker::noop());
            dropped += session.lock_outbound().shed_queued(is_enough, scribe);
        }
    }
    for session in sessions {
        let scribe = session.scribe(Waker::noop());
        dropped += session.lock_outbound().shed(budget, scribe);
    }
    dropped
}

/// What is left of the largest queues in each round: small enough to be done in a few dozen, large
/// enough to drop little more than must be.
const CUT_NUMERATOR: usize = 7;
const CUT_DENOMINATOR: usize = 8;

impl InFlight {
    fn saved(&self) -> SavedInflight {
        SavedInflight {
            packet_id: self.packet_id,
            delivery: match &self.stage {
                Stage::Published(delivery) => Some(delivery.clone()),
                Stage::Released => None,
            },
        }
    }
}

impl Will {
    fn saved(&self) -> SavedWill {
        SavedWill {
            message: self.message.clone(),
            delay_seconds: self.delay_seconds,
            content_type: self.content_type.clone(),
        }
    }

    /// A session takes its will and its identity from the same CONNECT, and loses both to the next
    /// one: so the will that it has is its identity's.
    fn restored(saved: SavedWill, publisher: u64, identity: &Arc<Identity>) -> Will {
        let mut message = saved.message;
        message.publisher = publisher;
        Will {
            message,
            delay_seconds: saved.delay_seconds,
            content_type: saved.content_type,
            identity: Arc::clone(identity),
        }
    }
}

impl Outbound {
    fn for_each_delivery(&mut self, mut visit: impl FnMut(&mut Delivery)) {
        self.deliveries_mut().for_each(&mut visit);
        for entry in self.window.entries_mut() {
            if let Stage::Published(delivery) = &mut entry.stage {
                visit(delivery);
            }
        }
    }

    fn restore(
        &mut self,
        inflight: VecDeque<SavedInflight>,
        queue: VecDeque<Delivery>,
        last_packet_id: u16,
    ) {
        for SavedInflight {
            packet_id,
            delivery,
        } in inflight
        {
            let stage = match delivery {
                Some(delivery) => Stage::Published(delivery),
                None => Stage::Released,
            };
            self.take_back(InFlight {
                packet_id,
                // Whether it had left is not known; saying DUP of one that had not does no harm.
                sent_before: true,
                saved: Position::ZERO,
                stage,
            });
        }
        self.window.set_last_packet_id(last_packet_id);
        queue.into_iter().for_each(|delivery| self.append(delivery));
    }
}
