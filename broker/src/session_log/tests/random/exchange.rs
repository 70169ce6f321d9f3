//! QoS 2 publishes in random lives, and what a start must find of each.

use std::collections::BTreeMap;

use journal::{Journal, Position};
use rand::RngExt;

use super::change::Change;
use super::{Life, copied, without_position};
use crate::session::IncomingQos2;
use crate::session_log::tests::model::Model;

/// A QoS 2 publish that came in, from its first copy to its release.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) client: &'static str,
    pub(super) incarnation: u64,
    pub(super) packet_id: u16,
    /// What the last start has found of it.
    pub(super) found: Option<IncomingQos2>,
    /// Where its record is, when it was appended since.
    pub(super) telemetry: Option<Position>,
    /// The end of the log when it was noted as distributed, as whole, and when it was released.
    pub(super) distributed: Option<Position>,
    pub(super) noted: Option<Position>,
    pub(super) released: Option<Position>,
}

/// Ordinals of the sessions' exchanges, by incarnation.
pub(super) type Ordinals = BTreeMap<u64, u64>;

/// From this position on the exchanges of the session are complete up to that ordinal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub(super) position: Position,
    pub(super) incarnation: u64,
    pub(super) ordinal: u64,
}

pub(super) const UNWRITTEN: Position = Position(u64::MAX);

impl Life {
    /// A publish at QoS 2 comes in: its copies are queued, its record is appended if it is
    /// telemetry, and then it is noted.
    pub(super) fn publish(
        &mut self,
        client: &'static str,
        incarnation: u64,
        packet_id: u16,
        model: &mut Model,
        log: &mut Vec<Change>,
    ) {
        let ordinal = self.copy(client, incarnation, model, log);
        let mut exchange = Exchange {
            client,
            incarnation,
            packet_id,
            found: None,
            telemetry: None,
            distributed: None,
            noted: None,
            released: None,
        };
        // Neither telemetry, nor telemetry that the journal refuses for now, has a record.
        let is_refused = self.rng.random_ratio(1, 4);
        if is_refused {
            exchange.distributed = Some(UNWRITTEN);
            log.push(Change::Distributed(packet_id, ordinal));
        } else {
            exchange.telemetry = self
                .rng
                .random::<bool>()
                .then(|| self.logs.publish(client, Some(packet_id)));
            exchange.noted = Some(UNWRITTEN);
            log.push(Change::Held(packet_id, exchange.telemetry, ordinal));
        }
        let hold = without_position(exchange.hold());
        model.held.insert(packet_id, hold);
        self.exchanges.push(exchange);
    }

    /// Copies of a further exchange are queued for some sessions; its ordinal.
    pub(super) fn copy(
        &mut self,
        client: &'static str,
        incarnation: u64,
        model: &mut Model,
        log: &mut Vec<Change>,
    ) -> u64 {
        let ordinal = self.ordinals.entry(incarnation).or_default();
        *ordinal += 1;
        let (ordinal, number) = (*ordinal, copied(incarnation, *ordinal));
        let others: Vec<_> = self.models.keys().copied().collect();
        for other in others {
            if self.rng.random() {
                continue;
            }
            if other == client {
                model.queue.push(number);
                log.push(Change::Queued(number));
            } else if let Some((incarnation, mut model)) = self.models.get(other).cloned() {
                model.queue.push(number);
                self.write(other, &[Change::Queued(number)]);
                self.models.insert(other, (incarnation, model.clone()));
                self.note(other, incarnation, Some(model));
            }
        }
        self.completions.push(Completion {
            position: UNWRITTEN,
            incarnation,
            ordinal,
        });
        ordinal
    }

    /// What a start has found in halves is made whole, as when the client publishes it again, or
    /// the journal takes it at last.
    pub(super) fn go_on(
        &mut self,
        client: &'static str,
        incarnation: u64,
        model: &mut Model,
        log: &mut Vec<Change>,
    ) {
        let halves = self.exchanges.iter().position(|exchange| {
            exchange.client == client
                && exchange.incarnation == incarnation
                && exchange.released.is_none()
                && !matches!(exchange.hold(), IncomingQos2::Whole(_))
        });
        let Some(index) = halves else {
            return;
        };
        let packet_id = self.exchanges[index].packet_id;
        let ordinal = match self.exchanges[index].hold() {
            IncomingQos2::Journalled => self.copy(client, incarnation, model, log),
            _ => {
                let telemetry = Some(self.logs.publish(client, Some(packet_id)));
                self.exchanges[index].telemetry = telemetry;
                0
            }
        };
        let exchange = &mut self.exchanges[index];
        exchange.noted = Some(UNWRITTEN);
        model.held.insert(packet_id, IncomingQos2::Whole(None));
        log.push(Change::Held(packet_id, exchange.telemetry, ordinal));
    }

    /// Whether the client may use the id: it is not in use, and PUBCOMP for its last use was sent.
    pub(super) fn is_free(&self, client: &str, incarnation: u64, packet_id: u16) -> bool {
        let durable = self.logs.log.durable();
        let in_use = |exchange: &Exchange| {
            exchange.client == client
                && exchange.incarnation == incarnation
                && exchange.packet_id == packet_id
                && exchange.released.is_none_or(|position| position > durable)
        };
        !self.exchanges.iter().any(in_use)
    }

    /// Only what the client saw PUBREC for: its record is durable.
    pub(super) fn release(
        &mut self,
        client: &str,
        incarnation: u64,
        model: &mut Model,
        log: &mut Vec<Change>,
    ) {
        let (durable, noted) = (self.logs.telemetry.durable(), self.logs.log.durable());
        let releasable = self.exchanges.iter_mut().find(|exchange| {
            exchange.client == client
                && exchange.incarnation == incarnation
                && exchange.released.is_none()
                && exchange.noted.is_some_and(|position| position <= noted)
                && exchange.telemetry.is_none_or(|position| position < durable)
        });
        if let Some(exchange) = releasable {
            exchange.released = Some(UNWRITTEN);
            model.held.remove(&exchange.packet_id);
            log.push(Change::Released(exchange.packet_id));
        }
    }
}

impl Exchange {
    /// As it is known now.
    pub(super) fn hold(&self) -> IncomingQos2 {
        match (self.noted, self.found) {
            (Some(_), _) => IncomingQos2::Whole(self.telemetry),
            (None, Some(found)) => found,
            (None, None) => IncomingQos2::Distributed,
        }
    }

    /// What a start finds of it. `None`: it is to be taken as if it had never come.
    pub(super) fn after_a_crash(
        &self,
        end: Position,
        telemetry_end: Position,
    ) -> Option<IncomingQos2> {
        let is_there = |mark: Option<Position>| mark.is_some_and(|position| position <= end);
        let has_record = self.telemetry.map(|position| position < telemetry_end);
        let before = if is_there(self.distributed) {
            Some(IncomingQos2::Distributed)
        } else {
            self.found
        };
        match (is_there(self.noted), has_record, before) {
            (true, Some(false), _) => Some(IncomingQos2::Distributed),
            (true, _, _) | (false, Some(true), Some(IncomingQos2::Distributed)) => {
                Some(IncomingQos2::Whole(None))
            }
            (false, Some(true), _) => Some(IncomingQos2::Journalled),
            (false, _, before) => before,
        }
    }
}
