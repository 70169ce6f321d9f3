use std::error::Error;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use expect_test::{Expect, expect};
use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    name: String,
    limits: Limits,
    rule: Vec<Rule>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    max_size: u32,
    colour: Option<Colour>,
    ratios: Vec<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    device: String,
    min: f64,
}

fn check(text: &str, expected: Expect) {
    let (_, problems) = Document::new("m.toml", text).deserialize::<Sample>();
    let shown: Vec<String> = problems.iter().map(shown).collect();
    expected.assert_eq(&shown.join("\n"));
}

fn shown(problem: &Problem) -> String {
    let place = problem.place.as_ref().expect("a place");
    let annotation = AnnotationKind::Primary.span(place.span.clone());
    let snippet = Snippet::source(&*place.text)
        .path("m.toml")
        .annotation(annotation.label(place.label.as_str()));
    let group = Level::ERROR
        .primary_title(&*problem.message)
        .element(snippet);
    let hint = problem.hint.as_ref();
    let hint = hint.map_or(String::new(), |hint| format!("  hint: {hint}\n"));
    format!("{}\n{hint}", Renderer::plain().render(&[group]))
}

#[test]
fn a_right_file_has_no_problem() {
    let text = "name = 'x'\n[limits]\nmax_size = 5\n[[rule]]\ndevice = 'a'\nmin = 1.5\n";
    let (sample, problems) = Document::new("m.toml", text).deserialize::<Sample>();
    assert!(problems.is_empty(), "{problems:?}");
    let sample = sample.expect("values");
    assert_eq!(sample.limits.max_size, 5);
    assert_eq!(
        sample.rule,
        [Rule {
            device: "a".into(),
            min: 1.5
        }]
    );
}

