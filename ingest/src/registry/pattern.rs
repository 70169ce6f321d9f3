//! A name as it is written in a rule or a registry: literal, or a glob.

use globset::{GlobBuilder, GlobMatcher};

/// Matches whole names. `*` and `?` match any character, `/` and `.` too; `[ab]` and `{a,b}`
/// choose; `\` takes the next character literally.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    Exact(Box<str>),
    Glob(GlobMatcher),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Pattern, globset::Error> {
        if !is_glob(text) {
            return Ok(Pattern::Exact(text.into()));
        }
        Ok(Pattern::Glob(glob(text)?.compile_matcher()))
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(text) => **text == *name,
            Pattern::Glob(glob) => glob.is_match(name),
        }
    }
}

pub(crate) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

pub(crate) fn glob(text: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build()
}
