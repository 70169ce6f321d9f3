//! How instances are named, and those from the database that wait for their device.

use hashbrown::{Equivalent, HashMap};

/// Where an instance lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstanceRef {
    Threshold(u32),
    Silence(u32),
}

/// Restored instances by rule, device and metric, each until it is claimed once. After that, the
/// tables of series and devices lead to it, so that names are not kept twice.
#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: HashMap<Key, InstanceRef, foldhash::fast::RandomState>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    rule: u32,
    device: Box<str>,
    metric: Box<str>,
}

/// `Key` without its own strings; hashes the same because its fields do.
#[derive(Hash)]
struct KeyRef<'a> {
    rule: u32,
    device: &'a str,
    metric: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.rule == key.rule && *self.device == *key.device && *self.metric == *key.metric
    }
}

impl Claims {
    pub(super) fn add(&mut self, rule: u32, device: &str, metric: &str, instance: InstanceRef) {
        let key = Key {
            rule,
            device: device.into(),
            metric: metric.into(),
        };
        self.waiting.insert(key, instance);
    }

    pub(super) fn claim(&mut self, rule: u32, device: &str, metric: &str) -> Option<InstanceRef> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting.remove(&KeyRef {
            rule,
            device,
            metric,
        })
    }
}
