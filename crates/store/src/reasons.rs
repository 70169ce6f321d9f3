//! Why messages and values are in no table of values: totals by reason.
//!
//! Owns: how a batch is summed up by reason. Never: decides what is filtered. Invariant: the
//! messages of `filtered` add up to the account's filtered messages, and those of `dead_lettered`
//! to its dead-lettered ones. The reasons are words of the program, so the maps are small.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::batch::{Batch, Outcome};
use crate::reason::Counts;

/// By the reason's word, as `too_old` or `not_json`.
pub type ByReason = BTreeMap<Cow<'static, str>, Unstored>;

/// What was left out for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unstored {
    pub messages: u64,
    /// Filtered values, also those of messages that hold others which are stored. 0 for dead
    /// letters, whose values are unknown.
    pub values: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    pub filtered: ByReason,
    pub dead_lettered: ByReason,
}

impl Reasons {
    /// What a batch adds.
    pub fn of(batch: &Batch) -> Reasons {
        let mut messages = Counts::default();
        for outcome in &batch.outcomes {
            if let Outcome::Filtered(reason) = outcome {
                messages.add(*reason);
            }
        }
        let mut values = Counts::default();
        for filtered in &batch.filtered {
            values.add_many(filtered.reason, u64::from(filtered.values));
        }
        let mut reasons = Reasons::default();
        for ((reason, messages), (_, values)) in messages.iter().zip(values.iter()) {
            if messages + values > 0 {
                let word = Cow::Borrowed(reason.as_str());
                reasons.filtered.insert(word, Unstored { messages, values });
            }
        }
        for letter in &batch.dead_letters {
            let word = Cow::Borrowed(letter.reason);
            reasons.dead_lettered.entry(word).or_default().messages += 1;
        }
        reasons
    }

    pub fn add(&mut self, more: &Reasons) {
        add(&mut self.filtered, &more.filtered);
        add(&mut self.dead_lettered, &more.dead_lettered);
    }

    /// For the table: how a message ended, as a word, with each of the reasons.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, &str, Unstored)> {
        let filtered = self.filtered.iter().map(|row| (FILTERED, row));
        let dead_lettered = self.dead_lettered.iter().map(|row| (DEAD_LETTERED, row));
        filtered
            .chain(dead_lettered)
            .map(|(outcome, (reason, unstored))| (outcome, reason.as_ref(), *unstored))
    }

    /// Takes in a row of the table.
    pub(crate) fn insert(&mut self, outcome: &str, reason: String, unstored: Unstored) {
        let reasons = match outcome {
            FILTERED => &mut self.filtered,
            _ => &mut self.dead_lettered,
        };
        reasons.insert(Cow::Owned(reason), unstored);
    }
}

const FILTERED: &str = "filtered";
const DEAD_LETTERED: &str = "dead_lettered";

fn add(sum: &mut ByReason, more: &ByReason) {
    for (reason, unstored) in more {
        match sum.get_mut(reason) {
            Some(sum) => {
                sum.messages += unstored.messages;
                sum.values += unstored.values;
            }
            None => {
                sum.insert(reason.clone(), *unstored);
            }
        }
    }
}
