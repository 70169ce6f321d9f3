//! The log: what happens, for people, on stderr.
//!
//! Owns: the format and what is shown by default. Never: writes to stdout, which belongs to data.
//! Invariant: rumqttd is silent unless it is named, because it opens a span at error level for
//! every publish.

use std::io;

use anstream::ColorChoice;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What is shown when nothing is asked for.
pub(crate) const DEFAULT_FILTER: &str = "info";

/// Comes before what the user asks for, so that the user has the last word on each target.
/// tokio-postgres repeats the server's notices at info, such as each partition that exists already.
/// rustls warns of what a client sends in its handshake: whoever connects would write to the log as
/// much as he likes.
const QUIET_FILTER: &str = "rumqttd=off,tokio_postgres=warn,rustls=error";

/// The levels, from nothing to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What can be named before `=`: the parts of Millrace, then the libraries in it that log. A target
/// begins with the name of the library that it is in.
const TARGETS: [&str; 21] = [
    "access",
    "millrace",
    "broker",
    "devices",
    "ingest",
    "journal",
    "router",
    "simulator",
    "store",
    "telemetry",
    "axum",
    "hyper",
    "jiff",
    "mio",
    "rumqttc",
    "rumqttd",
    "rustls",
    "tokio",
    "tokio_postgres",
    "tokio_tungstenite",
    "tungstenite",
];

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("`{filter}` is not a log filter")]
    Syntax { filter: String, source: ParseError },
    #[error("`{word}` is not a log level")]
    NotALevel { word: String },
    #[error("nothing called `{target}` writes to the log")]
    UnknownTarget {
        target: String,
        nearest: Option<&'static str>,
    },
}

impl FilterError {
    pub(crate) fn hint(&self) -> String {
        match self {
            FilterError::UnknownTarget {
                nearest: Some(nearest),
                ..
            } => format!("did you mean `{nearest}`?"),
            FilterError::UnknownTarget { nearest: None, .. } => {
                format!("these can be named: {}", TARGETS.join(", "))
            }
            _ => "write a level such as \"debug\", or targets such as \"info,broker=trace\""
                .to_owned(),
        }
    }
}

/// Checks a filter: a level (`debug`), targets with levels (`info,broker=trace`), or both.
///
/// The parser would take any other word for a target, so that a typo in a level silenced
/// everything. A target that nothing has would be taken in silence too, and show nothing.
pub(crate) fn filter(filter: &str) -> Result<EnvFilter, FilterError> {
    let words: Vec<_> = filter.split(',').map(str::trim).collect();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        if !is_level && !word.contains(['=', '[']) {
            return Err(FilterError::NotALevel {
                word: word.to_string(),
            });
        }
    }
    let parsed = EnvFilter::builder()
        .parse(format!("{QUIET_FILTER},{}", words.join(",")))
        .map_err(|source| FilterError::Syntax {
            filter: filter.to_owned(),
            source,
        })?;
    match words.iter().find_map(|word| unknown_target(word)) {
        Some(unknown) => Err(unknown),
        None => Ok(parsed),
    }
}

/// The target of one directive, when there is none such.
fn unknown_target(directive: &str) -> Option<FilterError> {
    let (target, _) = directive.split_once(['=', '['])?;
    let library = target.split("::").next().unwrap_or_default().trim();
    if library.is_empty() || TARGETS.contains(&library) {
        return None;
    }
    Some(FilterError::UnknownTarget {
        target: library.to_owned(),
        nearest: documents::nearest(library, TARGETS),
    })
}

/// Starts logging to stderr. A second call in one process changes nothing.
pub(crate) fn init(filter: EnvFilter) {
    let colours = anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .compact()
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_is_silent_unless_it_is_named() {
        let quiet = filter("debug").expect("valid").to_string();
        assert!(
            quiet.contains("rumqttd=off") && quiet.contains("debug"),
            "{quiet}"
        );
        let asked = filter("info,rumqttd=trace").expect("valid").to_string();
        assert!(
            asked.contains("rumqttd=trace") && !asked.contains("rumqttd=off"),
            "{asked}"
        );
    }

    #[test]
    fn what_a_client_does_in_its_handshake_is_told_only_to_who_asks() {
        let quiet = filter("info").expect("valid").to_string();
        assert!(quiet.contains("rustls=error"), "{quiet}");
        let asked = filter("info,rustls=warn").expect("valid").to_string();
        assert!(asked.contains("rustls=warn"), "{asked}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_quoted() {
        for (text, expected) in [
            ("info,broker=loud", "`info,broker=loud` is not a log filter"),
            ("debgu", "`debgu` is not a log level"),
            ("info,broker", "`broker` is not a log level"),
        ] {
            assert_eq!(filter(text).expect_err(text).to_string(), expected);
        }
        for (text, nearest) in [
            ("info,borker=debug", "`broker`"),
            ("ingst::rows=debug", "`ingest`"),
            ("Broker[span]=debug", "`broker`"),
        ] {
            let error = filter(text).expect_err(text);
            assert!(error.to_string().starts_with("nothing called"), "{error}");
            assert!(error.hint().contains(nearest), "{}", error.hint());
        }
        for text in TARGETS.map(|target| format!("warn,{target}::x=debug")) {
            assert!(filter(&text).is_ok(), "{text}");
        }
        for text in ["", "WARN", "off", " info , broker=trace", "[span]=debug"] {
            assert!(filter(text).is_ok(), "{text}");
        }
    }
}
