//! Which crate of the workspace is built on which other.
//!
//! The table is `tests/tidy/crates.txt`. Tests may use `testkit` beside what their crate is built
//! on.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::{self, File};

const TABLE: &str = include_str!("crates.txt");

/// What the tests of every crate may use.
const TESTKIT: &str = "testkit";

#[test]
fn crates_are_built_only_on_those_that_the_table_names() {
    let mut manifests = files::texts();
    manifests.retain(|file| file.name.ends_with("Cargo.toml") && !file.name.contains("fuzz/"));
    files::assert_none(
        &differences(&manifests, TABLE),
        "parts beside each other do not know each other: what two of them need lies in `crates/`, and \
         the root package joins them; if an edge is meant, it belongs into tests/tidy/crates.txt",
    );
}

/// What the manifests and the table say differently.
fn differences(manifests: &[File], table: &str) -> Vec<String> {
    let lines = table
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let allowed: BTreeMap<&str, BTreeSet<&str>> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, below)| (name.trim(), below.split_whitespace().collect()))
        .collect();
    let names: BTreeSet<String> = manifests.iter().map(package).collect();
    let mut told = Vec::new();
    for manifest in manifests {
        let name = package(manifest);
        let Some(allowed) = allowed.get(name.as_str()) else {
            told.push(format!("`{name}` is not in the table"));
            continue;
        };
        let edges: Vec<(String, bool)> = edges(&manifest.text)
            .into_iter()
            .filter(|(to, _)| names.contains(to))
            .collect();
        for (to, is_for_tests) in &edges {
            let is_testkit = *is_for_tests && to == TESTKIT;
            if !is_testkit && !allowed.contains(to.as_str()) {
                told.push(format!("`{name}` is built on `{to}`"));
            }
        }
        for to in allowed {
            if !edges.iter().any(|(edge, _)| edge == to) {
                told.push(format!(
                    "`{name}` is not built on `{to}` any more: take it out"
                ));
            }
        }
    }
    for name in allowed.keys().filter(|name| !names.contains(**name)) {
        told.push(format!("`{name}` is gone: take it out"));
    }
    told
}

fn package(manifest: &File) -> String {
    let name = manifest
        .text
        .lines()
        .find_map(|line| line.strip_prefix("name = \""));
    let name = name.expect("a package has a name");
    name.trim_end_matches('"').to_owned()
}

/// What a manifest depends on, and whether for its tests.
fn edges(manifest: &str) -> Vec<(String, bool)> {
    let (mut is_in, mut is_for_tests) = (false, false);
    let mut edges = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            is_in = section.ends_with("dependencies") && section != "workspace.dependencies";
            is_for_tests = section.ends_with("dev-dependencies");
        } else if is_in && !line.starts_with('#') {
            let name: &str = line.split(['.', ' ', '=']).next().unwrap_or("");
            edges.push((name.to_owned(), is_for_tests));
        }
    }
    edges
}

#[test]
fn an_edge_that_is_new_or_gone_is_found() {
    let manifest = |name: &str, dependencies: &str| File {
        name: format!("{name}/Cargo.toml"),
        text: format!(
            "[workspace.dependencies]\ngate = 1\n[package]\nname = \"{name}\"\n{dependencies}"
        ),
    };
    let manifests = [
        manifest(
            "gate",
            "[dependencies]\nlog.workspace = true\nlane = { path = \"lane\" }\n",
        ),
        manifest(
            "lane",
            "[dev-dependencies]\ntestkit.workspace = true\nlog.workspace = true\n",
        ),
        manifest("log", "[target.'cfg(unix)'.dependencies]\nserde = \"1\"\n"),
        manifest("testkit", ""),
    ];
    let table = "gate: log # its acknowledgements\nlane:\nlog: testkit\nold: log\n";
    assert_eq!(
        differences(&manifests, table),
        [
            "`gate` is built on `lane`",
            "`lane` is built on `log`",
            "`log` is not built on `testkit` any more: take it out",
            "`testkit` is not in the table",
            "`old` is gone: take it out",
        ]
    );
}
