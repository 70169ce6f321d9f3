//! Names of events that a replay repeats.
//!
//! Owns: how an event's id is derived from what caused it. Never: uses a random number or the
//! clock. Invariant: the same cause gives the same id on every platform and in every version,
//! because ids are compared with those in databases and logs.
//!
//! An id is the first 16 bytes of SHA-256 (FIPS 180-4) over the cause's fields. Text goes in as its
//! length (u32, little-endian) and its UTF-8 bytes; numbers as 8 bytes, little-endian; a value as
//! the bits of its IEEE 754 double.

use std::fmt;

use journal::Position;
use sha2::{Digest, Sha256};
use telemetry::Micros;

/// The id of an event, 128 bits; displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// Reads what `Display` writes; `None` for anything else.
    pub fn parse(hex: &str) -> Option<EventId> {
        let digits: &[u8; 32] = hex.as_bytes().try_into().ok()?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(EventId(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an event is about: one rule on one device and metric (empty for the silence of a device),
/// going one way.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub rule: &'a str,
    pub device: &'a str,
    pub metric: &'a str,
    /// `firing` or `resolved`.
    pub transition: &'a str,
}

/// What made it happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// A sample; `time` is the device's own, `None` when it gave none.
    Sample { time: Option<Micros>, value: f64 },
    /// A device that stays silent, or speaks again.
    Silence,
    /// No rule watches it any more; the event that began the alert.
    Unwatched { firing: EventId },
}

impl Subject<'_> {
    /// The event's id: subject, the position of the record that caused it (of the last one, for
    /// silence), and the cause, so that another record which later takes the place of one that was
    /// lost with a crash cannot get the same id.
    pub fn event_id(&self, position: Position, cause: Cause) -> EventId {
        let mut hash = self.hash(b"event");
        hash.update(position.0.to_le_bytes());
        hash_cause(&mut hash, cause);
        finish(hash)
    }

    /// Names the cause without its position: a message that is sent again after a crash is another
    /// record with the same cause.
    pub fn cause_id(&self, cause: Cause) -> EventId {
        let mut hash = self.hash(b"cause");
        hash_cause(&mut hash, cause);
        finish(hash)
    }

    fn hash(&self, domain: &[u8]) -> Sha256 {
        let mut hash = Sha256::new();
        let texts = [self.rule, self.device, self.metric, self.transition];
        for text in [domain].into_iter().chain(texts.map(str::as_bytes)) {
            hash.update((text.len() as u32).to_le_bytes());
            hash.update(text);
        }
        hash
    }
}

fn hash_cause(hash: &mut Sha256, cause: Cause) {
    match cause {
        Cause::Sample { time, value } => {
            hash.update(time.unwrap_or(0).to_le_bytes());
            hash.update([u8::from(time.is_some())]);
            hash.update(value.to_bits().to_le_bytes());
        }
        Cause::Silence => {}
        Cause::Unwatched { firing } => hash.update(firing.0),
    }
}

fn finish(hash: Sha256) -> EventId {
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    EventId(id)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'static> = Subject {
        rule: "boiler-hot",
        device: "boiler-1",
        metric: "temperature",
        transition: "firing",
    };
    const SAMPLE: Cause = Cause::Sample {
        time: Some(1_700_000_000_000_000),
        value: 91.5,
    };

    #[test]
    fn ids_do_not_change_between_versions() {
        let id = SUBJECT.event_id(Position(7), SAMPLE);
        assert_eq!(id.to_string(), "b34e8242b20a79a7906fe24c78491beb");
        let cause = SUBJECT.cause_id(SAMPLE);
        assert_eq!(cause.to_string(), "18bf4732d53c294c261cac4a158e921a");
    }

    #[test]
    fn every_field_matters() {
        let id = SUBJECT.event_id(Position(7), SAMPLE);
        let value = |value| Cause::Sample {
            time: Some(1_700_000_000_000_000),
            value,
        };
        let resolved = Subject {
            transition: "resolved",
            ..SUBJECT
        };
        // The same letters, cut differently between the fields.
        let shifted = Subject {
            rule: "boiler-hotb",
            device: "oiler-1",
            ..SUBJECT
        };
        for other in [
            SUBJECT.event_id(Position(8), SAMPLE),
            SUBJECT.event_id(Position(7), value(91.6)),
            SUBJECT.event_id(Position(7), Cause::Silence),
            SUBJECT.event_id(Position(7), Cause::Unwatched { firing: id }),
            resolved.event_id(Position(7), SAMPLE),
            shifted.event_id(Position(7), SAMPLE),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn hexadecimal_and_back() {
        let id = SUBJECT.event_id(Position(7), SAMPLE);
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for wrong in ["", "abc", "0123456789abcdef0123456789abcdeg"] {
            assert_eq!(EventId::parse(wrong), None, "{wrong}");
        }
    }
}
