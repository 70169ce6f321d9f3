//! A parsed document as serde sees it.
//!
//! Owns: the way from TOML to a type, with the place of what goes wrong. Never: goes on after a
//! fault; the caller reads again without the entry. Invariant: entries that are left out are as if
//! nobody had written them.

use std::collections::HashSet;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use crate::fault::{EntryId, Fault, FaultKind, Step};

type Value<'i> = Spanned<DeValue<'i>>;

/// A value, and the entries that are left out wherever they lie in it.
#[derive(Clone, Copy)]
pub(crate) struct Node<'n, 'i> {
    pub(crate) value: &'n Value<'i>,
    pub(crate) left_out: &'n HashSet<EntryId>,
}

fn id(value: &Value<'_>) -> EntryId {
    std::ptr::from_ref(value).cast()
}

impl<'n, 'i> Node<'n, 'i> {
    fn is_left_out(&self) -> bool {
        self.left_out.contains(&id(self.value))
    }

    fn entries(&self, table: &'n DeTable<'i>) -> Entries<'n, 'i> {
        let left_out = self.left_out;
        let entry = move |(key, value)| (key, Node { value, left_out });
        let entries: Vec<_> = table.iter().map(entry).collect();
        Entries {
            rest: entries.into_iter(),
            next: None,
        }
    }

    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Fault> {
        match self.value.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => visit_integer(number, visitor),
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Fault::custom("not a number")),
            },
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(_) => Err(Fault::invalid_type(Unexpected::Other("a date"), &visitor)),
            DeValue::Array(elements) => visitor.visit_seq(Elements {
                rest: elements.iter(),
                left_out: self.left_out,
            }),
            DeValue::Table(table) => {
                let visited = visitor.visit_map(self.entries(table));
                visited.map_err(|mut fault| {
                    fault.is_consequence |= self.explains(&fault, table);
                    fault
                })
            }
        }
    }

    /// Whether what is missing in the table was left out.
    fn explains(&self, fault: &Fault, table: &DeTable<'_>) -> bool {
        let FaultKind::MissingKey(missing) = &*fault.kind else {
            return false;
        };
        let is_left_out = |(key, value): (&Spanned<DeString<'_>>, &Value<'_>)| {
            key.get_ref() == missing && self.left_out.contains(&id(value))
        };
        fault.entry.is_none() && table.iter().any(is_left_out)
    }
}

fn visit_integer<'de, V: Visitor<'de>>(
    number: &DeInteger<'_>,
    visitor: V,
) -> Result<V::Value, Fault> {
    let (digits, radix) = (number.as_str(), number.radix());
    match (
        i64::from_str_radix(digits, radix),
        u64::from_str_radix(digits, radix),
    ) {
        (Ok(number), _) => visitor.visit_i64(number),
        (_, Ok(number)) => visitor.visit_u64(number),
        _ => Err(Fault::custom("the number is too large")),
    }
}

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor)
            .map_err(|fault| fault.at(self.value.span()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor
            .visit_some(self)
            .map_err(|fault| fault.at(self.value.span()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|fault| fault.at(self.value.span()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let visited = match self.value.get_ref() {
            DeValue::String(text) => {
                let variant: StrDeserializer<'_, Fault> = text.as_ref().into_deserializer();
                visitor.visit_enum(variant)
            }
            DeValue::Table(table) => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries(table)))
            }
            _ => self.visit(visitor),
        };
        visited.map_err(|fault| fault.at(self.value.span()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'n, 'i> {
    rest: std::vec::IntoIter<(&'n Spanned<DeString<'i>>, Node<'n, 'i>)>,
    /// The entry whose key was read last.
    next: Option<(&'n Spanned<DeString<'i>>, Node<'n, 'i>)>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.next = self.rest.by_ref().find(|(_, node)| !node.is_left_out());
        let Some((key, node)) = self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Fault> = key.get_ref().as_ref().into_deserializer();
        let read = seed.deserialize(name);
        read.map(Some).map_err(|fault| {
            let step = Step::Key(key.get_ref().to_string());
            fault.at(key.span()).inside(step, id(node.value))
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, node)) = self.next.take() else {
            return Err(Fault::custom("a value is read before its key"));
        };
        let read = seed.deserialize(node);
        read.map_err(|fault| {
            let step = Step::Key(key.get_ref().to_string());
            fault.at(node.value.span()).inside(step, id(node.value))
        })
    }
}

struct Elements<'n, 'i> {
    rest: std::slice::Iter<'n, Value<'i>>,
    left_out: &'n HashSet<EntryId>,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let left_out = self.left_out;
        let mut nodes = self.rest.by_ref().map(|value| Node { value, left_out });
        let Some(node) = nodes.find(|node| !node.is_left_out()) else {
            return Ok(None);
        };
        let read = seed.deserialize(node).map(Some);
        read.map_err(|fault| {
            let span = node.value.span();
            fault.at(span).inside(Step::Element, id(node.value))
        })
    }
}
