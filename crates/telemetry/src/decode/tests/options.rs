//! What a user decides about payloads.

use jiff::tz::TimeZone;

use super::*;

#[track_caller]
fn check_with(options: &Options, payload: &str, expected: &str) {
    let mut decoder = Decoder::with_options(options.clone());
    let seen = decoded_by(&mut decoder, payload.as_bytes(), None);
    assert_eq!(seen, expected, "{payload}");
}

#[test]
fn numbers_in_quotes() {
    let options = Options {
        numbers_in_quotes: true,
        ..Options::default()
    };
    let check = |payload: &str, expected: &str| check_with(&options, payload, expected);
    check(
        r#"{"a":"21.5","b":"-3","c":" 1e3\n","d":"0"}"#,
        "a=21.5 b=-3 c=1000 d=0",
    );
    check(r#"["1",["x","2"]]"#, "! unsupported_shape");
    check(r#"{"k":["1",{"x":"2"}]}"#, "k.0=1 k.1.x=2");
    check("\"21.5\"", "value=21.5");
    for text in [
        "",
        "-",
        "+5",
        "007",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1,5",
        "0x1F",
        "1 2",
        "21.5 C",
        "NaN",
        "inf",
        "-Infinity",
        "1e999",
        "true",
        "1_000",
        "٣",
    ] {
        check(&format!("{{\"k\":\"{text}\"}}"), &format!("k='{text}'"));
    }
    check(r#"{"ts":"1769847300","a":"1","n":NaN}"#, "a=1@0 |1");
    super::check(r#"{"a":"21.5"}"#, "a='21.5'");
}

#[test]
fn a_zone_for_times_without_one() {
    let zone = |name: &str| Options {
        zone: Some(TimeZone::get(name).unwrap()),
        ..Options::default()
    };
    let utc = Options {
        zone: Some(TimeZone::UTC),
        ..Options::default()
    };
    let at = |time: &str, options: &Options, expected: &str| {
        check_with(options, &format!("{{\"ts\":\"{time}\",\"a\":1}}"), expected);
    };
    at("2026-01-31T08:15:00", &utc, "a=1@0");
    at("2026-01-31 08:15:00.5", &utc, "a=1@500000");
    at("2026-01-31 08:15", &utc, "a=1@0");
    at("2026-01-31", &utc, "a=1@-29700000000");
    at("1999-12-31 23:59:59", &utc, "! time_before_min");
    at("2026-02-30 08:15:00", &utc, "! bad_time");
    let berlin = zone("Europe/Berlin");
    at("2026-01-31 09:15:00", &berlin, "a=1@0");
    at("2026-01-31T09:15", &berlin, "a=1@0");
    // One that says its zone is not moved.
    at("2026-01-31T08:15:00Z", &berlin, "a=1@0");
    at("2026-01-31T10:15:00+02:00", &berlin, "a=1@0");
    at("2026-01-31T08:15:00[Asia/Tokyo]", &berlin, "! naive_time");
    let moment = |time: &str| {
        let payload = format!("{{\"ts\":\"{time}\",\"a\":1}}");
        let mut decoder = Decoder::with_options(berlin.clone());
        let mut entries = decoder.decode(payload.as_bytes(), None).unwrap();
        crate::time::Rfc3339(entries.next().unwrap().time.unwrap()).to_string()
    };
    assert_eq!(moment("2026-07-01 12:00:00"), "2026-07-01T10:00:00Z");
    // In spring the hour from 2 to 3 is left out, in autumn it comes twice.
    assert_eq!(moment("2026-03-29 01:59:59"), "2026-03-29T00:59:59Z");
    assert_eq!(moment("2026-03-29 02:30:00"), "2026-03-29T01:30:00Z");
    assert_eq!(moment("2026-03-29 03:30:00"), "2026-03-29T01:30:00Z");
    assert_eq!(moment("2026-10-25 02:30:00"), "2026-10-25T00:30:00Z");
    assert_eq!(moment("2026-10-25 03:00:00"), "2026-10-25T02:00:00Z");
}

fn fields(names: &[&str]) -> Options {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Options {
        time_fields: TimeFields::new(&names).unwrap(),
        ..Options::default()
    }
}

#[test]
fn a_time_field_of_another_name() {
    let one = fields(&["sampled_at"]);
    check_with(
        &one,
        r#"{"sampled_at":1769847300,"a":1,"ts":5}"#,
        "a=1@0 ts=5@0",
    );
    check_with(&one, r#"{"ts":1769847300,"a":1}"#, "ts=1769847300 a=1");
    check_with(&one, r#"{"b":{"sampled_at":5}}"#, "b.sampled_at=5");
    let several = fields(&["t", "ts"]);
    check_with(
        &several,
        r#"{"ts":1769847301,"t":1769847300,"a":1}"#,
        "a=1@0",
    );
    check_with(
        &several,
        r#"{"ts":1769847300,"a":1,"time":7}"#,
        "a=1@0 time=7@0",
    );
    check_with(
        &fields(&[]),
        r#"{"ts":1769847300,"a":1}"#,
        "ts=1769847300 a=1",
    );
}

#[test]
fn a_time_field_within() {
    let nested = fields(&["meta.at", "ts"]);
    let check = |payload: &str, expected: &str| check_with(&nested, payload, expected);
    check(
        r#"{"a":1,"meta":{"at":1769847300,"n":2},"b":3}"#,
        "a=1@0 meta.n=2@0 b=3@0",
    );
    check(r#"{"meta":{"at":1769847300},"ts":5,"a":1}"#, "a=1@0");
    check(r#"{"meta.at":1769847300,"a":1}"#, "a=1@0");
    check(r#"{"x":{"meta":{"at":5}}}"#, "x.meta.at=5");
    check(r#"{"at":5}"#, "at=5");
    check(r#"{"values":{"ts":5}}"#, "ts=5");
    check(r#"{"meta":{"at":"soon"},"a":1}"#, "! bad_time");
    check(
        r#"[{"a":1,"meta":{"at":1769847301}},{"a":2,"meta":{"at":1769847302}},{"a":3}]"#,
        "a=1@1000000 a=2@2000000 a=3",
    );
    let mut decoder = Decoder::with_options(nested.clone());
    let payload = br#"{"value":1,"meta":{"at":1769847300}}"#;
    assert_eq!(decoded_by(&mut decoder, payload, Some("m")), "m=1@0");
}

#[test]
fn times_before_the_year_2000_on_demand() {
    let all = Options {
        time_min: 0,
        ..Options::default()
    };
    let mut decoder = Decoder::with_options(all);
    let payload = br#"{"ts":123456,"a":1}"#;
    let mut entries = decoder.decode(payload, None).unwrap();
    assert_eq!(entries.next().unwrap().time, Some(123_456_000_000));
}

#[test]
fn names_of_a_time_field_are_checked() {
    let error = |names: &[String]| TimeFields::new(names).unwrap_err().to_string();
    assert_eq!(error(&[String::new()]), "has an empty name");
    assert_eq!(
        error(&["x".repeat(257)]),
        "has a name of more than 256 bytes"
    );
    let many = vec!["x".to_owned(); 17];
    assert_eq!(error(&many), "has 17 names, not 16 at most");
    let default = TIME_FIELDS.map(str::to_owned);
    assert_eq!(TimeFields::new(&default), Ok(TimeFields::default()));
}
