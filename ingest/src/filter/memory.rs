//! What the rows lane's filters remember, by series.
//!
//! Owns: rings of recent samples, and the last stored value where a deadband applies. Invariant:
//! memory is bounded: four entries a series, and all growth beyond comes out of one budget.

use store::Reason;
use telemetry::{Micros, Value};

use super::Rules;
use super::deadband::LastStored;
use super::duplicate::Ring;
use crate::prepare::Sample;

/// Bytes that rings may take beyond their first entries: 20,000 series with full rings, or a
/// million with eight entries each. When it is used up, busy series remember less.
const GROWTH_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub struct Memory {
    series: Vec<SeriesMemory>,
    window: usize,
    budget: usize,
}

#[derive(Debug, Default)]
struct SeriesMemory {
    ring: Ring,
    last: Option<Box<Option<LastStored>>>,
}

impl Memory {
    pub fn new(rules: &Rules) -> Memory {
        Memory {
            series: Vec::new(),
            window: usize::from(rules.duplicate_window()),
            budget: GROWTH_BYTES_MAX,
        }
    }

    /// Why the sample is not stored, if it is not. A sample that is stored, is remembered.
    pub fn check(&mut self, sample: &Sample<'_>, received_at: Micros) -> Option<Reason> {
        let index = sample.series.0 as usize;
        if index >= self.series.len() {
            self.series.resize_with(index + 1, SeriesMemory::default);
        }
        let memory = &mut self.series[index];
        if sample.has_device_time && self.window > 0 {
            let (time, value) = (sample.time, sample.value);
            let ring = &mut memory.ring;
            if !ring.insert(time, value, received_at, self.window, &mut self.budget) {
                return Some(Reason::Duplicate);
            }
        }
        if let (Some(deadband), Value::Number(value)) = (sample.rules.deadband(), sample.value) {
            let last = memory.last.get_or_insert_default();
            if !deadband.passes(last, sample.time, value) {
                return Some(Reason::Deadband);
            }
        }
        None
    }
}
