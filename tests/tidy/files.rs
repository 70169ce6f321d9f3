//! The files of the repository, and how a broken rule is told.
//!
//! Owns: the walk over the folders. Never: knows a rule.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not the repository's own.
const IGNORED: [&str; 4] = [".git", "target", "node_modules", "millrace-data"];

/// A file that holds text, with its path from the root of the repository.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl File {
    /// The lines with their numbers, from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of text, in the order of their names.
pub(crate) fn texts() -> Vec<File> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    let texts: Vec<File> = paths
        .into_iter()
        // What is not text has no lines to look at.
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let name = path.strip_prefix(root()).expect("below the root");
            let name = name.to_str().expect("a name in UTF-8").to_owned();
            Some(File { name, text })
        })
        .collect();
    assert!(texts.len() > 100, "only {} files were found", texts.len());
    texts
}

/// Every Rust file, in the order of their names.
pub(crate) fn sources() -> Vec<File> {
    let mut sources = texts();
    sources.retain(|file| file.name.ends_with(".rs"));
    sources
}

/// Fails with what was found and what to do about it.
#[track_caller]
pub(crate) fn assert_none(found: &[String], advice: &str) {
    assert!(found.is_empty(), "{advice}:\n{}", found.join("\n"));
}

/// Takes the findings that a table excuses, and fails for entries that excuse nothing any more.
///
/// A finding is a file and what is told about it. A line of `excused` is a file, a colon, and the
/// reason.
#[track_caller]
pub(crate) fn assert_only_excused(
    found: &[(String, String)],
    excused: &str,
    table: &str,
    advice: &str,
) {
    let lines = excused.lines().filter(|line| !line.is_empty());
    let excused: Vec<&str> = lines
        .map(|line| line.split_once(": ").expect("a file and a reason").0)
        .collect();
    let is_excused = |file: &str| excused.contains(&file);
    let broken: Vec<String> = found
        .iter()
        .filter(|(file, _)| !is_excused(file))
        .map(|(_, told)| told.clone())
        .collect();
    assert_none(&broken, advice);
    let unneeded: Vec<String> = excused
        .iter()
        .filter(|name| !found.iter().any(|(file, _)| file == *name))
        .map(|name| (*name).to_owned())
        .collect();
    assert_none(
        &unneeded,
        &format!("take these out of {table}: the rule holds there now, or the file is gone"),
    );
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder that can be read");
    for entry in entries {
        let entry = entry.expect("an entry");
        let is_ignored = IGNORED.iter().any(|name| entry.file_name() == *name);
        let kind = entry.file_type().expect("its type");
        if kind.is_dir() && !is_ignored {
            collect(&entry.path(), paths);
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
}
