//! A million digests in 56 bytes each, replaced while they are read.
//!
//! Owns: how digests lie in memory. Never: holds a name: a device is known by a digest of its name.
//! Invariant: a table never changes; a change makes another one, which shares what is equal.
//!
//! Entries are sorted by key in 1,024 shards, chosen by the key's first bits. Keys are digests, so
//! the shards fill evenly; a change copies its shard alone (1,000 entries of a million, 56 KB), and
//! a look-up is a binary search in one. A hash map of a million takes 114 MB
//! instead of 53, twice that while it is copied for a change, and 0.4 s for each change.

use std::sync::Arc;

use access::secret_digest;
use telemetry::Micros;

use crate::credentials::{Credential, SecretDigest};

const SHARD_BITS: u32 = 10;
const SHARDS: usize = 1 << SHARD_BITS;

/// The first half of SHA-256 of a device's name: two names with the same are not to be found, even
/// on purpose.
pub(crate) type Key = [u8; 16];

/// When a secret holds without an end.
pub(crate) const FOREVER: Micros = Micros::MAX;

/// One secret of a device. A device in the grace time of a rotation has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) digest: SecretDigest,
    pub(crate) until: Micros,
}

type Shard = Arc<[Entry]>;

#[derive(Clone)]
pub(crate) struct Table {
    /// `SHARDS` of them.
    shards: Vec<Shard>,
    devices: usize,
}

impl Default for Table {
    fn default() -> Table {
        let empty: Shard = Arc::from([]);
        Table {
            shards: vec![empty; SHARDS],
            devices: 0,
        }
    }
}

impl Table {
    /// A table of these entries, in any order.
    pub(crate) fn of(mut entries: Vec<Entry>) -> Table {
        entries.sort_unstable_by_key(|entry| (entry.key, std::cmp::Reverse(entry.until)));
        let mut table = Table::default();
        for group in entries.chunk_by(|one, other| shard_of(&one.key) == shard_of(&other.key)) {
            table.replace(shard_of(&group[0].key), group.into());
        }
        table
    }

    /// How many devices have a secret.
    pub(crate) fn len(&self) -> usize {
        self.devices
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// The device's secret, and the one before a rotation while its grace time lasts.
    pub(crate) fn find(
        &self,
        device: &str,
        now: Micros,
    ) -> Option<(SecretDigest, Option<SecretDigest>)> {
        let key = key(device);
        let shard = &self.shards[shard_of(&key)];
        let first = shard.partition_point(|entry| entry.key < key);
        let mut held = shard[first..].iter().take_while(|entry| entry.key == key);
        // The one without an end comes first, and is always there.
        let current = held.next()?;
        let previous = held.find(|previous| previous.until > now);
        Some((current.digest, previous.map(|previous| previous.digest)))
    }

    /// The table after these changes: each device's entries are replaced, or gone.
    pub(crate) fn with(&self, changes: &[Change]) -> Table {
        let mut table = self.clone();
        let mut ordered: Vec<&Change> = changes.iter().collect();
        ordered.sort_unstable_by_key(|change| change.key);
        for group in ordered.chunk_by(|one, other| shard_of(&one.key) == shard_of(&other.key)) {
            let shard = shard_of(&group[0].key);
            let is_changed = |entry: &&Entry| {
                group
                    .binary_search_by_key(&entry.key, |change| change.key)
                    .is_ok()
            };
            let kept = self.shards[shard].iter().filter(|entry| !is_changed(entry));
            let new = group.iter().flat_map(|change| change.entries());
            let mut entries: Vec<Entry> = kept.copied().chain(new).collect();
            entries.sort_unstable_by_key(|entry| (entry.key, std::cmp::Reverse(entry.until)));
            table.replace(shard, entries.into());
        }
        table
    }

    /// Whether one of the devices that change has a secret now.
    pub(crate) fn holds_any(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| {
            let shard = &self.shards[shard_of(&change.key)];
            shard
                .binary_search_by_key(&change.key, |entry| entry.key)
                .is_ok()
        })
    }

    /// When the next secret ends after `now`, if one does.
    pub(crate) fn next_end(&self, now: Micros) -> Option<Micros> {
        self.entries()
            .map(|entry| entry.until)
            .filter(|until| *until > now && *until != FOREVER)
            .min()
    }

