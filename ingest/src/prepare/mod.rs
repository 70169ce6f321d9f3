//! Records to samples: topic, decode, enrich, stateless filters. Each lane has a [`Preparer`] of
//! its own.
//!
//! Owns: what a record means. Never: remembers a sample; whatever depends on earlier samples
//! belongs to the lanes. Invariant: the same record gives the same samples in both lanes and at
//! every replay, as long as configuration and registry stay.
//!
//! In the steady state a record costs no allocation: names are found by their borrowed text, and
//! what was decided about a series when it was first seen is kept with it.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use journal::{Position, Record};
use store::SeriesKey;
use store::{Counts, Reason};
use telemetry::decode::{DecodeError, Decoder, Entries, Options};
use telemetry::time::TimeError;
use telemetry::topic::{Match, Topics};
use telemetry::{Micros, NAME_BYTES_MAX, Value};

use crate::filter::{RuleSet, Rules};
use crate::registry::{self, Registry};
use crate::series::{Origin, Series, SeriesTable, TooManySeries};

/// What decides the meaning of records; shared by the lanes.
#[derive(Debug, Clone)]
pub struct Meaning {
    pub topics: Arc<Topics>,
    /// How payloads are to be read.
    pub payloads: Options,
    pub registry: Arc<Registry>,
    pub rules: Arc<Rules>,
    /// Series kept in memory per lane; the records of further ones are dead-lettered.
    pub series_max: usize,
}

#[derive(Debug)]
pub struct Preparer {
    meaning: Meaning,
    decoder: Decoder,
    table: SeriesTable,
    kept: Vec<Kept>,
    /// Where the name of a device is joined.
    name: String,
}

/// A sample that passed the stateless filters.
#[derive(Debug, Clone, Copy)]
struct Kept {
    series: SeriesKey,
    /// Its place among the entries.
    entry: u32,
    time: Micros,
    /// Converted; meaningless for a text.
    number: f64,
}

/// The samples of one record.
#[derive(Debug)]
pub struct Prepared<'a> {
    pub device: &'a str,
    /// What the stateless filters dropped.
    pub filtered: Counts,
    /// The topic gives a series other labels than it has.
    pub relabelled: Option<Relabelled>,
    entries: Entries<'a>,
    kept: &'a [Kept],
    table: &'a SeriesTable,
}

/// Series keep the labels of their first message; this one came with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relabelled {
    /// One of them.
    pub series: SeriesKey,
    /// Those of which it was not known yet.
    pub new: u32,
}

/// One value of one series, converted to its unit.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Dense within this preparer; the other lane has other keys.
    pub series: SeriesKey,
    pub device: &'a str,
    pub metric: &'a str,
    /// The device's own time, or else the time of receipt.
    pub time: Micros,
    pub has_device_time: bool,
    pub value: Value<'a>,
    pub(crate) rules: &'a RuleSet,
}

/// A record that is not understood: a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// A bounded word, for counting.
    pub reason: &'static str,
    /// For people.
    pub detail: String,
}

impl Preparer {
    pub fn new(meaning: Meaning) -> Preparer {
        Preparer {
            table: SeriesTable::new(meaning.series_max),
            decoder: Decoder::with_options(meaning.payloads.clone()),
            meaning,
            kept: Vec::new(),
            name: String::new(),
        }
    }

