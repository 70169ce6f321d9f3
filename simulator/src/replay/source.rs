//! A recorded file as a source of messages.
//!
//! Owns: when a row is due and what its message is. Never: reorders. Invariant: one row with values
//! is one message.

use std::error::Error;
use std::time::Duration;

use telemetry::Micros;

use super::rows::Row;
use super::{Replay, ReplayError, Rows, Survey};
use crate::message::{self, Due, Filling, Message, Source, csv_field, write_line};

pub(crate) struct ReplaySource {
    replay: Replay,
    rows: Rows,
    survey: Survey,
    /// The row that is due; `None` at the end.
    ahead: Option<Row>,
    /// A row's buffers, to be filled next.
    spare: Row,
    metrics: Vec<String>,
    fields: Vec<Vec<u8>>,
    user: String,
    /// Rows that have not been sent.
    left: u64,
    shift: Micros,
    /// The latest due moment: rows whose times go back are due at once, not earlier.
    latest: Duration,
    wants_lines: bool,
    error: Option<ReplayError>,
}

impl ReplaySource {
    pub(crate) fn open(
        replay: &Replay,
        survey: Survey,
        user: &str,
        wants_lines: bool,
    ) -> Result<Self, ReplayError> {
        let rows = Rows::open(replay)?;
        let metrics: Vec<String> = rows.metrics().map(str::to_owned).collect();
        let mut source = Self {
            fields: metrics.iter().map(|metric| csv_field(metric)).collect(),
            replay: replay.clone(),
            rows,
            survey,
            ahead: None,
            spare: Row::default(),
            metrics,
            user: user.to_owned(),
            left: survey.rows,
            shift: 0,
            latest: Duration::ZERO,
            wants_lines,
            error: None,
        };
        source.read_ahead();
        Ok(source)
    }

    fn read_ahead(&mut self) {
        loop {
            match self.rows.read(&mut self.spare) {
                Ok(true) if self.spare.values.is_empty() => {}
                Ok(true) => {
                    self.ahead = Some(std::mem::take(&mut self.spare));
                    return;
                }
                Ok(false) => return,
                // The survey found no error: the file has changed since.
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
    }

    /// How long after the start a row is due.
    fn offset(&self, time: Micros, speed: f64) -> Duration {
        let recorded = time.saturating_sub(self.survey.first).max(0) as f64 / 1e6;
        Duration::try_from_secs_f64(recorded / speed).unwrap_or(Duration::MAX)
    }
}

impl Source for ReplaySource {
    fn start(&mut self, wall_us: i64) {
        if self.replay.shift_to_now {
            // The last row is sent at its own time, so that no time lies in the future when it is
            // sent.
            let ends_after = match self.replay.speed {
                Some(speed) => self.offset(self.survey.last, speed),
                None => Duration::ZERO,
            };
            let ends_after = i64::try_from(ends_after.as_micros()).unwrap_or(i64::MAX);
            self.shift = wall_us
                .saturating_add(ends_after)
                .saturating_sub(self.survey.last);
        }
    }

    fn due(&mut self) -> Due {
        let Some(row) = &self.ahead else {
            return Due::Never;
        };
        match self.replay.speed {
            None => Due::Now,
            Some(speed) => {
                self.latest = self.latest.max(self.offset(row.time, speed));
                Due::At(self.latest)
            }
        }
    }

    fn next(&mut self, _elapsed: Duration, message: &mut Message) {
        let Some(row) = self.ahead.take() else { return };
        let replay = &self.replay;
        let topic = replay.topic.fill(Filling {
            device: &row.device,
            index: 0,
            profile: "replay",
            client: &replay.client_id,
            user: &self.user,
        });
        message.topic.extend_from_slice(topic.as_bytes());
        let step = replay.time_unit.step_us();
        let time = row.time.saturating_add(self.shift).div_euclid(step) * step;
        let values = row
            .values
            .iter()
            .map(|(metric, value)| (&*self.metrics[*metric], *value));
        message::write(
            &mut message.payload,
            replay.shape,
            replay.time_unit,
            time,
            values,
        );
        if self.wants_lines {
            let device = csv_field(&row.device);
            for (metric, value) in &row.values {
                write_line(
                    &mut message.lines,
                    &device,
                    &self.fields[*metric],
                    time,
                    *value,
                );
            }
        }
        message.samples = row.values.len() as u32;
        message.copies = 1;
        message.time_us = time;
        self.left = self.left.saturating_sub(1);
        self.spare = row;
        self.read_ahead();
    }

    fn left(&self) -> Option<u64> {
        Some(self.left)
    }

    fn take_error(&mut self) -> Option<Box<dyn Error + Send + Sync>> {
        self.error.take().map(Box::from)
    }
}
