//! Acknowledgements on their way to a client, in the order of what they answer.
//!
//! Owns: what each waits for. Those of one read wait for the same, so that is kept and asked once
//! for a run of them. Never: waits, or knows what is durable. Invariant: the runs' lengths add up
//! to the number of acknowledgements, and none is empty.

use std::collections::VecDeque;

use journal::Position;

use mqtt::ReasonCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    pub(super) kind: AckKind,
    pub(super) reason: ReasonCode,
    pub(super) packet_id: u16,
}

impl Ack {
    /// Whether the client may then send one more publish: section 4.9.
    pub(super) fn ends_exchange(&self) -> bool {
        match self.kind {
            AckKind::Puback | AckKind::Pubcomp => true,
            AckKind::Pubrec => self.reason.is_error(),
            AckKind::Pubrel => false,
        }
    }
}

/// What must have happened before an acknowledgement leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// The journal is durable up to here,
    pub(super) position: Position,
    /// and the log of kept sessions up to here.
    pub(super) saved: Position,
}

/// Of an acknowledgement whose record has no position yet.
pub(super) const UNPLACED: Position = Position(u64::MAX);
/// `Wait::saved` of a QoS 2 publish that the session log has not been told of yet.
pub(super) const UNTOLD: Position = Position(u64::MAX);

impl Wait {
    pub(super) fn for_journal(position: Position) -> Wait {
        Wait {
            position,
            ..Wait::default()
        }
    }

    pub(super) fn for_log(saved: Position) -> Wait {
        Wait {
            saved,
            ..Wait::default()
        }
    }
}

/// Neighbours that wait for the same.
struct Run {
    length: usize,
    wait: Wait,
}

#[derive(Default)]
pub(super) struct Acks {
    acks: VecDeque<Ack>,
    runs: VecDeque<Run>,
}

/// Buffers of more entries are given back once they are empty, for the sake of idle connections.
const KEPT_ACKS: usize = 64;
const KEPT_RUNS: usize = 4;

impl Acks {
    pub(super) fn len(&self) -> usize {
        self.acks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acks.is_empty()
    }

    pub(super) fn push(&mut self, ack: Ack, wait: Wait) {
        self.acks.push_back(ack);
        self.extend_runs(wait);
    }

    fn extend_runs(&mut self, wait: Wait) {
        match self.runs.back_mut() {
            Some(run) if run.wait == wait => run.length += 1,
            _ => self.runs.push_back(Run { length: 1, wait }),
        }
    }

    /// Changes what the last one waits for.
    pub(super) fn change_last(&mut self, change: impl FnOnce(&mut Wait)) {
        let Some(run) = self.runs.back_mut() else {
            return;
        };
        let mut wait = run.wait;
        change(&mut wait);
        if wait == run.wait {
            return;
        }
        run.length -= 1;
        if run.length == 0 {
            self.runs.pop_back();
        }
        self.extend_runs(wait);
    }

    /// The last one says something else than before, and waits as before.
    pub(super) fn remark_last(&mut self, reason: ReasonCode) {
        if let Some(ack) = self.acks.back_mut() {
            ack.reason = reason;
        }
    }

    /// Takes out, from the front, those that wait no more, and shows each to `leave`. `is_over` may
    /// change what a run waits for.
    pub(super) fn leave(
        &mut self,
        mut is_over: impl FnMut(&mut Wait) -> bool,
        mut leave: impl FnMut(Ack),
    ) {
        while let Some(run) = self.runs.pop_front_if(|run| is_over(&mut run.wait)) {
            self.acks.drain(..run.length).for_each(&mut leave);
        }
        if self.acks.is_empty() {
            self.acks.shrink_to(KEPT_ACKS);
            self.runs.shrink_to(KEPT_RUNS);
        }
    }