    /// What is known of a series this preparer has seen.
    pub fn series(&self, key: SeriesKey) -> Series<'_> {
        self.table.get(key)
    }

    pub fn series_len(&self) -> usize {
        self.table.len()
    }

    /// The device a record comes from, without looking at its payload. `name` is where it may be
    /// joined.
    pub fn device_of<'r>(&'r self, record: &Record<'r>, name: &'r mut String) -> Option<&'r str> {
        let matched = self.meaning.topics.matches(record.topic)?;
        Some(matched.device(record.client_id, name))
    }

    /// The labels of a record's device, from its topic and from the registry's lines without a
    /// metric: a JSON object of strings, keys sorted.
    pub fn device_labels(&self, record: &Record<'_>) -> String {
        let labels = self.meaning.topics.matches(record.topic).map(|matched| {
            let mut name = String::new();
            let device = matched.device(record.client_id, &mut name);
            self.meaning
                .registry
                .device_labels(device, matched.labels())
        });
        registry::labels_json(&labels.unwrap_or_default())
    }

    /// The record's samples, enriched and filtered, or why it is not understood.
    pub fn prepare<'a>(
        &'a mut self,
        position: Position,
        record: &Record<'a>,
    ) -> Result<Prepared<'a>, Undecodable> {
        let Preparer {
            meaning,
            decoder,
            table,
            kept,
            name,
        } = self;
        let matched = meaning
            .topics
            .matches(record.topic)
            .ok_or_else(|| Undecodable {
                reason: "no_template",
                detail: format!("no template matches the topic of position {position}"),
            })?;
        let device = matched.device(record.client_id, name);
        check_device(device)?;
        let entries = decoder
            .decode(record.payload, matched.metric)
            .map_err(undecodable)?;

        kept.clear();
        let mut filtered = Counts::default();
        match (entries.len(), entries.not_finite()) {
            (0, 0) => filtered.add(Reason::NoValues),
            (_, not_finite) => filtered.add_many(Reason::NotFinite, not_finite as u64),
        }
        let mut resolver = Resolver::new(meaning, table, matched, device, record.topic);
        for (index, entry) in entries.clone().enumerate() {
            let key = resolver.resolve(entry.metric)?;
            let series = resolver.table.get(key);
            let number = match entry.value {
                Value::Number(number) => number * series.scale + series.offset,
                Value::Text(_) => 0.0,
            };
            let value = match entry.value {
                Value::Number(_) => Value::Number(number),
                Value::Text(text) => Value::Text(text),
            };
            let time = entry.time.unwrap_or(record.received_at);
            let dropped = if series.rules.denied() {
                Some(Reason::Denied)
            } else {
                meaning.rules.check_time(time, record.received_at)
            };
            match dropped.or_else(|| series.rules.check_value(value)) {
                Some(reason) => filtered.add(reason),
                None => kept.push(Kept {
                    series: key,
                    entry: index as u32,
                    time,
                    number,
                }),
            }
        }
        let relabelled = resolver.relabelled;
        Ok(Prepared {
            device,
            filtered,
            relabelled,
            entries,
            kept,
            table,
        })
    }
}

impl<'a> Prepared<'a> {
    pub fn samples(&self) -> impl Iterator<Item = Sample<'a>> + use<'_, 'a> {
        self.kept.iter().filter_map(|kept| {
            let entry = self.entries.get(kept.entry as usize)?;
            Some(Sample {
                series: kept.series,
                device: self.device,
                metric: entry.metric,
                time: kept.time,
                has_device_time: entry.time.is_some(),
                value: match entry.value {
                    Value::Number(_) => Value::Number(kept.number),
                    Value::Text(text) => Value::Text(text),
                },
                rules: self.table.get(kept.series).rules,
            })
        })
    }

    /// The number of values the payload held; those that are not samples were filtered.
    pub fn values(&self) -> usize {
        self.entries.len() + self.entries.not_finite()
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What is known of the series of one of the samples.
    pub fn series(&self, key: SeriesKey) -> Series<'a> {
        self.table.get(key)
    }
}

/// Finds the series of one message's metrics; what concerns the message is done once.
struct Resolver<'m, 'a> {
    meaning: &'m Meaning,
    table: &'m mut SeriesTable,
    matched: Match<'a>,
    device: &'a str,
    /// `None` until the device has a series.
    device_key: Option<u32>,
    topic: &'a str,
    /// 0 when no rule looks at topics.
    topic_hash: u32,
    /// Hash of the labels that the topic gives; 0 when it gives none.
    labels_hash: u32,
    relabelled: Option<Relabelled>,
}

impl<'m, 'a> Resolver<'m, 'a> {
    fn new(
        meaning: &'m Meaning,
        table: &'m mut SeriesTable,
        matched: Match<'a>,
        device: &'a str,
        topic: &'a str,
    ) -> Resolver<'m, 'a> {
        Resolver {
            device_key: table.find_device(device),
            topic_hash: if meaning.rules.uses_topics() {
                FixedState::default().hash_one(topic) as u32 | 1
            } else {
                0
            },
            labels_hash: if matched.template.has_labels() {
                hash_labels(&matched)
            } else {
                0
            },
            relabelled: None,
            meaning,
            table,
            matched,
            device,
            topic,
        }
    }

