//! What a stage needs beside a gate: a folder, a device, wakers, and patience with the broker's
//! threads.
//!
//! Owns: the folder, which goes with it. Never: knows a script.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::words;
use crate::fuzzing::copy_files;
use access::{DeviceCredentials, Lookup, secret_digest};

/// How long the broker's threads may take; they take microseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Blocks this thread until it is so.
pub(super) fn wait_until(is_so: impl Fn(&Waker) -> bool) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let start = Instant::now();
    while !is_so(&waker) {
        assert!(start.elapsed() < PATIENCE, "a thread of the broker hangs");
        std::thread::park_timeout(PATIENCE);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Whether a connection was woken since it was last polled.
pub(super) struct Woken(AtomicBool);

impl Woken {
    pub(super) fn at_first() -> Woken {
        Woken(AtomicBool::new(true))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// There is one device, and its secret never changes.
pub(super) struct OneDevice;

impl DeviceCredentials for OneDevice {
    fn find(&self, device: &str) -> Lookup {
        match device {
            words::USER => Lookup::Known {
                current: secret_digest(words::SECRET),
                previous: None,
            },
            _ => Lookup::Unknown,
        }
    }

    fn any(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// A folder of its own, which goes with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn create() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("millrace-connections-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => return Folder(path),
                // A run that was ended by what it found has left it, under the same process id.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("no folder for temporary files: {error}"),
            }
        }
    }

    /// Another one with the same files, as they are while somebody may write to them.
    pub(super) fn copy(&self) -> Folder {
        let copy = Folder::create();
        copy_files(&self.0, &copy.0).expect("a folder can be copied");
        copy
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
