//! Every file that a document or a module's header names is there.
//!
//! A name in backticks counts as one when it begins with a folder of the repository, or ends as the
//! files of Rust do. It may be written from the root, from its crate, or from its own folder.

use std::collections::BTreeSet;

use crate::files::{self, File};

/// Folders of the repository. `$SYS` topics begin like some of its parts, so those need one more.
const FOLDERS: [&str; 7] = [
    "benches/", "config/", "crates/", "docs/", "scripts/", "src/", "tests/",
];
const PARTS: [&str; 3] = ["broker/", "ingest/", "simulator/"];

#[test]
fn files_that_are_named_exist() {
    let texts = files::texts();
    let names: BTreeSet<&str> = texts.iter().map(|file| file.name.as_str()).collect();
    let mut found = Vec::new();
    for file in &texts {
        for (number, place) in stale(file, &names) {
            found.push(format!("{}:{number}: `{place}`", file.name));
        }
    }
    files::assert_none(
        &found,
        "these files are gone: name the places where things are now",
    );
}

/// The places in a file that do not exist, with their lines.
fn stale<'f>(file: &'f File, names: &BTreeSet<&str>) -> Vec<(usize, &'f str)> {
    let is_document = file.name.ends_with(".md");
    if !is_document && !file.name.ends_with(".rs") {
        return Vec::new();
    }
    let mut stale = Vec::new();
    for (number, line) in file.lines() {
        if !is_document && !line.starts_with("//!") {
            continue;
        }
        // Between the first and the second backtick, the third and the fourth, …
        for place in line.split('`').skip(1).step_by(2) {
            let is_path = place
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/_-.*".contains(c));
            let below = PARTS.iter().find_map(|part| place.strip_prefix(part));
            let below = below.unwrap_or(place);
            let is_below = FOLDERS.iter().any(|folder| below.starts_with(folder));
            if is_path && (is_below || place.ends_with(".rs")) && !exists(place, names) {
                stale.push((number, place));
            }
        }
    }
    stale
}

/// Whether a file or folder has this name, or one that ends like it. `*` stands for one folder.
fn exists(place: &str, names: &BTreeSet<&str>) -> bool {
    let wanted: Vec<&str> = place.trim_end_matches('/').split('/').collect();
    let is_like = |(name, wanted): (&str, &&str)| *wanted == "*" || *wanted == name;
    names.iter().any(|name| {
        let parts: Vec<&str> = name.split('/').collect();
        parts.windows(wanted.len()).any(|window| {
            let mut pairs = window.iter().copied().zip(&wanted);
            pairs.all(is_like)
        })
    })
}

#[test]
fn a_place_that_is_gone_is_found() {
    let names = BTreeSet::from(["broker/src/gate.rs", "broker/src/session/mod.rs"]);
    let text = "`broker/src/gate.rs`, `broker/src/session`, `broker/src/*/mod.rs`, `gate.rs`,\n\
                `session/mod.rs`, `a/b`, `broker/src/hall.rs`, `ingest/lag/records`, `x.rs`,\n\
                `src/gate.rs`, `broker/tests/`, `topic/{name}.rs`\n";
    let document = File {
        name: "docs/a.md".to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        stale(&document, &names),
        [(2, "broker/src/hall.rs"), (2, "x.rs"), (3, "broker/tests/")]
    );
    let header = File {
        name: "src/a.rs".to_owned(),
        text: "//! See `x.rs`.\n\n// And `y.rs`.\nfn f() {}\n".to_owned(),
    };
    assert_eq!(stale(&header, &names), [(1, "x.rs")]);
}
