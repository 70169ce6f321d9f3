//! What of the journal is given back.
//!
//! Owns: the position up to which space may be reclaimed. Invariant: what is released is committed
//! by rows and alerts alike, and the window for the filters' memory is kept while there is space.

use std::sync::Arc;

use journal::{Position, State};
use telemetry::Micros;

use super::Shared;
use super::window::Window;

pub(super) struct Release {
    shared: Arc<Shared>,
    /// An alerts lane reads the journal too.
    with_alerts: bool,
    window: Window,
    released: Position,
}

impl Release {
    pub(super) fn new(shared: Arc<Shared>, with_alerts: bool) -> Release {
        Release {
            shared,
            with_alerts,
            window: Window::default(),
            released: Position::ZERO,
        }
    }

    /// As `Window::committed`.
    pub(super) fn committed(&mut self, start: Position, first: Micros, last: Micros) {
        self.window.committed(start, first, last);
    }

    /// Everything before these positions is committed. What is behind the window is no longer
    /// needed; when the journal is full, the window is not either: taking messages comes first.
    pub(super) fn advance(&mut self, rows: Position, alerts: Position) {
        let full = self.shared.journal.status().state == State::Full;
        let kept = if full { rows } else { self.window.start(rows) };
        let up_to = if self.with_alerts {
            kept.min(alerts)
        } else {
            kept
        };
        if up_to > self.released {
            self.shared.journal.release(up_to);
            self.released = up_to;
        }
    }
}
