//! The journal's section of the configuration.
//!
//! Owns: the keys, their defaults and what they must satisfy. Never: reads a file. Invariant:
//! `Settings` made by `validate` are consistent with each other, so nothing behind them checks
//! again.

use std::time::Duration;

use bytesize::ByteSize;
use documents::ConfigError;
use serde::{Deserialize, Serialize};

/// A frame holds at most this many bytes of records, unless one batch alone is larger. It is what
/// one `fdatasync` answers for: large enough that the sync costs little beside the copying, small
/// enough that nobody waits long behind it.
pub const FRAME_BYTES_MAX: usize = 2 << 20;

/// How often a write that found the disk full is tried again when no space is released: somebody
/// may free space from outside.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A segment is at most this part of `max_size`, because space comes back in whole segments.
const SEGMENTS_MIN: u64 = 4;

const MAX_SIZE_MIN: ByteSize = ByteSize::mib(1);
const SEGMENT_SIZE_MIN: ByteSize = ByteSize::kib(64);
/// A segment must stay readable by a process that maps or counts it in 32 bits, and quick to verify
/// alone.
const SEGMENT_SIZE_MAX: ByteSize = ByteSize::gib(2);
const WRITE_BUFFER_MIN: ByteSize = ByteSize::kib(64);

/// The section `[journal]`, as written by people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of segments at which the journal is full and pushes back.
    pub max_size: ByteSize,
    /// Bytes after which a new segment is begun; space is reclaimed in whole segments. At most a
    /// quarter of `max_size` is used.
    pub segment_size: ByteSize,
    /// Bytes kept in memory so that readers at the tail need no disk.
    pub tail_memory: ByteSize,
    /// Bytes that may wait for the disk before appends are refused for a moment.
    pub write_buffer: ByteSize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_size: ByteSize::gb(10),
            segment_size: ByteSize::mb(64),
            tail_memory: ByteSize::mb(16),
            write_buffer: ByteSize::mb(16),
        }
    }
}

impl Config {
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        at_least("max_size", self.max_size, MAX_SIZE_MIN)?;
        at_least("segment_size", self.segment_size, SEGMENT_SIZE_MIN)?;
        at_least("write_buffer", self.write_buffer, WRITE_BUFFER_MIN)?;
        if self.segment_size > SEGMENT_SIZE_MAX {
            let problem = format!(
                "must be at most `{SEGMENT_SIZE_MAX}`, not `{}`",
                self.segment_size
            );
            return Err(ConfigError::new("journal.segment_size", problem));
        }
        let max_size_bytes = self.max_size.as_u64();
        Ok(Settings {
            max_size_bytes,
            segment_size_bytes: self
                .segment_size
                .as_u64()
                .min(max_size_bytes / SEGMENTS_MIN),
            tail_memory_bytes: self.tail_memory.as_u64(),
            write_buffer_bytes: self.write_buffer.as_u64(),
            frame_bytes_max: FRAME_BYTES_MAX,
            retry_interval: RETRY_INTERVAL,
        })
    }
}

/// What the journal works with. Made by `Config::validate`; tests make smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub max_size_bytes: u64,
    pub segment_size_bytes: u64,
    pub tail_memory_bytes: u64,
    pub write_buffer_bytes: u64,
    pub frame_bytes_max: usize,
    pub retry_interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Config::default()
            .validate()
            .expect("a test proves that the defaults are valid")
    }
}

fn at_least(key: &str, value: ByteSize, minimum: ByteSize) -> Result<(), ConfigError> {
    if value < minimum {
        let problem = format!("must be at least `{minimum}`, not `{value}`");
        return Err(ConfigError::new(format!("journal.{key}"), problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let settings = Config::default().validate().unwrap();
        assert_eq!(settings.max_size_bytes, 10_000_000_000);
        assert_eq!(settings.segment_size_bytes, 64_000_000);
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_segment_is_at_most_a_quarter_of_the_whole() {
        let config = Config {
            max_size: ByteSize::mb(8),
            ..Config::default()
        };
        assert_eq!(config.validate().unwrap().segment_size_bytes, 2_000_000);
    }

    #[test]
    fn errors_name_the_key_and_the_bound() {
        let config = Config {
            max_size: ByteSize::kb(10),
            ..Config::default()
        };
        let error = config.validate().unwrap_err();
        assert_eq!(error.key, "journal.max_size");
        assert!(error.to_string().contains("at least"), "{error}");

        let config = Config {
            segment_size: ByteSize::tb(1),
            max_size: ByteSize::tb(10),
            ..Config::default()
        };
        assert_eq!(config.validate().unwrap_err().key, "journal.segment_size");
    }

    #[test]
    fn it_is_read_as_people_write_it() {
        let config: Config =
            serde_json::from_str(r#"{"max_size":"1GB","write_buffer":"4MiB"}"#).unwrap();
        assert_eq!(config.max_size, ByteSize::gb(1));
        assert_eq!(config.write_buffer, ByteSize::mib(4));
        assert_eq!(config.segment_size, Config::default().segment_size);
        assert!(serde_json::from_str::<Config>(r#"{"maxsize":"1GB"}"#).is_err());
    }
}
