use super::*;
use crate::{Entry, Micros, NAME_BYTES_MAX, Value};

mod corpus;
mod options;

/// 2026-01-31T08:15:00Z
const MOMENT: Micros = 1_769_847_300_000_000;

/// `metric=value@time …`, or the reason; texts in quotes.
fn decoded(payload: &[u8], metric: Option<&str>) -> String {
    decoded_by(&mut Decoder::new(), payload, metric)
}

/// Further, `|n` for n numbers that are not finite.
fn decoded_by(decoder: &mut Decoder, payload: &[u8], metric: Option<&str>) -> String {
    let entries = match decoder.decode(payload, metric) {
        Ok(entries) => entries,
        Err(error) => return format!("! {}", error.reason()),
    };
    let not_finite = entries.not_finite();
    let mut words: Vec<String> = entries.map(shown).collect();
    if not_finite > 0 {
        words.push(format!("|{not_finite}"));
    }
    words.join(" ")
}

fn shown(entry: Entry<'_>) -> String {
    let value = match entry.value {
        Value::Number(number) => format!("{number}"),
        Value::Text(text) => format!("'{text}'"),
    };
    let time = match entry.time {
        Some(time) => format!("@{}", time - MOMENT),
        None => String::new(),
    };
    format!("{}={value}{time}", entry.metric)
}

#[track_caller]
fn check(payload: &str, expected: &str) {
    assert_eq!(decoded(payload.as_bytes(), None), expected, "{payload}");
}

#[track_caller]
fn check_metric(payload: &str, expected: &str) {
    assert_eq!(
        decoded(payload.as_bytes(), Some("m")),
        expected,
        "{payload}"
    );
}

