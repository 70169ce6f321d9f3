//! Names kept once each, with dense numbers.

use std::hash::BuildHasher;

use hashbrown::HashTable;

#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    index: HashTable<u32>,
}

impl Names {
    pub(super) fn find(&self, hasher: &impl BuildHasher, name: &str) -> Option<u32> {
        let is_it = |index: &u32| *self.names[*index as usize] == *name;
        self.index.find(hasher.hash_one(name), is_it).copied()
    }

    /// The number of the name, a new one when it is new.
    pub(super) fn intern(&mut self, hasher: &impl BuildHasher, name: &str) -> u32 {
        if let Some(known) = self.find(hasher, name) {
            return known;
        }
        let index = self.names.len() as u32;
        self.names.push(name.into());
        let names = &self.names;
        let hash = |index: &u32| hasher.hash_one(&*names[*index as usize]);
        self.index.insert_unique(hasher.hash_one(name), index, hash);
        index
    }

    /// Panics when the number is not one of these.
    pub(super) fn get(&self, index: u32) -> &str {
        &self.names[index as usize]
    }
}
