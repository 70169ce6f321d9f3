//! How often the log is told of what strangers can make happen as often as they like.
//!
//! Invariant: however often it happens, a burst of lines passes and then one in a while; each says
//! how many did not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;

/// What is left of the lines that may be told: a burst, and then one in a while.
#[derive(Debug)]
pub struct LineBudget {
    left: u32,
    /// When one more was earned.
    earned_at: Option<Instant>,
}

impl LineBudget {
    /// Lines that pass at once.
    pub const BURST: u32 = 10;
    /// Then one in this time: 8,640 a day, a megabyte or two.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    pub const fn new() -> LineBudget {
        LineBudget {
            left: LineBudget::BURST,
            earned_at: None,
        }
    }

    /// Whether a line may be told now.
    pub fn may_tell(&mut self, now: Instant) -> bool {
        let earned_at = *self.earned_at.get_or_insert(now);
        let passed = now.saturating_duration_since(earned_at);
        let earned = passed.as_secs() / LineBudget::INTERVAL.as_secs();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(LineBudget::BURST);
            self.earned_at = Some(now);
        }
        self.left > 0
    }

    /// A line was told.
    pub fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

impl Default for LineBudget {
    fn default() -> LineBudget {
        LineBudget::new()
    }
}

/// Lets few through; one for each thing to be told.
pub(crate) struct Seldom(Mutex<State>);

struct State {
    budget: LineBudget,
    silenced: u64,
}

impl Seldom {
    pub(crate) const fn new() -> Seldom {
        Seldom(Mutex::new(State {
            budget: LineBudget::new(),
            silenced: 0,
        }))
    }

    /// Whether this one may be told: then the number of those before it that were not.
    pub(crate) fn may_tell(&self, now: Instant) -> Option<u64> {
        let mut state = lock(&self.0);
        if state.budget.may_tell(now) {
            state.budget.spend();
            Some(std::mem::take(&mut state.silenced))
        } else {
            state.silenced += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_in_a_while_with_the_number_of_the_others() {
        let seldom = Seldom::new();
        let start = Instant::now();
        for _ in 0..LineBudget::BURST {
            assert_eq!(seldom.may_tell(start), Some(0));
        }
        for _ in 0..1_000 {
            assert_eq!(seldom.may_tell(start + LineBudget::INTERVAL / 2), None);
        }
        assert_eq!(seldom.may_tell(start + LineBudget::INTERVAL), Some(1_000));
        assert_eq!(seldom.may_tell(start + LineBudget::INTERVAL), None);
        assert_eq!(seldom.may_tell(start + 2 * LineBudget::INTERVAL), Some(1));
    }

    #[test]
    fn rest_earns_no_more_than_a_burst() {
        let seldom = Seldom::new();
        let start = Instant::now();
        assert_eq!(seldom.may_tell(start), Some(0));
        let later = start + 1_000 * LineBudget::INTERVAL;
        let told = (0..100).filter(|_| seldom.may_tell(later).is_some());
        assert_eq!(told.count(), LineBudget::BURST as usize);
    }
}
