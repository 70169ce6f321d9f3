//! Takes up new certificates while connections live.
//!
//! Owns: looking at the files and what was made of them. Never: replaces a working configuration by a broken one. Invariant:
//! new contents are judged once, and only when they have come to rest: certificate and key are two files, and whoever renews
//! them writes one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::files::Digest;
use super::{Tls, configure};
use crate::error_chain::error_chain;
use crate::lock::lock;

/// How often the files are read; a few KB each. They are compared by content, since a modification time says nothing after a
/// link was switched or an older file restored.
const PERIOD: Duration = Duration::from_secs(2);

/// What is known about the files' contents.
pub(super) struct Progress {
    /// Last judged, well or badly.
    judged: Digest,
    /// Seen at the last look.
    seen: Digest,
}

impl Progress {
    pub(super) fn loaded(digest: Digest) -> Progress {
        Progress {
            judged: digest,
            seen: digest,
        }
    }

    /// Whether what is seen now is to be judged: it is new, and has not changed since the last look.
    fn is_due(&mut self, digest: Digest) -> bool {
        let rests = self.seen == digest;
        self.seen = digest;
        let due = rests && self.judged != digest;
        if due {
            self.judged = digest;
        }
        due
    }
}

/// Looks at the files of all listeners until the broker stops.
pub(crate) async fn watch(listeners: Vec<Arc<Tls>>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stop.cancelled() => return,
        }
        let listeners = listeners.clone();
        // A disk may take its time; the next look waits for this one.
        let looked = spawn_blocking(move || listeners.iter().for_each(|tls| tls.refresh()));
        if looked.await.is_err() {
            error!("the look at the certificates failed; it is repeated");
        }
    }
}

impl Tls {
    /// Takes up what the files hold if that is new and can be used.
    pub(super) fn refresh(&self) {
        let read = self.files.read();
        let digest = match &read {
            Ok(contents) => contents.digest(),
            // An unreadable file is a state of its own, to be told once.
            Err(error) => Digest::of(&[error_chain(error).as_bytes()]),
        };
        if !lock(&self.progress).is_due(digest) {
            return;
        }
        let configured =
            read.and_then(|contents| configure(&self.files, &contents, self.requires_certificate));
        let certificate = self.files.certificate.display();
        match configured {
            Ok(config) => {
                self.current.store(Arc::new(config));
                info!(%certificate, "took up a new certificate");
            }
            Err(error) => {
                let problem = error_chain(&error);
                error!(%certificate, problem, "cannot use the new certificate, so the old one stays");
            }
        }
    }
}
