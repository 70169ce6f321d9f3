//! How a module is kept: its header, its file's name, its length, its own folder.

use std::collections::BTreeSet;

use crate::files::{self, File};
use crate::rust;

const LINES_MAX: usize = 500;

/// Files that are longer, each with its reason.
const LONGER: &str = "
broker/tests/gate/access.rs: each rule in each version over a socket
broker/tests/gate/shared.rs: one group of subscribers, all its cases
crates/access/src/login/tests.rs: one question, every kind of answer to it
crates/mqtt/tests/packets/oracle.rs: one pair of codecs, packet by packet
crates/mqtt/tests/packets/outgoing.rs: a table of packets and their bytes
crates/mqtt/tests/packets/well_formed.rs: a table of packets and their bytes
crates/testkit/src/disk.rs: one simulated disk, call by call
ingest/src/alert/lane/run/tests.rs: one world of fakes, and every crash in it
";

/// Modules that lie in the folder of another one, each with its reason.
const BORROWED: &str = "
crates/mqtt/fuzz/fuzz_targets/packets.rs: a fuzz target is a crate beside the workspace
";

#[test]
fn every_module_opens_with_what_it_owns() {
    let found: Vec<String> = files::sources()
        .into_iter()
        .filter(|file| !has_header(file))
        .map(|file| file.name)
        .collect();
    files::assert_none(
        &found,
        "open these with a `//!` paragraph: what the module owns, what it never does, its invariant",
    );
}

#[test]
fn a_module_with_files_below_it_is_mod_rs() {
    let names: BTreeSet<String> = files::sources().into_iter().map(|file| file.name).collect();
    let found: Vec<String> = beside_its_folder(&names);
    files::assert_none(
        &found,
        "move these into their folders as `mod.rs`, the one convention of the house",
    );
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut found = Vec::new();
    for file in files::sources() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let told = format!("{}: {lines} lines", file.name);
            found.push((file.name, told));
        }
    }
    files::assert_only_excused(
        &found,
        LONGER,
        "LONGER in tests/tidy/modules.rs",
        "split these by what they do (100 to 400 lines are the aim, 500 the end)",
    );
}

#[test]
fn no_module_borrows_a_file_of_another() {
    let mut found = Vec::new();
    for file in files::sources() {
        let told = borrowings(&file)
            .into_iter()
            .map(|line| (file.name.clone(), format!("{}:{line}", file.name)));
        found.extend(told);
    }
    files::assert_only_excused(
        &found,
        BORROWED,
        "BORROWED in tests/tidy/modules.rs",
        "take `#[path]` out: what several crates or tests share belongs to `testkit`",
    );
}

#[test]
fn each_rule_finds_what_it_forbids() {
    let file = |name: &str, text: &str| File {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    assert!(!has_header(&file("src/a.rs", "use std::fs;\n")));
    assert!(has_header(&file(
        "src/a.rs",
        "//! Owns: a.\n\nuse std::fs;\n"
    )));
    assert!(
        has_header(&file("src/a/tests.rs", "use super::*;\n")),
        "part of `a`"
    );
    assert!(
        has_header(&file("src/a/tests/mod.rs", "mod b;\n")),
        "part of `a`"
    );
    assert!(!has_header(&file("src/a/tests/b.rs", "use super::*;\n")));

    let names = [
        "src/a.rs",
        "src/a/b.rs",
        "src/b/mod.rs",
        "src/b/c.rs",
        "src/ab.rs",
    ];
    let names = names.into_iter().map(str::to_owned).collect();
    assert_eq!(beside_its_folder(&names), ["src/a.rs"]);

    let text = "// #[path = \"a\"]\n#[path = \"../b.rs\"]\nmod b;\n";
    assert_eq!(borrowings(&file("src/a.rs", text)), [2]);
}

/// The tests of a module in a file beside it are part of the module, which has a header.
fn has_header(file: &File) -> bool {
    let is_part = file.name.ends_with("/tests.rs") || file.name.ends_with("/tests/mod.rs");
    is_part || file.text.starts_with("//!")
}

fn beside_its_folder(names: &BTreeSet<String>) -> Vec<String> {
    let has_folder = |name: &&String| {
        let folder = format!("{}/", name.trim_end_matches(".rs"));
        names.iter().any(|other| other.starts_with(&folder))
    };
    names.iter().filter(has_folder).cloned().collect()
}

/// The numbers of the lines with `#[path]`.
fn borrowings(file: &File) -> Vec<usize> {
    let code = rust::code(&file.text);
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| line.contains("#[path"))
        .map(|(index, _)| index + 1)
        .collect()
}
