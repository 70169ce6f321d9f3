use super::*;

/// 2026-01-31T08:15:00Z
const MOMENT: Micros = 1_769_847_300_000_000;

#[test]
fn texts() {
    #[track_caller]
    fn check(text: &str, expected: Result<Micros, TimeError>) {
        assert_eq!(parse_text(text), expected, "{text}");
    }
    let (bad, naive, range) = (
        Err(TimeError::Bad),
        Err(TimeError::Naive),
        Err(TimeError::OutOfRange),
    );
    check("2026-01-31T08:15:00Z", Ok(MOMENT));
    check("2026-01-31t08:15:00z", Ok(MOMENT));
    check("2026-01-31 08:15:00Z", Ok(MOMENT));
    check(" 2026-01-31T08:15:00Z\n", Ok(MOMENT));
    check("2026-01-31T10:15:00+02:00", Ok(MOMENT));
    check("2026-01-31T02:45:00-05:30", Ok(MOMENT));
    check("2026-01-31T10:15:00+0200", Ok(MOMENT));
    check("2026-01-31T10:15:00+02", Ok(MOMENT));
    check("2026-01-31T08:15:00.5Z", Ok(MOMENT + 500_000));
    check("2026-01-31T08:15:00.000001Z", Ok(MOMENT + 1));
    check("2026-01-31T08:15:00.123456999Z", Ok(MOMENT + 123_456));
    check("2024-02-29T00:00:00Z", Ok(1_709_164_800_000_000));
    check("2000-02-29T23:59:59Z", Ok(951_868_799_000_000));
    check("1970-01-01T00:00:00Z", Ok(0));
    check("1970-01-01T02:00:00+02:00", Ok(0));
    check("2199-12-31T23:59:59.999999Z", Ok(MICROS_END - 1));
    // A leap second is the second before it, as jiff has it.
    check("2016-12-31T23:59:60Z", Ok(1_483_228_799_000_000));
    check("1769847300", Ok(MOMENT));
    check("1769847300.25", Ok(MOMENT + 250_000));
    check("1769847300000", Ok(MOMENT));
    check("1769847300000000", Ok(MOMENT));
    check("1769847300000000999", Ok(MOMENT));

    check("2026-01-31T08:15:00", naive);
    check("2026-01-31 08:15:00.123", naive);
    check("2026-01-31", naive);
    check("2026-01-31T08:15", naive);

    check("1969-12-31T23:59:59Z", range);
    check("2200-01-01T00:00:00Z", range);
    check("1970-01-01T00:00:00+00:01", range);
    check("0001-01-01T00:00:00Z", range);
    check("-1", range);
    check("-1.5", range);
    check("99999999999999999999999", range);

    check("", bad);
    check("   ", bad);
    check("yesterday", bad);
    check("2026-02-30T00:00:00Z", bad);
    check("2023-02-29T00:00:00Z", bad);
    check("2026-13-01T00:00:00Z", bad);
    check("2026-01-31T24:00:00Z", bad);
    check("2026-01-31T08:15:00.Z", bad);
    check("2026-01-31T08:15:00+2:00", bad);
    check("31.01.2026 08:15", bad);
    check("1.2.3", bad);
    check("12.", bad);
    check(".5", bad);
    check("1e9", bad);
    check("NaN", bad);
    check("２０２６", bad);
    check(&"1".repeat(65), bad);
}

#[test]
fn integers() {
    #[track_caller]
    fn check(number: u64, expected: Result<Micros, TimeError>) {
        assert_eq!(parse_integer(number), expected, "{number}");
    }
    let range = Err(TimeError::OutOfRange);
    check(0, Ok(0));
    check(1, Ok(1_000_000));
    check(1_769_847_300, Ok(MOMENT));
    check(1_769_847_300_123, Ok(MOMENT + 123_000));
    check(1_769_847_300_123_456, Ok(MOMENT + 123_456));
    check(1_769_847_300_123_456_789, Ok(MOMENT + 123_456));
    check(7_258_118_399, Ok(MICROS_END - 1_000_000));
    check(7_258_118_400, range);
    check(9_999_999_999, range);
    // The smallest of each larger unit is the same moment, 1970-04-26T17:46:40Z.
    check(10_000_000_000, Ok(10_000_000_000_000));
    check(10_000_000_000_000, Ok(10_000_000_000_000));
    check(10_000_000_000_000_000, Ok(10_000_000_000_000));
    check(7_258_118_400_000, range);
    check(7_258_118_400_000_000, range);
    check(7_258_118_399_999_999_999, Ok(MICROS_END - 1));
    check(7_258_118_400_000_000_000, range);
    check(u64::MAX, range);
}

#[test]
fn floats() {
    #[track_caller]
    fn check(number: f64, expected: Result<Micros, TimeError>) {
        assert_eq!(parse_float(number), expected, "{number}");
    }
    let range = Err(TimeError::OutOfRange);
    check(0.0, Ok(0));
    check(-0.0, Ok(0));
    check(1_769_847_300.25, Ok(MOMENT + 250_000));
    check(1_769_847_300.000001, Ok(MOMENT + 1));
    check(1_769_847_300_000.5, Ok(MOMENT + 500));
    check(1_769_847_300_000_000.0, Ok(MOMENT));
    check(1.7698473e18, Ok(MOMENT));
    check(-1.0, range);
    check(1e300, range);
    check(f64::NAN, Err(TimeError::Bad));
    check(f64::INFINITY, Err(TimeError::Bad));
}

#[test]
fn formats() {
    #[track_caller]
    fn check(time: Micros, expected: &str) {
        assert_eq!(Rfc3339(time).to_string(), expected);
        let mut bytes = b"at ".to_vec();
        write_rfc3339(&mut bytes, time);
        assert_eq!(bytes, format!("at {expected}").into_bytes());
    }
    check(0, "1970-01-01T00:00:00Z");
    check(MOMENT, "2026-01-31T08:15:00Z");
    check(MOMENT + 120_000, "2026-01-31T08:15:00.120Z");
    check(MOMENT + 1, "2026-01-31T08:15:00.000001Z");
    check(MICROS_END - 1, "2199-12-31T23:59:59.999999Z");
    check(-5, "1970-01-01T00:00:00Z");
    check(i64::MAX, "2200-01-01T00:00:00Z");
}

/// Every day of the range, at an odd time of day, out and in again and against jiff.
#[test]
fn every_day_survives_the_way_out_and_in() {
    for day in 0..MICROS_END / 86_400_000_000 {
        let time = day * 86_400_000_000 + (day * 7_919_777_777) % 86_400_000_000;
        let text = Rfc3339(time).to_string();
        assert_eq!(parse_text(&text), Ok(time), "{text}");
        let theirs: jiff::Timestamp = text.parse().unwrap();
        assert_eq!(theirs.as_microsecond(), time, "{text}");
    }
}
