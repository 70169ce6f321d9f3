//! A store in memory that keeps the contract, and fails where its script says so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use journal::Position;
use store::Reasons;
use store::{AlertEventRow, AlertStateRow};
use store::{Batch, DeadLetter, NewSeries, Outcome, SeriesKey};
use store::{Checkpoint, Store, StoreError};
use uuid::Uuid;

use super::PATIENCE;

/// What happens to a call of the store; without a script it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing was done.
    AwayBefore,
    /// Done, but the answer was lost.
    AwayAfter,
    Fatal,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) device: String,
    pub(super) metric: String,
    pub(super) time: i64,
    pub(super) value: String,
}

impl Row {
    pub(super) fn number(device: &str, metric: &str, time: i64, value: f64) -> Row {
        Row::text(device, metric, time, &value.to_string())
    }

    pub(super) fn text(device: &str, metric: &str, time: i64, value: &str) -> Row {
        Row {
            device: device.into(),
            metric: metric.into(),
            time,
            value: value.into(),
        }
    }
}

/// What is committed; outlives the connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    shared: Arc<(Mutex<Tables>, Condvar)>,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) checkpoint: Checkpoint,
    pub(super) rows: Vec<Row>,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// (device, metric), of every connection.
    pub(super) announced: Vec<(String, String)>,
    pub(super) states: HashMap<String, Option<String>>,
    pub(super) events: Vec<String>,
    pub(super) transactions: u64,
    pub(super) on_load: VecDeque<Fault>,
    pub(super) on_commit: VecDeque<Fault>,
    /// Every call fails so while it is set.
    pub(super) always: Option<Fault>,
    /// Rows with this value, and alert changes of this rule, are refused.
    pub(super) refused_value: Option<String>,
    pub(super) refused_rule: Option<String>,
    pub(super) loads: u64,
    pub(super) failures: u64,
}

impl Database {
    pub(super) fn lock(&self) -> MutexGuard<'_, Tables> {
        self.shared.0.lock().unwrap()
    }

    pub(super) fn connect(&self) -> FakeStore {
        FakeStore {
            database: self.clone(),
            series: HashMap::new(),
        }
    }

    pub(super) fn wait_for_rows(&self, position: Position) {
        self.wait(|tables| tables.checkpoint.rows >= position);
    }

    #[track_caller]
    pub(super) fn wait(&self, reached: impl Fn(&Tables) -> bool) {
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.lock(), PATIENCE, |tables| !reached(tables));
        let (tables, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "still at {:?}", tables.checkpoint);
    }
}

pub(super) struct FakeStore {
    database: Database,
    series: HashMap<SeriesKey, NewSeries>,
}

impl Store for FakeStore {
    fn load(&mut self, _: Uuid) -> Result<Checkpoint, StoreError> {
        let mut tables = self.database.lock();
        tables.loads += 1;
        let fault = tables.always.or_else(|| tables.on_load.pop_front());
        self.database.shared.1.notify_all();
        match fault {
            Some(fault) => Err(tables.fail(fault)),
            None => Ok(tables.checkpoint.clone()),
        }
    }

