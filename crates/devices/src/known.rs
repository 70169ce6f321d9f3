//! What is known of devices, in memory.
//!
//! Owns: the present table, and what it means for a device. Never: talks to a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use access::{DeviceCredentials, Lookup};
use arc_swap::ArcSwapOption;
use telemetry::now_micros;

use crate::table::Table;

/// The devices as they are known now; shared by the follower and whoever looks one up.
#[derive(Default)]
pub struct Known {
    table: ArcSwapOption<Table>,
    /// A device had a secret once, though it may be revoked or its row lost.
    any_ever: AtomicBool,
    generation: AtomicU64,
}

impl Known {
    /// From now on this is what holds.
    pub(crate) fn set(&self, table: Table) {
        if table.len() > 0 {
            self.had_one();
        }
        self.table.store(Some(Arc::new(table)));
    }

    pub(crate) fn had_one(&self) {
        self.any_ever.store(true, Ordering::Release);
    }

    /// Some secret may have ceased to hold.
    pub(crate) fn secrets_ended(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl DeviceCredentials for Known {
    fn find(&self, device: &str) -> Lookup {
        let table = self.table.load();
        let Some(table) = &*table else {
            return Lookup::Unavailable;
        };
        match table.find(device, now_micros()) {
            Some((current, previous)) => Lookup::Known { current, previous },
            None => Lookup::Unknown,
        }
    }

    fn any(&self) -> bool {
        self.table
            .load()
            .as_ref()
            .is_some_and(|table| table.len() > 0)
    }

    fn any_ever(&self) -> bool {
        self.any_ever.load(Ordering::Acquire)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
