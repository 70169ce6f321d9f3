//! How a run shows that it goes on, on standard error.
//!
//! Owns: a bar on a terminal, a line every five seconds elsewhere. Never: writes to standard
//! output. Invariant: showing progress reads counters and nothing else, so that it costs the load
//! nothing.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::grouped;
use super::tally::Counters;

const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What the bar measures against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    Messages(u64),
    Duration(Duration),
    /// Until it is stopped.
    Open,
}

/// Ends with its owner.
#[derive(Debug)]
pub(crate) struct Display {
    task: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Display {
    pub(crate) fn start(counters: Arc<Counters>, goal: Goal) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = bar(goal);
            let shown = bar.clone();
            let task = tokio::spawn(async move { move_bar(&shown, &counters, goal).await });
            Self {
                task,
                bar: Some(bar),
            }
        } else {
            Self {
                task: tokio::spawn(async move { write_lines(&counters).await }),
                bar: None,
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(goal: Goal) -> ProgressBar {
    let (length, template) = match goal {
        Goal::Messages(messages) => (Some(messages), "{elapsed_precise} {bar:30} {msg}"),
        Goal::Duration(duration) => (Some(millis(duration)), "{elapsed_precise} {bar:30} {msg}"),
        Goal::Open => (None, "{elapsed_precise} {spinner} {msg}"),
    };
    let target = ProgressDrawTarget::stderr_with_hz(10);
    // A template that is not understood falls back to the plain style.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, target).with_style(style)
}

async fn move_bar(bar: &ProgressBar, counters: &Counters, goal: Goal) {
    let start = Instant::now();
    let mut pace = Pace::new();
    loop {
        tokio::time::sleep(BAR_INTERVAL).await;
        match goal {
            Goal::Messages(_) => bar.set_position(read(&counters.sent)),
            Goal::Duration(_) => bar.set_position(millis(start.elapsed())),
            Goal::Open => bar.tick(),
        }
        bar.set_message(pace.line(counters));
    }
}

async fn write_lines(counters: &Counters) {
    let mut pace = Pace::new();
    loop {
        tokio::time::sleep(LINE_INTERVAL).await;
        // Whoever read standard error may have gone; the run goes on.
        let _ = writeln!(std::io::stderr(), "{}", pace.line(counters));
    }
}

/// Messages a second since the last look.
struct Pace {
    at: Instant,
    sent: u64,
}

impl Pace {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            sent: 0,
        }
    }

    fn line(&mut self, counters: &Counters) -> String {
        let (now, sent) = (Instant::now(), read(&counters.sent));
        let seconds = (now - self.at).as_secs_f64().max(1e-3);
        let rate = (sent.saturating_sub(self.sent)) as f64 / seconds;
        (self.at, self.sent) = (now, sent);
        let mut line = format!(
            "sent {}, acknowledged {}, {} messages/s, {} connected",
            grouped(sent),
            grouped(read(&counters.acknowledged)),
            grouped(rate.round() as u64),
            grouped(read(&counters.connected)),
        );
        let reconnects = read(&counters.reconnects);
        if reconnects > 0 {
            line.push_str(&format!(", {} reconnects", grouped(reconnects)));
        }
        line
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_the_run_goes() {
        let counters = Counters::default();
        Counters::add(&counters.sent, 12_000);
        Counters::add(&counters.acknowledged, 11_990);
        Counters::add(&counters.connected, 3);
        let mut pace = Pace {
            at: Instant::now() - Duration::from_secs(2),
            sent: 0,
        };
        let line = pace.line(&counters);
        assert!(
            line.starts_with("sent 12,000, acknowledged 11,990, "),
            "{line}"
        );
        assert!(line.ends_with("messages/s, 3 connected"), "{line}");
        Counters::add(&counters.reconnects, 5);
        assert!(
            pace.line(&counters)
                .ends_with("0 messages/s, 3 connected, 5 reconnects")
        );
    }
}