    fn commit(&mut self, _: Uuid, batch: &Batch) -> Result<(), StoreError> {
        // Definitions are remembered, whatever becomes of the transaction.
        let mut tables = self.database.lock();
        for series in &batch.new_series {
            self.series.insert(series.key, series.clone());
        }
        let fault = tables.always.or_else(|| tables.on_commit.pop_front());
        let result = match fault {
            Some(fault @ (Fault::AwayBefore | Fault::Fatal)) => Err(tables.fail(fault)),
            Some(Fault::AwayAfter) => {
                tables.apply(batch, &self.series)?;
                Err(tables.fail(Fault::AwayAfter))
            }
            None => tables.apply(batch, &self.series),
        };
        self.database.shared.1.notify_all();
        result
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

impl Tables {
    fn fail(&mut self, fault: Fault) -> StoreError {
        self.failures += 1;
        match fault {
            Fault::Fatal => StoreError::Fatal {
                message: "the password is wrong".into(),
                hint: "use the right one".into(),
                source: None,
            },
            Fault::AwayBefore | Fault::AwayAfter => StoreError::Unavailable {
                store: "memory".into(),
                source: format!("{fault:?}").into(),
            },
        }
    }

    fn apply(
        &mut self,
        batch: &Batch,
        series: &HashMap<SeriesKey, NewSeries>,
    ) -> Result<(), StoreError> {
        check_shape(batch);
        if batch.start != self.checkpoint.rows {
            return Err(StoreError::Fatal {
                message: format!("{} is not {}", batch.start, self.checkpoint.rows),
                hint: String::new(),
                source: None,
            });
        }
        let texts = batch
            .texts
            .iter()
            .map(|row| (row.series, row.time, row.value.clone()));
        let numbers = batch.samples.iter();
        let numbers = numbers.map(|row| (row.series, row.time, row.value.to_string()));
        let rows: Vec<Row> = numbers
            .chain(texts)
            .map(|(key, time, value)| {
                let series = &series[&key];
                Row::text(&series.device, &series.metric, time, &value)
            })
            .collect();
        let refused = rows
            .iter()
            .any(|row| Some(&row.value) == self.refused_value.as_ref())
            || self.refuses(&batch.alerts.states, &batch.alerts.events);
        if refused {
            return Err(StoreError::Rejected {
                source: "no such value here".into(),
            });
        }
        self.rows.extend(rows);
        self.dead_letters.extend(batch.dead_letters.iter().cloned());
        let names = batch.new_series.iter();
        self.announced
            .extend(names.map(|new| (new.device.clone(), new.metric.clone())));
        for state in &batch.alerts.states {
            self.states.insert(state.rule.clone(), state.state.clone());
        }
        for event in &batch.alerts.events {
            if !self.events.contains(&event.id) {
                self.events.push(event.id.clone());
            }
        }
        let totals = &mut self.checkpoint.totals;
        for outcome in &batch.outcomes {
            match outcome {
                Outcome::Stored => totals.stored += 1,
                Outcome::Filtered(_) => totals.filtered += 1,
                Outcome::DeadLettered => totals.dead_lettered += 1,
            }
        }
        self.checkpoint.reasons.add(&Reasons::of(batch));
        self.checkpoint.rows = batch.end();
        if let Some(position) = batch.alerts.position {
            assert!(position >= self.checkpoint.alerts, "alerts went backwards");
            self.checkpoint.alerts = position;
        }
        self.transactions += 1;
        Ok(())
    }

    fn refuses(&self, states: &[AlertStateRow], events: &[AlertEventRow]) -> bool {
        let rules = states.iter().map(|row| &row.rule);
        let mut rules = rules.chain(events.iter().map(|row| &row.rule));
        rules.any(|rule| Some(rule) == self.refused_rule.as_ref())
    }
}

/// Indices in order and within the batch, and outcomes that agree with the rows.
fn check_shape(batch: &Batch) {
    let samples: Vec<u32> = batch.samples.iter().map(|row| row.record).collect();
    let texts: Vec<u32> = batch.texts.iter().map(|row| row.record).collect();
    let letters: Vec<u32> = batch
        .dead_letters
        .iter()
        .map(|letter| letter.record)
        .collect();
    for indices in [&samples, &texts, &letters] {
        assert!(indices.is_sorted());
    }
    for (index, outcome) in (0_u32..).zip(&batch.outcomes) {
        let has_rows = samples.contains(&index) || texts.contains(&index);
        let has_letter = letters.contains(&index);
        assert_eq!(*outcome == Outcome::Stored, has_rows, "record {index}");
        assert_eq!(
            *outcome == Outcome::DeadLettered,
            has_letter,
            "record {index}"
        );
    }
    let records = batch.outcomes.len() as u32;
    assert!(
        samples
            .iter()
            .chain(&texts)
            .chain(&letters)
            .all(|index| *index < records)
    );
}
