//! A run from its settings to its report.
//!
//! Owns: the order of things: survey, subscribe, start the workers, wait, listen to the last
//! alerts, sum up. Never: sends. Invariant: whichever way a run ends, its threads have ended and
//! its files are flushed.

mod clock;
mod connection;
mod pacer;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use self::clock::Clock;
use self::worker::Job;
use crate::Error;
use crate::replay::survey;
use crate::report::{Counters, Display, Expect, Goal, Listener, Recent, Report, Tally};
use crate::scenario::{Load, Progress, Settings};

/// Makes the load and reports on it.
///
/// Cancelling `stop` ends the sending; outstanding acknowledgements are waited for up to
/// `Settings::drain`, and the report says how far the run came. Dropping the future ends everything
/// at once.
///
/// # Errors
///
/// When a file cannot be read or written, when the server refuses the first connection or cannot be
/// reached within `Settings::connect_timeout`, or when alerts are wanted and the subscription is
/// refused. A server that goes away later is not an error: connections come back and send again
/// what was not acknowledged.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<Report, Error> {
    let survey = match &settings.load {
        Load::Replay(replay) => Some(survey(replay)?),
        Load::Fleets(_) => None,
    };
    let expect = settings
        .expect
        .as_deref()
        .map(Expect::create)
        .transpose()?
        .map(Arc::new);
    let (listener, recent) = match &settings.alerts {
        Some(filter) => {
            let recent = Arc::new(Recent::new(device_names(&settings)));
            let listener = Listener::start(&settings.broker, filter, Arc::clone(&recent)).await?;
            (Some(listener), Some(recent))
        }
        None => (None, None),
    };
    let abort = CancellationToken::new();
    let _ends_with_this_future = abort.clone().drop_guard();
    let counters = Arc::new(Counters::default());
    let goal = goal(&settings, survey.map(|survey| survey.rows));
    let display =
        (settings.progress == Progress::Auto).then(|| Display::start(Arc::clone(&counters), goal));
    let job = Job {
        settings: Arc::new(settings),
        survey,
        clock: Clock::start(),
        counters,
        expect: expect.clone(),
        recent,
        stop,
        abort,
        accepted: Arc::new(AtomicBool::new(false)),
    };
    let outcome = work(&job).await;
    drop(display);
    let flushed = expect.map_or(Ok(()), |expect| expect.finish());
    let tally = outcome?;
    flushed?;
    let mut report = sum_up(&job, &tally);
    if let Some(listener) = listener {
        let (received, latency) = listener.finish().await;
        report.alerts_received = Some(received);
        report.alert_latency = latency;
    }
    Ok(report)
}

/// Runs all workers to their end; the first failure counts.
async fn work(job: &Job) -> Result<Tally, Error> {
    let workers = job.settings.workers;
    let mut threads = Vec::with_capacity(workers);
    let mut outcome = Ok(());
    for number in 0..workers {
        match job.clone().spawn(number, workers) {
            Ok(thread) => threads.push(thread),
            Err(source) => {
                job.abort.cancel();
                outcome = Err(Error::Worker { source });
                break;
            }
        }
    }
    let joined = tokio::task::spawn_blocking(move || {
        threads
            .into_iter()
            .map(std::thread::JoinHandle::join)
            .collect::<Vec<_>>()
    });
    let broken = |why: &str| Error::Worker {
        source: std::io::Error::other(why.to_owned()),
    };
    let results = joined
        .await
        .map_err(|_| broken("the threads could not be joined"))?;
    let mut tally = Tally::new();
    for result in results {
        match result.unwrap_or_else(|_| Err(broken("a thread has panicked"))) {
            Ok(own) => tally.add(&own),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome.map(|()| tally)
}

fn sum_up(job: &Job, tally: &Tally) -> Report {
    let counters = &job.counters;
    let read = |counter: &AtomicU64| counter.load(Relaxed);
    let (devices, connections, qos) = match &job.settings.load {
        Load::Fleets(fleets) => (
            fleets.iter().map(|fleet| fleet.devices as u64).sum(),
            fleets.iter().map(|fleet| fleet.connections as u64).sum(),
            fleets.iter().map(|fleet| fleet.qos).max().unwrap_or(0),
        ),
        Load::Replay(replay) => (1, 1, replay.qos),
    };
    let ended = if qos == 0 {
        Some(Instant::now())
    } else {
        tally.last_acknowledged
    };
    let duration = match (tally.first_sent, ended) {
        (Some(first), Some(last)) => last.saturating_duration_since(first),
        _ => std::time::Duration::ZERO,
    };
    let duration_s = duration.as_secs_f64();
    let (sent, acknowledged) = (read(&counters.sent), read(&counters.acknowledged));
    let counted = if qos == 0 { sent } else { acknowledged };
    let faults = counters
        .faults
        .begun()
        .map(|(kind, count)| (kind.to_string(), count))
        .collect();
    Report {
        seed: job.settings.seed,
        mqtt_version: job.settings.broker.version,
        devices,
        connections,
        duration_s,
        sent,
        acknowledged,
        samples_acknowledged: read(&counters.samples),
        failed: read(&counters.failed),
        failure: tally.refusal.map(str::to_owned),
        in_flight: tally.in_flight,
        unsent: tally.unsent,
        resent: read(&counters.resent),
        put_off: read(&counters.put_off),
        reconnects: read(&counters.reconnects),
        connect_failures: read(&counters.connect_failures),
        rate: if duration_s > 0.0 {
            counted as f64 / duration_s
        } else {
            0.0
        },
        connect_latency: tally.connect.summary(),
        puback_latency: tally.puback.summary(),
        alerts_received: None,
        alert_latency: None,
        faults,
        stopped: job.stop.is_cancelled(),
    }
}

/// The devices in the order of their numbers; those of a replay are not known before they come.
fn device_names(settings: &Settings) -> impl Iterator<Item = String> {
    let fleets = match &settings.load {
        Load::Fleets(fleets) => fleets.as_slice(),
        Load::Replay(_) => &[],
    };
    fleets
        .iter()
        .flat_map(|fleet| (0..fleet.devices).map(|index| fleet.device_name(index)))
}

fn goal(settings: &Settings, rows: Option<u64>) -> Goal {
    let fleets = match &settings.load {
        Load::Fleets(fleets) => fleets,
        Load::Replay(_) => return rows.map_or(Goal::Open, Goal::Messages),
    };
    let messages: Option<u64> = fleets.iter().map(|fleet| fleet.limit.messages).sum();
    let duration = fleets.iter().filter_map(|fleet| fleet.limit.duration).max();
    match (messages, duration) {
        (_, Some(duration)) => Goal::Duration(duration),
        (Some(messages), None) => Goal::Messages(messages),
        (None, None) => Goal::Open,
    }
}
