//! Devices, and which rules are about them.
//!
//! Owns: the answer to "does any rule care about this device", found once per device.

use hashbrown::HashMap;
use tracing::warn;

use super::super::labels::Labels;
use super::{Effects, Engine, Origin};

pub(super) struct Devices {
    by_name: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    list: Vec<Device>,
    max: usize,
    limit_reported: bool,
}

struct Device {
    /// Instances that any message of the device is a sign of life for.
    silences: Box<[u32]>,
    /// Whether a rule may be about one of its metrics.
    wants_samples: bool,
}

impl Devices {
    pub(super) fn new(max: usize) -> Devices {
        Devices {
            by_name: HashMap::default(),
            list: Vec::new(),
            max,
            limit_reported: false,
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn silences(&self, device: u32) -> &[u32] {
        &self.list[device as usize].silences
    }

    pub(super) fn wants_samples(&self, device: u32) -> bool {
        self.list[device as usize].wants_samples
    }

    /// Reports once when it is full.
    fn is_full(&mut self) -> bool {
        let full = self.list.len() >= self.max;
        if full && !self.limit_reported {
            self.limit_reported = true;
            warn!(
                max_devices = self.max,
                "devices under alert rules have reached their limit; the silence of further ones is not noticed"
            );
        }
        full
    }

    fn add(&mut self, name: &str, device: Device) -> u32 {
        let index = self.list.len() as u32;
        self.by_name.insert(name.into(), index);
        self.list.push(device);
        index
    }
}

impl Engine {
    /// `None` when there are too many.
    pub(super) fn add_device(
        &mut self,
        origin: Origin,
        name: &str,
        labels: impl FnOnce() -> String,
        effects: &mut Effects,
    ) -> Option<u32> {
        if self.devices.is_full() {
            return None;
        }
        let rules = std::sync::Arc::clone(&self.rules);
        let covering = || {
            rules
                .iter()
                .zip(0..)
                .filter(|(rule, _)| rule.scope.covers_device(name))
        };
        let wants_samples = covering().any(|(rule, _)| !rule.is_about_device());
        let mut silences = Vec::new();
        if covering().any(|(rule, _)| rule.is_about_device()) {
            let json = labels();
            let labels = Labels::from_json(&json);
            for (rule, index) in covering() {
                if rule.is_about_device() && rule.scope.covers_labels(&labels) {
                    silences
                        .extend(self.silence_instance(index, name, "", &labels, origin, effects));
                }
            }
        }
        let device = Device {
            silences: silences.into(),
            wants_samples,
        };
        Some(self.devices.add(name, device))
    }
}
