//! Who acts: what rules are matched against.

use crate::identity::Identity;

/// A client as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    pub identity: &'a Identity,
    pub client_id: &'a str,
}

/// A level of a rule's filter that stands for something about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// `%u`
    User,
    /// `%c`
    Client,
    /// `%{name}`, from the client's credentials.
    Variable(Box<str>),
}

impl<'a> Principal<'a> {
    /// What the placeholder stands for; `None` when there is nothing, or when the value would
    /// change the shape of a filter.
    ///
    /// A client chooses its id, so a value must stay one literal level, and must not reach the
    /// server's own topics.
    pub(super) fn expand(&self, placeholder: &Placeholder, first_level: bool) -> Option<&'a str> {
        let value = self.value(placeholder)?;
        let misshapen = value.is_empty()
            || value.contains(['+', '#', '/', '\0'])
            || (first_level && value.starts_with('$'));
        (!misshapen).then_some(value)
    }

    /// Whether the placeholder stands for exactly this literal level of a valid topic or filter,
    /// whose first level does not begin with `$`: the level vouches for the shape of the value.
    pub(super) fn expands_to(&self, placeholder: &Placeholder, level: &str) -> bool {
        !level.is_empty() && self.value(placeholder) == Some(level)
    }

    fn value(&self, placeholder: &Placeholder) -> Option<&'a str> {
        match placeholder {
            Placeholder::User => Some(&self.identity.user),
            Placeholder::Client => Some(self.client_id),
            Placeholder::Variable(name) => self.identity.variable(name),
        }
    }
}
