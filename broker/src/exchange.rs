//! The QoS 2 exchange by which a message came in, as far as its copies must know of it.
//!
//! Owns: how far the exchanges of one publisher's session are told to the log of kept sessions, and
//! who waits for that. Never: writes the log. Invariant: who is told that an exchange is told finds
//! in the log, before whatever it writes itself, that the exchange's copies are queued for good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::lock::lock;

/// Where a message comes from, beside its publisher's number. The default: its copies stand on
/// their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The exchange's number within the publisher's session, from 1; 0: a start takes no copy of
    /// the message back.
    pub(crate) ordinal: u64,
    /// `None`: it is told.
    progress: Option<Arc<Progress>>,
}

/// How far the exchanges of a session are told.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    told_through: AtomicU64,
    /// Woken when that changes. An exchange is told at the end of the read that it began in, so
    /// nobody is here for long.
    waiting: Mutex<Vec<Waker>>,
}

impl Origin {
    pub(crate) fn new(ordinal: u64, progress: &Arc<Progress>) -> Origin {
        Origin {
            ordinal,
            progress: Some(Arc::clone(progress)),
        }
    }

    /// The origin of a message that was read from the log.
    pub(crate) fn read(ordinal: u64) -> Origin {
        Origin {
            ordinal,
            progress: None,
        }
    }

    /// Whether the log has been told that the exchange's copies are queued; if not, the waker is
    /// woken when it has.
    pub(crate) fn is_told_or_wakes(&self, waker: &Waker) -> bool {
        let Some(progress) = &self.progress else {
            return true;
        };
        let is_told = || progress.told_through.load(Ordering::Acquire) >= self.ordinal;
        if is_told() {
            return true;
        }
        let mut waiting = lock(&progress.waiting);
        // It may have been told in between, and then nobody would wake the waker.
        let told = is_told();
        if !told {
            waiting.push(waker.clone());
        }
        told
    }
}

impl Progress {
    /// The exchanges up to this one are told.
    pub(crate) fn tell(&self, ordinal: u64) {
        let before = self.told_through.fetch_max(ordinal, Ordering::AcqRel);
        if before < ordinal {
            let waiting = std::mem::take(&mut *lock(&self.waiting));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