#[test]
fn an_empty_file_is_the_defaults() {
    let (sample, problems) = Document::new("m.toml", "").deserialize::<Sample>();
    assert!(problems.is_empty());
    assert_eq!(sample, Some(Sample::default()));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    check(
        "[limits]\nmax_sise = 5\n",
        expect![[r#"
            error: unknown key `max_sise` in `[limits]`
             --> m.toml:2:1
              |
            2 | max_sise = 5
              | ^^^^^^^^ not a known key
              hint: did you mean `max_size`?
        "#]],
    );
}

#[test]
fn an_unknown_key_that_resembles_nothing_lists_the_known_ones() {
    check(
        "zzz = 1\n",
        expect![[r#"
            error: unknown key `zzz`
             --> m.toml:1:1
              |
            1 | zzz = 1
              | ^^^ not a known key
              hint: known keys: name, limits, rule
        "#]],
    );
}

#[test]
fn an_unknown_section_is_shown_at_its_header() {
    check(
        "name = 'x'\n\n[limit]\nmax_size = 1\n",
        expect![[r#"
            error: unknown key `limit`
             --> m.toml:3:2
              |
            3 | [limit]
              |  ^^^^^ not a known key
              hint: did you mean `limits`?
        "#]],
    );
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    check(
        "[limits]\nmax_size = 'much'\n",
        expect![[r#"
            error: wrong type of `limits.max_size`: string "much"
             --> m.toml:2:12
              |
            2 | max_size = 'much'
              |            ^^^^^^ expected a whole number, not negative
        "#]],
    );
}

#[test]
fn a_value_in_the_place_of_a_section_is_told_so() {
    check(
        "limits = 3\n",
        expect![[r#"
            error: wrong type of `limits`: integer `3`
             --> m.toml:1:10
              |
            1 | limits = 3
              |          ^ expected a section
        "#]],
    );
}

#[test]
fn an_unknown_value_lists_the_known_ones() {
    check(
        "limits.colour = 'gren'\n",
        expect![[r#"
            error: unknown value `gren` of `limits.colour`
             --> m.toml:1:17
              |
            1 | limits.colour = 'gren'
              |                 ^^^^^^ expected `red` or `green`
              hint: did you mean `green`?
        "#]],
    );
}

#[test]
fn a_missing_key_is_shown_at_its_element() {
    check(
        "[[rule]]\ndevice = 'a'\nmin = 1.0\n\n[[rule]]\ndevice = 'b'\n",
        expect![[r#"
            error: missing key `min` in `[[rule]]`
             --> m.toml:5:1
              |
            5 | [[rule]]
              | ^^^^^^^^
        "#]],
    );
}

#[test]
fn every_mistake_is_found_in_the_order_of_the_file() {
    check(
        "rule = [{ device = 1, min = 2.0 }, { devise = 'a', device = 'a', min = 1.0 }]\n\
         naem = 'x'\n[limits]\nratios = [1.0, 'x', 'y']\nmax_size = -1\n",
        expect![[r#"
            error: wrong type of `rule.device`: integer `1`
             --> m.toml:1:20
              |
            1 | rule = [{ device = 1, min = 2.0 }, { devise = 'a', device = 'a', min = 1.0 }]
              |                    ^ expected a text in quotes

            error: unknown key `devise` in `[[rule]]`
             --> m.toml:1:38
              |
            1 | rule = [{ device = 1, min = 2.0 }, { devise = 'a', device = 'a', min = 1.0 }]
              |                                      ^^^^^^ not a known key
              hint: did you mean `device`?

            error: unknown key `naem`
             --> m.toml:2:1
              |
            2 | naem = 'x'
              | ^^^^ not a known key
              hint: did you mean `name`?

            error: wrong type of `limits.ratios`: string "x"
             --> m.toml:4:16
              |
            4 | ratios = [1.0, 'x', 'y']
              |                ^^^ expected a number

            error: wrong type of `limits.ratios`: string "y"
             --> m.toml:4:21
              |
            4 | ratios = [1.0, 'x', 'y']
              |                     ^^^ expected a number

            error: wrong value of `limits.max_size`: integer `-1`
             --> m.toml:5:12
              |
            5 | max_size = -1
              |            ^^ expected a whole number, not negative
        "#]],
    );
}

#[test]
fn all_syntax_errors_are_shown_and_nothing_else() {
    check(
        "naem = 'x\n[limits\nmax_size = = 5\nmax_size = 5\n",
        expect![[r#"
            error: not valid TOML: invalid literal string
             --> m.toml:1:10
              |
            1 | naem = 'x
              |          ^ expected `'`

            error: not valid TOML: unclosed table
             --> m.toml:2:8
              |
            2 | [limits
              |        ^ expected `]`

            error: not valid TOML: extra `=`
             --> m.toml:3:12
              |
            3 | max_size = = 5
              |            ^ expected nothing

            error: not valid TOML: unexpected key or value
             --> m.toml:3:14
              |
            3 | max_size = = 5
              |              ^ expected newline, `#`
        "#]],
    );
}

#[test]
fn the_number_of_problems_is_bounded() {
    let text: String = (0..100).map(|n| format!("zzz{n} = 1\n")).collect();
    let (_, problems) = Document::new("m.toml", text).deserialize::<Sample>();
    assert_eq!(problems.len(), PROBLEMS_MAX);
}

#[test]
fn the_place_of_a_key_is_found_however_it_is_written() {
    for text in [
        "[a]\nb.c = 'here'",
        "a.b.c = 'here'",
        "[a.b]\nc = 'here'",
        "a = { b = { c = 'here' } }",
    ] {
        let document = Document::new("m.toml", text);
        let place = document.place_of("a.b.c").expect(text);
        assert_eq!(&text[place.span], "'here'", "{text}");
        assert!(document.place_of("a.b.d").is_none() && document.place_of("a.b.c.d").is_none());
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Document::read(Path::new("/nowhere/m.toml"), "rules", 100).expect_err("missing");
    assert_eq!(error.to_string(), "cannot read the rules `/nowhere/m.toml`");
    assert!(error.source().is_some() && error.is_missing());
}

#[test]
fn a_file_that_is_not_text_or_too_large_is_refused() {
    let folder = tempfile::tempdir().expect("temp folder");
    let file = folder.path().join("m.toml");
    for (bytes, cause) in [
        (&[0xff, 0xfe][..], "stream did not contain valid UTF-8"),
        (&[b' '; 101][..], "it is larger than 100 bytes"),
    ] {
        std::fs::write(&file, bytes).expect("written");
        let error = Document::read(&file, "rules", 100).expect_err("refused");
        assert_eq!(error.source().expect("a cause").to_string(), cause);
        assert!(!error.is_missing());
    }
}
