//! Retained messages in memory, over restarts, and from what earlier versions have left.

mod earlier;
mod lookups;
mod restarts;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use journal::LocalJournals;
use journal::disk::RealDisk;
use mqtt::Qos;
use tempfile::TempDir;

use super::{Limits, OpenError, Retained};
use crate::message::Message;
use testkit::disk::SimDisk;

/// A moment in microseconds since 1970 at which tests look; 2026.
const NOW: i64 = 1_780_000_000_000_000;
const SECOND: i64 = 1_000_000;
const ROOMY: Limits = Limits {
    messages: 100_000,
    bytes: 64 << 20,
};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> Retained {
    open_with(folder, ROOMY).unwrap()
}

fn open_with(folder: &TempDir, limits: Limits) -> Result<Retained, OpenError> {
    Retained::open(journals(folder.path()), folder.path(), limits)
}

fn journals(data: &Path) -> Arc<LocalJournals> {
    Arc::new(LocalJournals::new(data, Arc::new(RealDisk)))
}

/// With the journal on a simulated disk, and what earlier versions leave in the folder.
fn open_on(disk: &SimDisk, folder: &TempDir) -> Result<Retained, OpenError> {
    Retained::open_at(Arc::new(disk.journals()), folder.path(), ROOMY, NOW)
}

fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload),
        qos: Qos::AtMostOnce,
        retain: true,
        properties: Bytes::new(),
        expiry_seconds: None,
        publisher: 1,
        received_at: NOW,
        origin: Default::default(),
        holders: Default::default(),
    }
}

fn all(retained: &Retained, filter: &str) -> Vec<Arc<Message>> {
    let mut found = Vec::new();
    retained.matching(filter, &mut |message| found.push(Arc::clone(message)));
    found
}

fn topics(retained: &Retained, filter: &str) -> Vec<String> {
    all(retained, filter)
        .iter()
        .map(|message| message.topic.to_string())
        .collect()
}

fn contents(retained: &Retained) -> BTreeMap<String, Vec<u8>> {
    all(retained, "#")
        .iter()
        .map(|message| (message.topic.to_string(), message.payload.to_vec()))
        .collect()
}

fn contents_of(messages: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    messages
        .iter()
        .map(|(topic, payload)| (topic.to_string(), payload.to_vec()))
        .collect()
}
