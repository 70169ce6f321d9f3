//! No file names a path that leaves the repository: it builds and passes its tests in a clone with
//! nothing beside it.

use std::path::{Component, Path, PathBuf};

use crate::files;

/// Places that look like paths out of the repository and are none, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "crates/access/src/token/tests/keys/mod.rs",
    "../../a",
    "the name of a key, made to look like a path",
)];

/// These tests name such paths as their input.
const OWN_FOLDER: &str = "tests/tidy/";

#[test]
fn no_file_refers_to_a_path_outside_of_the_repository() {
    let root = files::root();
    let mut found = Vec::new();
    let mut files = files::texts();
    files.retain(|file| !file.name.starts_with(OWN_FOLDER));
    for file in files {
        for (number, line) in file.lines() {
            for path in upward_paths(line) {
                let is_exception = EXCEPTIONS
                    .iter()
                    .any(|(name, exception, _)| file.name == *name && path == *exception);
                if !is_exception && leaves(root, &root.join(&file.name), path) {
                    found.push(format!("{}:{number}: {path}", file.name));
                }
            }
        }
    }
    files::assert_none(
        &found,
        "these leave the repository; copy what they need into it",
    );
}

#[test]
fn a_path_that_leaves_is_told_from_one_that_stays() {
    let root = files::root();
    let line = r#"let folder = root.join("../elsewhere/data"); // and "../../Cargo.toml""#;
    let paths: Vec<&str> = upward_paths(line).collect();
    assert_eq!(paths, ["../elsewhere/data", "../../Cargo.toml"]);
    let file = root.join("tests/e2e/main.rs");
    assert!(leaves(root, &file, paths[0]));
    assert!(!leaves(root, &file, paths[1]), "relative to the file");
    let file = root.join("broker/src/lib.rs");
    assert!(!leaves(root, &file, "../config"), "relative to the crate");
}

/// The relative paths in a line that begin with `../` and name something above.
fn upward_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "./-_".contains(c)))
        .filter(|word| word.starts_with("../") && word.contains(|c: char| c.is_alphanumeric()))
}

/// Whether a path leaves the repository from its crate's folder, and names nothing in the
/// repository from the folder of the file that it stands in. Source files use both.
fn leaves(root: &Path, file: &Path, path: &str) -> bool {
    let folder = file.parent().expect("a file has a folder");
    let from_file = resolve(folder, path);
    if from_file.starts_with(root) && from_file.exists() {
        return false;
    }
    let crate_folder = folder
        .ancestors()
        .find(|folder| folder.join("Cargo.toml").is_file())
        .unwrap_or(root);
    !resolve(crate_folder, path).starts_with(root)
}

/// The path with its `..` applied, without asking the disk: a link must not hide where it leads.
fn resolve(folder: &Path, path: &str) -> PathBuf {
    let mut resolved = folder.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    resolved
}
