//! What is known of devices, in memory.
//!
//! Owns: the present table, and what it means for a device. Never: talks to a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use telemetry::now_micros;

use crate::credentials::SecretDigest;
use crate::table::Table;

/// What is known about a device's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The device may connect with either secret.
    Known {
        current: SecretDigest,
        /// The secret before a rotation, while its grace time lasts.
        previous: Option<SecretDigest>,
    },
    /// There is no such device, or its credential was revoked.
    Unknown,
    /// Nothing is known about any device yet.
    Unavailable,
}

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

impl Known {
    /// What a device of that name must know. Answered from memory, in about a microsecond.
    pub fn find(&self, device: &str) -> Lookup {
        let table = self.table.load();
        let Some(table) = &*table else {
            return Lookup::Unavailable;
        };
        match table.find(device, now_micros()) {
            Some((current, previous)) => Lookup::Known { current, previous },
            None => Lookup::Unknown,
        }
    }

    /// Whether there is a credential that is not revoked.
    pub fn any(&self) -> bool {
        self.table
            .load()
            .as_ref()
            .is_some_and(|table| table.len() > 0)
    }

    /// Whether there is or was a credential, as far as is known: one that was revoked or whose row
    /// was lost counts too.
    pub fn any_ever(&self) -> bool {
        self.any_ever.load(Ordering::Acquire)
    }

    /// A number that changes whenever a secret may have ceased to hold.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
