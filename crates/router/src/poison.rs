//! Payloads that act when the router lets go of them.
//!
//! Owns: the only way to end rumqttd's router thread. It holds a sender of its own channel, so it
//! never sees the channel closed, and there is no event for it. Never: acts on the thread that made
//! the payload.
//!
//! A publish that no filter matches is dropped by the router's thread, and with it the owner of its
//! payload. `Poison` then unwinds that thread: quietly, since an unwinding that is resumed does not
//! pass the panic hook. Everything that the router holds is freed.

use std::panic;
use std::thread::{self, ThreadId};

use bytes::Bytes;

/// Ends the thread that drops it, unless that is the one that made it.
pub(crate) struct Poison {
    maker: ThreadId,
}

impl Poison {
    pub(crate) fn payload() -> Bytes {
        Bytes::from_owner(Poison {
            maker: thread::current().id(),
        })
    }
}

impl AsRef<[u8]> for Poison {
    fn as_ref(&self) -> &[u8] {
        // An empty payload would make the router look for a retained message.
        b"stop"
    }
}

impl Drop for Poison {
    fn drop(&mut self) {
        // The link's buffer may be dropped with the poison still in it: by its maker, or by a
        // router that is already unwinding for another reason.
        if thread::current().id() != self.maker && !thread::panicking() {
            panic::resume_unwind(Box::new("the router was told to end"));
        }
    }
}

/// What can be made to go wrong in rumqttd's router.
#[cfg(test)]
pub(crate) enum Fault {
    /// It panics, by itself, over a topic that begins with a character of several bytes.
    Panic,
    /// Its thread stands still until the sender of this channel is dropped.
    Hang(std::sync::mpsc::Receiver<()>),
}

/// Stops the thread that drops it until the other end of the channel is gone.
#[cfg(test)]
pub(crate) struct Hang(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

#[cfg(test)]
impl Hang {
    pub(crate) fn payload(until: std::sync::mpsc::Receiver<()>) -> Bytes {
        Bytes::from_owner(Hang(std::sync::Mutex::new(until)))
    }
}

#[cfg(test)]
impl AsRef<[u8]> for Hang {
    fn as_ref(&self) -> &[u8] {
        b"hang"
    }
}

#[cfg(test)]
impl Drop for Hang {
    fn drop(&mut self) {
        // An error is what ends the wait.
        let _ = self.0.lock().map(|until| until.recv());
    }
}
