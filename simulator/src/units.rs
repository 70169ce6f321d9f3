//! How durations, rates and times are written by people, on the command line and in scenario files
//! alike.
//!
//! Owns: parsing. Never: decides what a value means. Invariant: a bare number and the same number
//! with its unit written out are the same duration.

use std::fmt;
use std::time::Duration;

use humantime_serde::re::humantime;
use serde::Deserializer;
use serde::de::{self, Visitor};

/// Longest duration that is accepted: ten years. Longer ones are typing errors, and would overflow
/// clocks.
const LONGEST_S: f64 = 10.0 * 365.25 * 86_400.0;

/// `10s`, `2m 30s`, `250ms`; a bare number is seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    span(text, 1.0)
}

/// `100ms`, `2s`; a bare number is milliseconds, as in emqtt-bench and MQTTX.
pub(crate) fn milliseconds(text: &str) -> Result<Duration, String> {
    span(text, 1e-3)
}

/// `2000`, `0.5`, `max`: messages a second; `max` and `0` are as many as the server acknowledges.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("max") {
        return Ok(0.0);
    }
    match text.trim_end_matches("/s").parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err(format!(
            "`{text}` is not a rate: write messages a second, or `max`"
        )),
    }
}

/// `60x`, `0.5`, `max`: how much faster than recorded; `None` is as fast as possible.
pub(crate) fn speed(text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("max") {
        return Ok(None);
    }
    match text.trim_end_matches(['x', 'X']).parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Some(factor)),
        _ => Err(format!(
            "`{text}` is not a speed: write `1x`, `60x` or `max`"
        )),
    }
}

/// A probability, 0 to 1.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!(
            "`{text}` is not a probability: write a number from 0 to 1"
        )),
    }
}

/// Microseconds since 1970, out of RFC 3339 with a zone, or epoch seconds, milliseconds or
/// microseconds.
pub(crate) fn time(text: &str) -> Result<i64, String> {
    telemetry::time::parse_text(text.trim()).map_err(|error| format!("`{text}` is {error}"))
}

fn span(text: &str, bare_unit_s: f64) -> Result<Duration, String> {
    let text = text.trim();
    let seconds = match text.parse::<f64>() {
        Ok(number) => number * bare_unit_s,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("`{text}` is not a duration: {error}"))?
            .as_secs_f64(),
    };
    if seconds.is_finite() && (0.0..=LONGEST_S).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!(
            "`{text}` is not a duration between 0 and ten years"
        ))
    }
}

/// Reads what the parser reads, from a TOML string, integer or float.
pub(crate) fn scalar<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Scalar<T>(&'static str, fn(&str) -> Result<T, String>);

    impl<T> Visitor<'_> for Scalar<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }

    deserializer.deserialize_any(Scalar(expected, parse))
}

pub(crate) fn deserialize_seconds<'de, D>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    scalar(deserializer, "a duration such as \"10s\"", seconds)
}

/// `deserialize_with` functions for optional keys.
macro_rules! optional {
    ($($name:ident: $parse:ident -> $type:ty, $expected:literal;)*) => {
        pub(crate) mod optional {
            use super::*;
            $(pub(crate) fn $name<'de, D>(deserializer: D) -> Result<Option<$type>, D::Error>
            where
                D: Deserializer<'de>,
            {
                scalar(deserializer, $expected, super::$parse).map(Some)
            })*
        }
    };
}

optional! {
    seconds: seconds -> Duration, "a duration such as \"10s\"";
    milliseconds: milliseconds -> Duration, "milliseconds, or a duration such as \"2s\"";
    rate: rate -> f64, "messages a second, or \"max\"";
    time: time -> i64, "a time such as \"2025-01-01T00:00:00Z\"";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_take_the_unit_of_the_flag() {
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        assert_eq!(seconds("2m 30s"), Ok(Duration::from_secs(150)));
        assert_eq!(milliseconds("10"), Ok(Duration::from_millis(10)));
        assert_eq!(milliseconds("0.5"), Ok(Duration::from_micros(500)));
        assert_eq!(milliseconds("1s"), Ok(Duration::from_secs(1)));
        for bad in ["", "-1", "soon", "1e300", "NaN", "inf"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_speeds_know_max() {
        assert_eq!(rate("max"), Ok(0.0));
        assert_eq!(rate("2000/s"), Ok(2000.0));
        assert!(rate("-1").is_err() && rate("fast").is_err());
        assert_eq!(speed("60x"), Ok(Some(60.0)));
        assert_eq!(speed("max"), Ok(None));
        assert!(speed("0").is_err() && speed("x").is_err());
    }
}
