//! Series, and the instances that watch them.
//!
//! Owns: the way from a sample to its instances: one look into an array.

use std::sync::Arc;

use super::super::labels::Labels;
use super::super::rules::Condition;
use super::{Effects, Engine, InstanceRef, Origin, Sample};

/// By the series' dense number; `None` until a series is seen.
#[derive(Default)]
pub(super) struct SeriesTable {
    instances: Vec<Option<Box<[InstanceRef]>>>,
}

impl SeriesTable {
    /// Empty for a series that is not resolved.
    pub(super) fn instances(&self, series: u32) -> &[InstanceRef] {
        match self.instances.get(series as usize) {
            Some(Some(instances)) => instances,
            _ => &[],
        }
    }

    fn is_resolved(&self, series: u32) -> bool {
        matches!(self.instances.get(series as usize), Some(Some(_)))
    }

    fn set(&mut self, series: u32, instances: Box<[InstanceRef]>) {
        let index = series as usize;
        if self.instances.len() <= index {
            self.instances.resize_with(index + 1, || None);
        }
        self.instances[index] = Some(instances);
    }
}

impl Engine {
    /// Holds the series against every rule when it is seen for the first time.
    pub(super) fn resolve_series(
        &mut self,
        origin: Origin,
        sample: &Sample<'_>,
        effects: &mut Effects,
    ) {
        if self.series.is_resolved(sample.series) {
            return;
        }
        let labels = Labels::from_json(sample.labels);
        let (device, metric) = (sample.device, sample.metric);
        let mut instances = Vec::new();
        let rules = Arc::clone(&self.rules);
        for (rule, index) in rules.iter().zip(0..) {
            let covered = !rule.is_about_device()
                && rule.scope.covers_device(device)
                && rule.scope.covers_metric(metric)
                && rule.scope.covers_labels(&labels);
            if !covered {
                continue;
            }
            instances.extend(match rule.condition {
                Condition::Threshold(_) => self
                    .threshold_instance(index, device, metric)
                    .map(InstanceRef::Threshold),
                Condition::Silence(_) => self
                    .silence_instance(index, device, metric, &labels, origin, effects)
                    .map(InstanceRef::Silence),
            });
        }
        self.series.set(sample.series, instances.into());
    }
}
