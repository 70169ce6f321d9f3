//! Lines end at column 100, comments included.
//!
//! A string literal may be longer, since a message or an expected output reads best in one piece.
//! Markdown, data and lock files are not source and have no width.

use crate::files::{self, File};
use crate::rust::{self, Kind};

const COLUMNS_MAX: usize = 100;

/// What else is written by hand, beside Rust. Migrations are not: databases have applied them as
/// they stand.
const ENDINGS: [&str; 6] = [".toml", ".sh", ".py", ".mjs", "Makefile", ".ci/run"];

/// Files that may be wider, each with its reason.
const WIDER: &str = "
Cargo.toml: each dependency says on its own line why it is there
broker/src/session_log/event/mod.rs: a table of the format
broker/src/session_log/mod.rs: a table of what each acknowledgement stands for
";

#[test]
fn lines_end_at_column_100() {
    let mut found = Vec::new();
    for file in files::texts() {
        let told = wide_lines(&file)
            .into_iter()
            .map(|line| (file.name.clone(), format!("{}:{line}", file.name)));
        found.extend(told);
    }
    files::assert_only_excused(
        &found,
        WIDER,
        "WIDER in tests/tidy/width.rs",
        "these lines pass column 100: wrap them (only string literals may be longer)",
    );
}

#[test]
fn a_wide_comment_is_found_and_a_wide_literal_is_not() {
    let long = "x".repeat(100);
    let text = format!(
        "// {long}\nlet a = \"{long}\";\nlet b = r\"\n{long}\n\";\nlet {long} = 1;\nlet c = '\u{e9}';\n"
    );
    let name = "src/lib.rs".to_owned();
    assert_eq!(wide_lines(&File { name, text }), [1, 6]);
    let text = format!("a = 1\n# {long}\n");
    let name = "config/some.toml".to_owned();
    assert_eq!(wide_lines(&File { name, text }), [2]);
    let text = format!("{long}{long}\n");
    let name = "README.md".to_owned();
    assert_eq!(wide_lines(&File { name, text }), [0; 0]);
}

/// The numbers of the lines that are too wide.
fn wide_lines(file: &File) -> Vec<usize> {
    let is_rust = file.name.ends_with(".rs");
    if !is_rust && !ENDINGS.iter().any(|ending| file.name.ends_with(ending)) {
        return Vec::new();
    }
    let wide = |line: &str| line.chars().count() > COLUMNS_MAX;
    if !file.text.lines().any(wide) {
        return Vec::new();
    }
    if !is_rust {
        let lines = file.lines().filter(|(_, line)| wide(line));
        return lines.map(|(number, _)| number).collect();
    }
    let classified = rust::classify(&file.text);
    let lines = classified.split(|(c, _)| *c == '\n').enumerate();
    lines
        .filter(|(_, line)| line.len() > COLUMNS_MAX)
        .filter(|(_, line)| {
            let has_comment = line.iter().any(|(_, kind)| *kind == Kind::Comment);
            let literal = line.iter().filter(|(_, kind)| *kind == Kind::Literal);
            has_comment || line.len() - literal.count() > COLUMNS_MAX
        })
        .map(|(index, _)| index + 1)
        .collect()
}
