//! Whether the lane runs, as others see it.

use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub enum State {
    /// The store has not been reached yet; the journal keeps what comes.
    Waiting,
    Running,
    /// The lane has ended: someone must act. Nothing is lost, but no row is written.
    Failed(Arc<Failure>),
}

/// Why the lane has ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: hint.into(),
            source: None,
        }
    }

    pub(super) fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Failure {
        Failure {
            source: Some(Box::new(source)),
            ..self
        }
    }

    pub(super) fn defect(thread: &str) -> Failure {
        Failure::new(
            format!("the thread `{thread}` ended unexpectedly"),
            "this is a defect of Millrace; nothing acknowledged is lost, restart to go on",
        )
    }
}

#[derive(Default)]
pub(super) struct Status {
    state: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    running: bool,
    failure: Option<Arc<Failure>>,
}

impl Status {
    pub(super) fn get(&self) -> State {
        self.lock().state()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.lock().failure.is_some()
    }

    pub(super) fn run(&self) {
        self.lock().running = true;
        self.changed.notify_all();
    }

    /// The first failure stands; it is logged here, once.
    pub(super) fn fail(&self, failure: Failure) {
        let mut inner = self.lock();
        if inner.failure.is_some() {
            return;
        }
        let cause = failure
            .source
            .as_ref()
            .map(|cause| chain(&**cause))
            .unwrap_or_default();
        tracing::error!(%cause, hint = %failure.hint, "{failure}");
        inner.failure = Some(Arc::new(failure));
        self.changed.notify_all();
    }

    pub(super) fn wait_until_started(&self, timeout: Duration) -> State {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            match inner.state() {
                State::Waiting if !rest.is_zero() => {}
                state => return state,
            }
            inner = self
                .changed
                .wait_timeout(inner, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Nothing between lock and unlock can panic, so a poisoned lock holds whole values.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn state(&self) -> State {
        match (&self.failure, self.running) {
            (Some(failure), _) => State::Failed(failure.clone()),
            (None, true) => State::Running,
            (None, false) => State::Waiting,
        }
    }
}

/// An error with everything beneath it, on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