    /// Those whose record has no position.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = Ack> {
        let mut end = 0;
        let ranges = self.runs.iter().map(move |run| {
            let range = end..end + run.length;
            end = range.end;
            (run.wait.position == UNPLACED, range)
        });
        let unplaced = ranges.filter_map(|(unplaced, range)| unplaced.then_some(range));
        unplaced.flat_map(|range| self.acks.range(range).copied())
    }

    /// Their records lie before this position, of which the log knows from `saved` on.
    pub(super) fn place(&mut self, position: Position, saved: Position) {
        for run in &mut self.runs {
            if run.wait.position == UNPLACED {
                run.wait.position = position;
                run.wait.saved = run.wait.saved.max(saved);
            }
        }
    }

    /// The log knows of the publishes that it was to be told of from this position on.
    pub(super) fn told(&mut self, saved: Position) {
        for run in &mut self.runs {
            if run.wait.saved == UNTOLD {
                run.wait.saved = saved;
            }
        }
    }

    /// Their records will never be: they say so.
    pub(super) fn refuse_unplaced(&mut self, reason: ReasonCode) {
        let mut from = 0;
        for run in &mut self.runs {
            let range = from..from + run.length;
            from = range.end;
            if run.wait.position == UNPLACED {
                run.wait = Wait::default();
                let refused = self.acks.range_mut(range);
                refused.for_each(|ack| ack.reason = reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    /// The same by a list in which each has its own wait.
    #[derive(Default)]
    struct Model(VecDeque<(Ack, Wait)>);

    impl Model {
        fn unplaced(&mut self) -> impl Iterator<Item = &mut (Ack, Wait)> {
            let all = self.0.iter_mut();
            all.filter(|(_, wait)| wait.position == UNPLACED)
        }

        fn leave(&mut self, durable: Position, saved: Position) -> Vec<u16> {
            let mut left = Vec::new();
            while let Some((ack, _)) = self
                .0
                .pop_front_if(|(_, wait)| is_over(wait, durable, saved))
            {
                left.push(ack.packet_id);
            }
            left
        }
    }

    fn is_over(wait: &Wait, durable: Position, saved: Position) -> bool {
        wait.position <= durable && wait.saved <= saved
    }

    #[test]
    fn runs_do_what_a_list_does() {
        let mut rng: rand_chacha::ChaCha8Rng = rand::SeedableRng::seed_from_u64(1);
        let (mut acks, mut model) = (Acks::default(), Model::default());
        for packet_id in 0..20_000 {
            let small = Position(rng.random_range(0..3));
            match rng.random_range(0..12) {
                0..6 => {
                    let ack = Ack {
                        kind: AckKind::Puback,
                        reason: ReasonCode::Success,
                        packet_id,
                    };
                    let wait = match rng.random_range(0..4) {
                        0 => Wait::for_log(small),
                        3 => Wait::for_log(UNTOLD),
                        1 => Wait::for_journal(small),
                        _ => Wait::for_journal(UNPLACED),
                    };
                    acks.push(ack, wait);
                    model.0.push_back((ack, wait));
                }
                6 | 7 => {
                    acks.change_last(|wait| wait.saved = wait.saved.max(small));
                    if let Some((_, wait)) = model.0.back_mut() {
                        wait.saved = wait.saved.max(small);
                    }
                }
                8 => {
                    acks.place(small, Position(1));
                    model.unplaced().for_each(|(_, wait)| {
                        wait.position = small;
                        wait.saved = wait.saved.max(Position(1));
                    });
                }
                9 => {
                    acks.refuse_unplaced(ReasonCode::QuotaExceeded);
                    for (ack, wait) in model.unplaced() {
                        ack.reason = ReasonCode::QuotaExceeded;
                        *wait = Wait::default();
                    }
                }
                10 => {
                    acks.told(small);
                    let all = model.0.iter_mut();
                    all.filter(|(_, wait)| wait.saved == UNTOLD)
                        .for_each(|(_, wait)| wait.saved = small);
                }
                _ => {
                    let saved = Position(rng.random_range(0..3));
                    let mut left = Vec::new();
                    acks.leave(
                        |wait| is_over(wait, small, saved),
                        |ack| left.push(ack.packet_id),
                    );
                    assert_eq!(left, model.leave(small, saved));
                }
            }
            assert_eq!(acks.len(), model.0.len());
            let unplaced: Vec<_> = acks.unplaced().map(|ack| ack.packet_id).collect();
            let expected: Vec<_> = model.unplaced().map(|(ack, _)| ack.packet_id).collect();
            assert_eq!(unplaced, expected);
            let reasons = |ack: &Ack| (ack.packet_id, ack.reason);
            assert!(
                acks.acks
                    .iter()
                    .map(reasons)
                    .eq(model.0.iter().map(|(ack, _)| reasons(ack)))
            );
        }
    }

    #[test]
    fn a_long_queue_gives_its_memory_back() {
        let mut acks = Acks::default();
        let ack = Ack {
            kind: AckKind::Puback,
            reason: ReasonCode::Success,
            packet_id: 1,
        };
        for position in 0..100 {
            acks.push(ack, Wait::for_journal(Position(position)));
        }
        assert_eq!(acks.runs.len(), 100);
        acks.leave(|_| true, |_| ());
        assert!(acks.acks.capacity() <= KEPT_ACKS && acks.runs.capacity() <= KEPT_RUNS);
    }
}
