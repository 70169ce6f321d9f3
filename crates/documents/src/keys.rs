//! The names of all keys of a type, learned from the type itself.
//!
//! Owns: nothing but the question. Never: lists a key by hand. Invariant: a key that a section
//! gains is known here at once, because every derived struct names its fields to the deserializer
//! that it is read with.

use std::collections::BTreeMap;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor, value};
use serde::forward_to_deserialize_any;

type Names = &'static [&'static str];

/// Sections within sections; deeper nesting would be hard to write by hand.
const DEPTH_MAX: usize = 4;

/// The keys of each section by its dotted name; the top level is called "". Lists of tables are
/// sections too.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    sections: BTreeMap<String, Names>,
}

impl Keys {
    pub fn of<T: DeserializeOwned>() -> Keys {
        let mut keys = Keys::default();
        keys.learn::<T>(&mut Vec::new());
        keys
    }

    fn learn<T: DeserializeOwned>(&mut self, path: &mut Vec<&'static str>) {
        let mut found = None;
        let probe = Probe {
            path,
            found: &mut found,
        };
        // It always refuses: what counts is what it was asked for.
        let _ = T::deserialize(probe);
        let Some(names) = found else { return };
        self.sections.insert(path.join("."), names);
        if path.len() == DEPTH_MAX {
            return;
        }
        for name in names {
            path.push(name);
            self.learn::<T>(path);
            path.pop();
        }
    }

    /// The keys of a section; `None` when nothing is called like this, or a value is.
    pub fn of_section(&self, name: &str) -> Option<Names> {
        self.sections.get(name).copied()
    }

    /// The sections that have a key of this name, without the top level.
    pub fn sections_with(&self, key: &str) -> impl Iterator<Item = &str> {
        let with_key =
            move |(name, keys): &(&String, &Names)| !name.is_empty() && keys.contains(&key);
        let sections = self.sections.iter().filter(with_key);
        sections.map(|(name, _)| name.as_str())
    }

    /// All keys by their dotted names, those of whole sections included.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.sections.iter().flat_map(|(section, keys)| {
            keys.iter().map(move |key| match section.as_str() {
                "" => (*key).to_owned(),
                section => format!("{section}.{key}"),
            })
        })
    }
}

/// Reads as a document that has one entry, at `path`, and notes which keys the type there has.
struct Probe<'p> {
    path: &'p [&'static str],
    found: &'p mut Option<Names>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("not a section"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        match self.path {
            [] => {
                *self.found = Some(fields);
                Err(value::Error::custom("found"))
            }
            [key, path @ ..] => {
                let found = self.found;
                let entry = (*key, Probe { path, found });
                visitor.visit_map(MapDeserializer::new(std::iter::once(entry)))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::once(self)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for Probe<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
