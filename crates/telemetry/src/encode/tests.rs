use super::*;
use crate::decode::Decoder;

const MOMENT: Micros = 1_769_847_300_123_456;

fn stamp(form: TimeForm) -> Option<Stamp> {
    Some(Stamp { time: MOMENT, form })
}

fn values() -> [(&'static str, Value<'static>); 3] {
    [
        ("temperature", Value::Number(21.5)),
        ("state", Value::Text("on \"the\" edge")),
        ("count", Value::Number(3.0)),
    ]
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn shapes() {
    assert_eq!(
        written(|out| flat(out, stamp(TimeForm::Milliseconds), values())),
        r#"{"ts":1769847300123,"temperature":21.5,"state":"on \"the\" edge","count":3.0}"#
    );
    assert_eq!(
        written(|out| with_values(out, stamp(TimeForm::Seconds), values())),
        r#"{"ts":1769847300,"values":{"temperature":21.5,"state":"on \"the\" edge","count":3.0}}"#
    );
    assert_eq!(
        written(|out| flat(out, stamp(TimeForm::Rfc3339), [("a", Value::Number(-0.5))])),
        r#"{"ts":"2026-01-31T08:15:00.123456Z","a":-0.5}"#
    );
    assert_eq!(written(|out| flat(out, None, [])), "{}");
    assert_eq!(
        written(|out| with_values(out, None, [])),
        r#"{"values":{}}"#
    );
    assert_eq!(written(|out| number(out, f64::NAN)), "null");
    assert_eq!(written(|out| array(out, [1.0, 2.5], number)), "[1.0,2.5]");
}

#[test]
fn what_is_written_is_read_back() {
    let mut decoder = Decoder::new();
    let numbers = [
        0.1,
        1e-300,
        1.797e308,
        -273.15,
        5e-324,
        123_456_789.123_456_78,
    ];
    let names: Vec<String> = (0..numbers.len()).map(|i| format!("число {i}\n")).collect();
    let sent: Vec<_> = names
        .iter()
        .zip(numbers)
        .map(|(name, number)| (name.as_str(), Value::Number(number)))
        .chain(values())
        .collect();
    let mut payloads = [Vec::new(), Vec::new()];
    flat(
        &mut payloads[0],
        stamp(TimeForm::Microseconds),
        sent.iter().copied(),
    );
    with_values(
        &mut payloads[1],
        stamp(TimeForm::Rfc3339),
        sent.iter().copied(),
    );
    for payload in payloads {
        let read = decoder.decode(&payload, None).unwrap();
        assert!(read.clone().all(|entry| entry.time == Some(MOMENT)));
        let read: Vec<_> = read.map(|entry| (entry.metric, entry.value)).collect();
        assert_eq!(read, sent);
    }
}