#[test]
fn flat_objects() {
    check(r#"{"a":1}"#, "a=1");
    check(r#" { "a" : 1 , "b" : -2.5 } "#, "a=1 b=-2.5");
    check(
        r#"{"on":true,"off":false,"state":"idle","none":null}"#,
        "on=1 off=0 state='idle'",
    );
    check(
        r#"{"температура":21.5,"温度":3,"a b/c":1}"#,
        "температура=21.5 温度=3 a b/c=1",
    );
    check(r#"{"caf\u00e9":"\ud83d\ude00\n"}"#, "café='😀\n'");
    check(r#"{"a":""}"#, "a=''");
    check("{}", "");
    check(r#"{"a":null}"#, "");
}

#[test]
fn arrays_of_objects() {
    check(r#"[{"a":1},{"b":2}]"#, "a=1 b=2");
    check(
        r#"[{"a":1,"ts":1769847301},{"a":2},{"ts":1769847302,"a":3}]"#,
        "a=1@1000000 a=2 a=3@2000000",
    );
    check("[]", "");
    check("[{},null]", "");
    check("[1,true,\"x\"]", "value.0=1 value.1=1 value.2='x'");
    check("[[1]]", "! unsupported_shape");
}

#[test]
fn times_and_values() {
    check(
        r#"{"ts":1769847300001,"values":{"a":1,"b":{"c":2}}}"#,
        "a=1@1000 b.c=2@1000",
    );
    check(r#"{"values":{"a":1},"ts":1769847300001}"#, "a=1@1000");
    check(
        r#"[{"ts":1769847300001,"values":{"a":1}},{"ts":1769847300002,"values":{"a":2}}]"#,
        "a=1@1000 a=2@2000",
    );
    check(r#"{"values":{"a":1},"b":2}"#, "a=1 b=2");
    check(r#"{"values":7}"#, "values=7");
    check(r#"{"values":[7,8]}"#, "values.0=7 values.1=8");
    check(r#"{"values":{}}"#, "");
    check(r#"{"values":{"values":{"a":1}}}"#, "values.a=1");
    check(r#"{"a":{"values":{"b":1}}}"#, "a.values.b=1");
}

#[test]
fn the_time_of_an_object() {
    check(r#"{"ts":1769847300,"a":1}"#, "a=1@0");
    check(r#"{"a":1,"time":"2026-01-31T08:15:00.5Z"}"#, "a=1@500000");
    check(
        r#"{"a":1,"timestamp":"2026-01-31T09:15:00+01:00","b":2}"#,
        "a=1@0 b=2@0",
    );
    check(r#"{"ts":1769847300.25,"a":1}"#, "a=1@250000");
    check(r#"{"ts":"1769847300250","a":1}"#, "a=1@250000");
    check(r#"{"ts":null,"a":1}"#, "a=1");
    // Only at the top: within, these are metrics.
    check(r#"{"a":{"ts":5,"time":"noon"}}"#, "a.ts=5 a.time='noon'");
    check(r#"{"values":{"ts":5}}"#, "ts=5");
    // `ts` over `timestamp` over `time`, in any order, and only the one that wins must be a time.
    check(
        r#"{"time":"soon","ts":1769847300,"timestamp":1,"a":1}"#,
        "a=1@0",
    );
    check(r#"{"timestamp":1769847300,"time":7,"a":1}"#, "a=1@0");
    check(r#"{"ts":1,"ts":1769847300,"a":1}"#, "a=1@0");

    check(r#"{"ts":"2026-01-31T08:15:00","a":1}"#, "! naive_time");
    check(r#"{"ts":"soon","a":1}"#, "! bad_time");
    check(r#"{"ts":true,"a":1}"#, "! bad_time");
    check(r#"{"ts":{"a":1},"a":1}"#, "! bad_time");
    check(r#"{"a":1,"ts":[1769847300]}"#, "! bad_time");
    check(r#"{"ts":-1,"a":1}"#, "! time_out_of_range");
    check(r#"{"ts":9999999999,"a":1}"#, "! time_out_of_range");
    check(r#"{"ts":1e300,"a":1}"#, "! time_out_of_range");
    // A clock that counts from its own start.
    check(r#"{"ts":123456,"a":1}"#, "! time_before_min");
    check(r#"{"ts":0,"a":1}"#, "! time_before_min");
    check(r#"{"ts":12.5,"a":1}"#, "! time_before_min");
    check(r#"{"ts":"946684799.999999","a":1}"#, "! time_before_min");
    check(
        r#"{"a":1,"time":"1999-12-31T23:59:59.999Z"}"#,
        "! time_before_min",
    );
    assert!(decoded(br#"{"ts":946684800,"a":1}"#, None).starts_with("a=1@-"));
    check(r#"{"ts":1769847300,"time":5,"a":1}"#, "a=1@0");
    check(r#"[{"a":1},{"ts":"x","a":1}]"#, "! bad_time");
}

#[test]
fn nested_values_are_flattened() {
    check(
        r#"{"engine":{"oil":{"t":90},"rpm":800}}"#,
        "engine.oil.t=90 engine.rpm=800",
    );
    check(
        r#"{"k":[10,20,{"x":1},[5]]}"#,
        "k.0=10 k.1=20 k.2.x=1 k.3.0=5",
    );
    check(r#"{"k":[],"o":{},"a":1}"#, "a=1");
    check(r#"{"a.b":1,"a":{"b":2}}"#, "a.b=1 a.b=2");
    check(r#"{"k":[null,1]}"#, "k.1=1");
    let eleven = r#"{"k":[0,0,0,0,0,0,0,0,0,0,7]}"#;
    assert!(decoded(eleven.as_bytes(), None).ends_with("k.9=0 k.10=7"));
}

#[test]
fn bare_values() {
    check("21.5", "value=21.5");
    check(" -3 ", "value=-3");
    check("true", "value=1");
    check("\"idle\"", "value='idle'");
    check("null", "");
    check("idle", "! not_json");
    check("21,5", "! not_json");
}

#[test]
fn payloads_whose_topic_names_the_metric() {
    check_metric("21.5", "m=21.5");
    check_metric("false", "m=0");
    check_metric("\"idle\"", "m='idle'");
    check_metric("null", "");
    check_metric(r#"{"value":1}"#, "m=1");
    check_metric(r#"{"value":1,"ts":1769847300}"#, "m=1@0");
    check_metric(
        r#"{"ts":1769847300,"value":"x","quality":192}"#,
        "m='x'@0 m.quality=192@0",
    );
    check_metric(r#"{"value":{"x":1,"y":2}}"#, "m.x=1 m.y=2");
    check_metric(r#"{"value":[1,2]}"#, "m.0=1 m.1=2");
    check_metric(r#"{"x":1,"values":{"y":2}}"#, "m.x=1 m.y=2");
    check_metric(r#"{"x":{"value":1}}"#, "m.x.value=1");
    check_metric(
        r#"[{"value":1,"ts":1769847300},{"value":2,"ts":1769847301}]"#,
        "m=1@0 m=2@1000000",
    );
    check_metric("[1,2]", "m.0=1 m.1=2");
    // Words without quotes are texts, here only.
    check_metric("ON", "m='ON'");
    check_metric("  дверь открыта\n", "m='дверь открыта'");
    check_metric("True", "m='True'");
    check_metric("<xml/>", "m='<xml/>'");
    // What begins like JSON must be JSON.
    check_metric("21.5 °C", "! not_json");
    check_metric("+5", "! not_json");
    check_metric("{on}", "! not_json");
    check_metric("NaN", "|1");
    check_metric("-inf", "|1");
    check_metric("Infinity", "|1");
    check_metric("a\0b", "! nul_character");
    assert_eq!(decoded(b"1", Some("")), "! empty_name");
    assert_eq!(decoded(b"1", Some(&"m".repeat(257))), "! name_too_long");
    assert_eq!(
        decoded(br#"{"x":1}"#, Some(&"m".repeat(255))),
        "! name_too_long"
    );
}

#[test]
fn numbers_become_the_nearest_float() {
    #[track_caller]
    fn check(number: &str, expected: f64) {
        let payload = format!("{{\"k\":{number}}}");
        let mut decoder = Decoder::new();
        let mut entries = decoder.decode(payload.as_bytes(), None).unwrap();
        assert_eq!(
            entries.next().unwrap().value,
            Value::Number(expected),
            "{number}"
        );
    }
    check("9007199254740993", 9_007_199_254_740_992.0);
    check("9223372036854775808", 9_223_372_036_854_775_808.0);
    check("-9223372036854775808", -9_223_372_036_854_775_808.0);
    check("18446744073709551616", 18_446_744_073_709_551_616.0);
    check("18446744073709551617000", 1.844_674_407_370_955_2e22);
    check(
        "1234567890123456789012345678901234567890",
        1.234_567_890_123_456_8e39,
    );
    check(
        "-1234567890123456789012345678901234567890",
        -1.234_567_890_123_456_8e39,
    );
    check("1.7976931348623157e308", f64::MAX);
    check("5e-324", 5e-324);
    check("1e-999", 0.0);
    check("-0", 0.0);
    check("-0.0", -0.0);
    check("0.1", 0.1);
    // A number whose nearest float needs all of its digits.
    check("9007199254740993.0000000000000001", 9_007_199_254_740_994.0);
    check("2.2250738585072011e-308", 2.225_073_858_507_201e-308);
}

#[test]
fn what_is_not_finite() {
    for token in [
        "1e999",
        "-1e999",
        "NaN",
        "nan",
        "-NaN",
        "Infinity",
        "-Infinity",
        "+Infinity",
        "inf",
        "Inf",
    ] {
        check(&format!("{{\"a\":1,\"k\":{token}}}"), "a=1 |1");
        check(&format!("[{{\"k\":{token},\"a\":1}}]"), "a=1 |1");
        check(&format!("[{token},2]"), "value.1=2 |1");
        check(token, "|1");
        check(&format!("{{\"ts\":{token},\"a\":1}}"), "! bad_time");
        check(&format!("{{\"k\":\"{token}\"}}"), &format!("k='{token}'"));
    }
    check(&format!("{{\"k\":1{}}}", "0".repeat(400)), "|1");
    check("{\"k\":nano}", "! not_json");
    check("{NaN:1}", "! not_finite");
    check("{\"k\":[NaN, {\"x\":-Infinity}],\"a\":1}", "a=1 |2");
    check(
        r#"{"a\"NaN":1,"s":"NaN, \\","k":NaN}"#,
        r#"a"NaN=1 s='NaN, \' |1"#,
    );
    check("{\"ts\":1769847300,\"a\":1,\"k\":NaN}", "a=1@0 |1");
    check("{\"k\":NaN,\"ts\":\"soon\"}", "! bad_time");
    check("{\"k\":NaN,\"a\":x}", "! not_json");
    check("{\"k\":NaN,\"a\"}", "! not_json");
    check("{\"k\":NaN", "! not_json");
    check("{\"k\":01e999}", "! not_json");
    // What would be taken for the mark is not.
    check("{\"k\":\"\u{7f}\"}", "k='\u{7f}'");
    check("{\"k\":\"\u{7f}\",\"n\":NaN}", "! not_finite");
    check(r#"{"k":"\u007f","n":NaN}"#, "! not_finite");
    let many = |count| format!("[{}NaN]", "1,".repeat(count));
    assert!(decoded(many(VALUES_MAX - 1).as_bytes(), None).ends_with(" |1"));
    check(&many(VALUES_MAX), "! too_many_values");
}

#[test]
fn what_is_not_json() {
    for payload in [
        "{",
        "}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":1}\0",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":0x1F}",
        "{\"a\":\"x",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "[1",
        "\0",
        "temperature=21.5",
        "\u{feff}\u{feff}{}",
    ] {
        check(payload, "! not_json");
    }
    // Lone surrogates are not characters.
    check(r#"{"a":"\ud800"}"#, "! not_json");
    check(r#"{"a":"\udc00"}"#, "! not_json");
    check(r#"{"\ud800x":1}"#, "! not_json");
    check(r#"{"a":"\ud800\u0041"}"#, "! not_json");
}

#[test]
fn empty_payloads_and_encodings() {
    check("", "! empty");
    check(" \r\n\t", "! empty");
    check("\u{feff}", "! empty");
    check("\u{feff}{\"a\":1}", "a=1");
    assert_eq!(decoded(b"\xff\xfe{\0}\0", None), "! not_utf8");
    assert_eq!(decoded(b"{\"a\":\"\xc3\"}", None), "! not_utf8");
    assert_eq!(decoded(b"{\"a\":\"\xed\xa0\x80\"}", None), "! not_utf8");
    assert_eq!(decoded(b"\xffON", Some("m")), "! not_utf8");
}

#[test]
fn names() {
    check(r#"{"":1}"#, "! empty_name");
    check(r#"{"a":{"":1}}"#, "! empty_name");
    check(r#"{"":{"a":1}}"#, "! empty_name");
    check(r#"{"a":1,"a":2}"#, "a=1 a=2");
    check(r#"{"a\u0000b":1}"#, "! nul_character");
    check(r#"{"a":"x\u0000y"}"#, "! nul_character");
    check(r#"{"a":{"b":["\u0000"]}}"#, "! nul_character");
    let longest = "x".repeat(NAME_BYTES_MAX);
    check(&format!("{{\"{longest}\":1}}"), &format!("{longest}=1"));
    check(&format!("{{\"{longest}y\":1}}"), "! name_too_long");
    check(&format!("{{\"{longest}\":{{\"y\":1}}}}"), "! name_too_long");
    check(&format!("{{\"{}\":1}}", "é".repeat(129)), "! name_too_long");
    // The name of an element that is not there does not count.
    let nearly = "x".repeat(NAME_BYTES_MAX - 2);
    assert!(
        decoded(
            format!("{{\"{nearly}\":[0,1,2,3,4,5,6,7,8,9]}}").as_bytes(),
            None
        )
        .ends_with(".9=9")
    );
    check(
        &format!("{{\"{nearly}\":[0,1,2,3,4,5,6,7,8,9,10]}}"),
        "! name_too_long",
    );
}

#[test]
fn depth() {
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!(
            "{{{}1{}}}",
            "\"a\":{".repeat(inner) + "\"a\":",
            "}".repeat(inner)
        )
    };
    assert!(decoded(nested(DEPTH_MAX).as_bytes(), None).ends_with("a=1"));
    check(&nested(DEPTH_MAX + 1), "! too_deep");
    check(
        &format!("{{\"a\":{}1{}}}", "[".repeat(31), "]".repeat(31)),
        &format!("a{}=1", ".0".repeat(31)),
    );
    check(&format!("{{\"a\":{}", "[".repeat(100_000)), "! too_deep");
    check(&"{\"a\":".repeat(100_000), "! too_deep");
    check(&"[".repeat(100_000), "! unsupported_shape");
}

#[test]
fn many_values() {
    let object = |count: usize| {
        let members: Vec<_> = (0..count).map(|i| format!("\"m{i}\":{i}")).collect();
        format!("{{{},\"ts\":1769847300}}", members.join(","))
    };
    let mut decoder = Decoder::new();
    let payload = object(VALUES_MAX);
    let entries = decoder.decode(payload.as_bytes(), None).unwrap();
    assert_eq!(entries.len(), VALUES_MAX);
    for (index, entry) in entries.enumerate() {
        assert_eq!(entry.metric, format!("m{index}"));
        assert_eq!(entry.value, Value::Number(index as f64));
        assert_eq!(entry.time, Some(MOMENT));
    }
    check(&object(VALUES_MAX + 1), "! too_many_values");
    check(
        &format!("[{}0]", "0,".repeat(VALUES_MAX)),
        "! too_many_values",
    );
    // Nulls are no values.
    check(&format!("[{}7]", "null,".repeat(20_000)), "value.20000=7");
}

#[test]
fn large_payloads_are_ordinary() {
    let text = "x".repeat(100 * 1024);
    let payload = format!("{{\"note\":\"{text}\",\"a\":1}}");
    check(&payload, &format!("note='{text}' a=1"));
    check_metric(&text, &format!("m='{text}'"));
}

#[test]
fn messages_name_the_place() {
    #[track_caller]
    fn check(payload: &str, expected: &str) {
        let mut decoder = Decoder::new();
        let error = decoder.decode(payload.as_bytes(), None).unwrap_err();
        assert_eq!(error.to_string(), expected, "{payload}");
    }
    check("{\"a\":x}", "not JSON at byte 5: expected value");
    check(
        "{\n\"a\":1,\n\"b\":x}",
        "not JSON at byte 13: expected value",
    );
    check("{NaN:1}", "no finite number at byte 1: `NaN`");
    check(
        "{\"a\":NaN,\"b\":-Infinity,\"c\":x}",
        "not JSON at byte 27: expected value",
    );
    check("{\"a\":1}!", "not JSON at byte 7: trailing characters");
    check("{\"ts\":\"noon\"}", "`ts` is `noon`: not a time");
    check(
        "{\"time\":\"2026-01-31T08:15:00\"}",
        "`time` is `2026-01-31T08:15:00`: a time without a zone",
    );
    check("{\"ts\":-1}", "`ts` is `-1`: outside of 1970 to 2200");
    check(
        "{\"ts\":123456}",
        "`ts` is `123456`: that is 1970-01-02T10:17:36Z, before the earliest time accepted",
    );
    check("{\"a\":{\"b\\u0000c\":1}}", "U+0000 in `a.b\u{fffd}c`");
    check("[[1]]", "an array within the outer array");
}

/// A failure must leave nothing behind for the next message, whatever it interrupted.
#[test]
fn a_decoder_forgets_the_message_before() {
    let mut decoder = Decoder::new();
    for broken in [
        "{\"a\":{\"b\":[1,{\"c\":x",
        "{\"ts\":1769847300,\"a\":1",
        "{\"a\":\"\\u0000\"}",
        "[{\"a\":1,\"ts\":\"x\"}]",
    ] {
        decoder
            .decode(broken.as_bytes(), Some("prefix"))
            .unwrap_err();
        let entries: Vec<_> = decoder.decode(b"{\"k\":1}", None).unwrap().collect();
        let expected = Entry {
            metric: "k",
            time: None,
            value: Value::Number(1.0),
        };
        assert_eq!(entries, [expected], "after {broken}");
    }
}