    fn replace(&mut self, shard: usize, entries: Shard) {
        self.devices -= devices(&self.shards[shard]);
        self.devices += devices(&entries);
        self.shards[shard] = entries;
    }
}

/// What is to become of one device.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    key: Key,
    /// `None`: it is not let in.
    current: Option<SecretDigest>,
    previous: Option<(SecretDigest, Micros)>,
}

impl From<&Credential> for Change {
    fn from(credential: &Credential) -> Change {
        let holds = credential.revoked_at.is_none();
        Change {
            key: key(&credential.device),
            current: holds.then_some(credential.digest),
            previous: credential
                .previous
                .filter(|_| holds)
                .map(|previous| (previous.digest, previous.until)),
        }
    }
}

impl Change {
    /// Whether the device is let in.
    pub(crate) fn holds(&self) -> bool {
        self.current.is_some()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        let key = self.key;
        let current = self.current.map(|digest| (digest, FOREVER));
        current
            .into_iter()
            .chain(self.previous)
            .map(move |(digest, until)| Entry { key, digest, until })
    }
}

fn devices(shard: &[Entry]) -> usize {
    shard.iter().filter(|entry| entry.until == FOREVER).count()
}

fn shard_of(key: &Key) -> usize {
    let first = u16::from_be_bytes([key[0], key[1]]);
    usize::from(first >> (u16::BITS - SHARD_BITS))
}

fn key(device: &str) -> Key {
    let digest = secret_digest(device.as_bytes());
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_000;

    fn digest(number: u32) -> SecretDigest {
        secret_digest(&number.to_le_bytes())
    }

    fn change(device: &str, current: Option<u32>, previous: Option<(u32, Micros)>) -> Change {
        Change {
            key: key(device),
            current: current.map(digest),
            previous: previous.map(|(number, until)| (digest(number), until)),
        }
    }

    fn known(current: u32, previous: Option<u32>) -> Option<(SecretDigest, Option<SecretDigest>)> {
        Some((digest(current), previous.map(digest)))
    }

    #[test]
    fn changes_are_laid_over_what_is_there() {
        let empty = Table::default();
        assert_eq!(empty.find("a", NOW), None);
        let first = empty.with(&[
            change("a", Some(1), None),
            change("b", Some(2), Some((3, NOW + 5))),
        ]);
        assert_eq!(first.len(), 2);
        assert_eq!(first.find("a", NOW), known(1, None));
        assert_eq!(first.find("b", NOW), known(2, Some(3)));
        assert_eq!(first.find("b", NOW + 5), known(2, None), "its time is up");
        assert_eq!(first.next_end(NOW), Some(NOW + 5));
        assert_eq!(first.next_end(NOW + 5), None);

        let second = first.with(&[change("a", None, None), change("c", Some(4), None)]);
        assert_eq!(second.len(), 2);
        assert_eq!(second.find("a", NOW), None);
        assert_eq!(second.find("b", NOW), known(2, Some(3)));
        assert_eq!(second.find("c", NOW), known(4, None));
        assert_eq!(first.find("a", NOW), known(1, None), "it never changes");
    }

    #[test]
    fn many_devices_are_each_found_and_cost_little() {
        const DEVICES: u32 = 20_000;
        let all: Vec<_> = (0..DEVICES)
            .map(|number| change(&format!("device-{number}"), Some(number), None))
            .collect();
        let at_once = Table::of(all.iter().flat_map(Change::entries).collect());
        let one_by_one = all
            .chunks(999)
            .fold(Table::default(), |table, group| table.with(group));
        for table in [&at_once, &one_by_one] {
            assert_eq!(table.len(), DEVICES as usize);
            for number in 0..DEVICES {
                let found = table.find(&format!("device-{number}"), NOW);
                assert_eq!(found, known(number, None));
            }
            assert_eq!(table.find("device-20000", NOW), None);
            assert!(table.entries().is_sorted_by_key(|entry| entry.key));
        }
        assert!(size_of::<Entry>() <= 56);
        let largest = at_once.shards.iter().map(|shard| shard.len()).max();
        assert!(largest.is_some_and(|largest| largest < 60), "{largest:?}");
    }
}