    fn resolve(&mut self, metric: &str) -> Result<SeriesKey, Undecodable> {
        let known = self
            .device_key
            .and_then(|device| self.table.find(device, metric));
        match known {
            Some(key) => {
                if self.table.topic_of(key) != self.topic_hash {
                    let rules = self.rules(metric);
                    self.table.set_rules(key, rules, self.topic_hash);
                }
                if !self.table.has_labels_of(key, self.labels_hash) {
                    self.labels_differ(key, metric);
                }
                Ok(key)
            }
            None => self.add(metric),
        }
    }

    #[cold]
    fn add(&mut self, metric: &str) -> Result<SeriesKey, Undecodable> {
        let registry = &self.meaning.registry;
        let enrichment = registry.enrich(self.device, metric, self.matched.labels());
        let rules = self.rules(metric);
        let (topic, labels) = (self.topic_hash, self.labels_hash);
        let added = self.table.add(
            self.device,
            metric,
            enrichment,
            rules,
            Origin { topic, labels },
        );
        let key = added.map_err(|TooManySeries| Undecodable {
            reason: "too_many_series",
            detail: format!("there are {} series already", self.table.len()),
        })?;
        self.device_key = self.table.find_device(self.device);
        Ok(key)
    }

    /// What the registry says may cover the difference.
    #[cold]
    fn labels_differ(&mut self, key: SeriesKey, metric: &str) {
        let mut new = 0;
        if !self.table.is_known_to_differ(key) {
            let registry = &self.meaning.registry;
            let enrichment = registry.enrich(self.device, metric, self.matched.labels());
            if registry::labels_json(&enrichment.labels) == self.table.get(key).labels {
                self.table.set_labels_of(key, self.labels_hash);
                return;
            }
            self.table.set_known_to_differ(key);
            new = 1;
        }
        let before = self.relabelled.map_or(0, |found| found.new);
        // One that is new is the better example.
        if self.relabelled.is_none() || new > 0 {
            let new = before + new;
            self.relabelled = Some(Relabelled { series: key, new });
        }
    }

    fn rules(&self, metric: &str) -> RuleSet {
        self.meaning.rules.resolve(self.device, metric, self.topic)
    }
}

/// Hashes the labels that a topic gives; never 0.
fn hash_labels(matched: &Match<'_>) -> u32 {
    let mut hasher = FixedState::default().build_hasher();
    for label in matched.labels() {
        label.hash(&mut hasher);
    }
    hasher.finish() as u32 | 1
}

/// The detail names the key that would have helped.
#[cold]
fn undecodable(error: DecodeError) -> Undecodable {
    let DecodeError::Time { error: time, .. } = &error else {
        return Undecodable {
            reason: error.reason(),
            detail: error.to_string(),
        };
    };
    let hint = match time {
        TimeError::Naive => "; `ingest.time_zone` can say which zone is meant",
        TimeError::BeforeMin(_) => "; `ingest.min_time` sets it",
        TimeError::Bad => "; `ingest.time_field` says which fields are times",
        TimeError::OutOfRange => "",
    };
    Undecodable {
        reason: error.reason(),
        detail: format!("{error}{hint}"),
    }
}

/// A device's name must be one that every store takes.
pub fn check_device(device: &str) -> Result<(), Undecodable> {
    let (reason, detail) = match device {
        "" => ("empty_device", "the topic names no device".to_owned()),
        _ if device.len() > NAME_BYTES_MAX => (
            "device_too_long",
            format!(
                "the device's name has {} bytes, not {NAME_BYTES_MAX} at most",
                device.len()
            ),
        ),
        _ if device.as_bytes().contains(&0) => {
            ("nul_character", "U+0000 in the device's name".to_owned())
        }
        _ => return Ok(()),
    };
    Err(Undecodable { reason, detail })
}
