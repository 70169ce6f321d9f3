//! Mistakes while they are found.
//!
//! Owns: their list and their places. Invariant: it comes out in the order of the file, and a value
//! only when it is empty.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeString;

use crate::document::sorted;
use crate::{Document, Problem, did_you_mean, nearest};

#[derive(Debug)]
pub struct Mistakes<'d> {
    document: &'d Document,
    list: Vec<Problem>,
}

impl<'d> Mistakes<'d> {
    pub fn new(document: &'d Document) -> Mistakes<'d> {
        Mistakes {
            document,
            list: Vec::new(),
        }
    }

    pub fn document(&self) -> &'d Document {
        self.document
    }

    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        let place = self.document.place(span, "");
        self.list.push(Problem::new(message).at(place));
    }

    pub fn hint(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let place = self.document.place(span, "");
        let problem = Problem::new(message).at(place);
        self.list.push(problem.hint(hint.into()));
    }

    /// A key that is none of `known`; returns which of them it was probably meant to be.
    /// `otherwise`: the hint when it resembles none.
    pub fn unknown_key<'k>(
        &mut self,
        key: &Spanned<DeString<'_>>,
        known: &[&'k str],
        otherwise: impl FnOnce() -> String,
    ) -> Option<&'k str> {
        let name = key.get_ref();
        let meant = nearest(name, known.iter().copied());
        let hint = meant.map_or_else(otherwise, did_you_mean);
        self.hint(key.span(), format!("unknown key `{name}`"), hint);
        meant
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The value when nothing is wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.list.is_empty() {
            Ok(value)
        } else {
            Err(sorted(self.list))
        }
    }
}
