//! Series and their dense numbers: what is known of (device, metric), looked up without allocating.
//!
//! Owns: the names, and what a series was given when it was first seen (unit, labels, conversion,
//! filters). Never: forgets a series. Invariant: keys count from 0 without gaps, and memory is
//! bounded by the number of series.
//!
//! A series costs 24 bytes, a slot in the index, and its names, which are kept once each.
//! Enrichments are shared: the thousand devices of one type have one.

mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use store::{NewSeries, SeriesKey};

use crate::filter::RuleSet;
use crate::registry::{self, Enrichment};
use names::Names;

#[derive(Debug)]
pub struct SeriesTable {
    hasher: RandomState,
    devices: Names,
    metrics: Names,
    series: Vec<Entry>,
    index: HashTable<u32>,
    enrichments: Vec<Applied>,
    enrichment_index: HashMap<EnrichmentKey, u32>,
    rule_sets: Vec<RuleSet>,
    series_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    device: u32,
    metric: u32,
    enrichment: u32,
    rules: u32,
    /// Hash of the topic that the rules were resolved for; 0 when they do not depend on it.
    topic: u32,
    /// Hash of the labels that the topic gave; 0 for none. The highest bit: others were seen, too.
    labels: u32,
}

/// Marks an entry whose series came with several sets of labels.
const DIFFERS: u32 = 1 << 31;

/// Hashes of what a series was made from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    /// Hash of the topic, if the rules depend on it.
    pub(crate) topic: u32,
    /// Hash of the labels that the topic gave, if it gave any.
    pub(crate) labels: u32,
}

/// An enrichment as it is applied, its labels as JSON.
#[derive(Debug)]
struct Applied {
    unit: Box<str>,
    labels: Box<str>,
    scale: f64,
    offset: f64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EnrichmentKey {
    unit: String,
    labels: BTreeMap<String, String>,
    scale: u64,
    offset: u64,
}

/// What is known of one series.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    pub key: SeriesKey,
    pub device: &'a str,
    pub metric: &'a str,
    pub unit: &'a str,
    /// A JSON object of strings, keys sorted.
    pub labels: &'a str,
    /// stored = received × scale + offset
    pub scale: f64,
    pub offset: f64,
    pub rules: &'a RuleSet,
}

/// The bound on series is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySeries;

impl SeriesTable {
    pub fn new(series_max: usize) -> SeriesTable {
        SeriesTable {
            hasher: RandomState::default(),
            devices: Names::default(),
            metrics: Names::default(),
            series: Vec::new(),
            index: HashTable::new(),
            enrichments: Vec::new(),
            enrichment_index: HashMap::new(),
            rule_sets: Vec::new(),
            // Keys are 32 bits.
            series_max: series_max.min(u32::MAX as usize),
        }
    }

    pub fn len(&self) -> usize {
        self.series.len()
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The number of a device that has a series.
    pub(crate) fn find_device(&self, device: &str) -> Option<u32> {
        self.devices.find(&self.hasher, device)
    }

    pub(crate) fn find(&self, device: u32, metric: &str) -> Option<SeriesKey> {
        let hash = self.hasher.hash_one((device, metric));
        let found = self.index.find(hash, |index| {
            let entry = &self.series[*index as usize];
            entry.device == device && self.metrics.get(entry.metric) == metric
        });
        found.map(|index| SeriesKey(*index))
    }

    /// Adds a series that `find` did not know.
    pub(crate) fn add(
        &mut self,
        device: &str,
        metric: &str,
        enrichment: Enrichment,
        rules: RuleSet,
        origin: Origin,
    ) -> Result<SeriesKey, TooManySeries> {
        if self.series.len() >= self.series_max {
            return Err(TooManySeries);
        }
        let device = self.devices.intern(&self.hasher, device);
        let entry = Entry {
            device,
            metric: self.metrics.intern(&self.hasher, metric),
            enrichment: self.share_enrichment(enrichment),
            rules: self.share_rules(rules),
            topic: origin.topic,
            labels: origin.labels & !DIFFERS,
        };
        let index = self.series.len() as u32;
        self.series.push(entry);
        let SeriesTable {
            hasher,
            metrics,
            series,
            ..
        } = self;
        let hash = |index: &u32| {
            let entry = &series[*index as usize];
            hasher.hash_one((entry.device, metrics.get(entry.metric)))
        };
        let slot = hash(&index);
        self.index.insert_unique(slot, index, hash);
        Ok(SeriesKey(index))
    }

    /// The topic hash that the series' rules were resolved for.
    pub(crate) fn topic_of(&self, key: SeriesKey) -> u32 {
        self.series[key.0 as usize].topic
    }

    pub(crate) fn set_rules(&mut self, key: SeriesKey, rules: RuleSet, topic: u32) {
        let rules = self.share_rules(rules);
        let entry = &mut self.series[key.0 as usize];
        entry.rules = rules;
        entry.topic = topic;
    }

    /// Whether the labels with this hash are those that the series was made with.
    pub(crate) fn has_labels_of(&self, key: SeriesKey, labels: u32) -> bool {
        (self.series[key.0 as usize].labels ^ labels) & !DIFFERS == 0
    }

    /// Other labels that come to the same.
    pub(crate) fn set_labels_of(&mut self, key: SeriesKey, labels: u32) {
        self.series[key.0 as usize].labels = labels & !DIFFERS;
    }

    pub(crate) fn is_known_to_differ(&self, key: SeriesKey) -> bool {
        self.series[key.0 as usize].labels & DIFFERS != 0
    }

    pub(crate) fn set_known_to_differ(&mut self, key: SeriesKey) {
        self.series[key.0 as usize].labels |= DIFFERS;
    }

    /// Panics when the key is not one of this table.
    pub fn get(&self, key: SeriesKey) -> Series<'_> {
        let entry = &self.series[key.0 as usize];
        let applied = &self.enrichments[entry.enrichment as usize];
        Series {
            key,
            device: self.devices.get(entry.device),
            metric: self.metrics.get(entry.metric),
            unit: &applied.unit,
            labels: &applied.labels,
            scale: applied.scale,
            offset: applied.offset,
            rules: &self.rule_sets[entry.rules as usize],
        }
    }

    fn share_enrichment(&mut self, enrichment: Enrichment) -> u32 {
        let key = EnrichmentKey {
            unit: enrichment.unit,
            labels: enrichment.labels,
            scale: enrichment.scale.to_bits(),
            offset: enrichment.offset.to_bits(),
        };
        if let Some(known) = self.enrichment_index.get(&key) {
            return *known;
        }
        let index = self.enrichments.len() as u32;
        self.enrichments.push(Applied {
            unit: key.unit.as_str().into(),
            labels: registry::labels_json(&key.labels).into(),
            scale: enrichment.scale,
            offset: enrichment.offset,
        });
        self.enrichment_index.insert(key, index);
        index
    }

    /// There are as many different sets as combinations of rules that meet in a series: a handful.
    fn share_rules(&mut self, rules: RuleSet) -> u32 {
        let known = self.rule_sets.iter().position(|known| *known == rules);
        let index = known.unwrap_or_else(|| {
            self.rule_sets.push(rules);
            self.rule_sets.len() - 1
        });
        index as u32
    }
}

impl Series<'_> {
    /// The series as the store must know it, under another key.
    pub fn announce(&self, key: SeriesKey) -> NewSeries {
        NewSeries {
            key,
            device: self.device.to_owned(),
            metric: self.metric.to_owned(),
            unit: self.unit.to_owned(),
            labels: self.labels.to_owned(),
        }
    }
}
