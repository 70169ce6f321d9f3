//! What must hold of the repository's files themselves, whatever the program does.
//!
//! The project builds and passes its tests in a clone with nothing beside it, so no file may name a
//! path that leaves the repository.

use std::path::{Component, Path, PathBuf};

/// Folders that are not the repository's own.
const IGNORED: [&str; 4] = [".git", "target", "node_modules", "millrace-data"];

/// Places that look like paths out of the repository and are none, each with its reason.
const EXCEPTIONS: [(&str, &str); 4] = [
    // The name of a key, made to look like a path: the test's input.
    ("broker/src/auth/tests/keys/mod.rs", "../../a"),
    // Input of the test below.
    ("tests/tidy.rs", "../elsewhere/data"),
    ("tests/tidy.rs", "../../Cargo.toml"),
    // The first line of this table.
    ("tests/tidy.rs", "../../a"),
];

#[test]
fn no_file_refers_to_a_path_outside_of_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut files = 0;
    each_file(root, &mut |file| {
        // Files that are not text hold no references.
        let Ok(text) = std::fs::read_to_string(file) else {
            return;
        };
        files += 1;
        let name = file.strip_prefix(root).expect("below the root");
        for (index, line) in text.lines().enumerate() {
            for path in upward_paths(line) {
                let is_exception = EXCEPTIONS
                    .iter()
                    .any(|(file, exception)| name == Path::new(file) && path == *exception);
                if !is_exception && leaves(root, file, path) {
                    found.push(format!("{}:{}: {path}", name.display(), index + 1));
                }
            }
        }
    });
    assert!(files > 100, "only {files} files were looked at");
    assert!(
        found.is_empty(),
        "these leave the repository; copy what they need into it:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_path_that_leaves_is_told_from_one_that_stays() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let line = r#"let folder = root.join("../elsewhere/data"); // and "../../Cargo.toml""#;
    let paths: Vec<&str> = upward_paths(line).collect();
    assert_eq!(paths, ["../elsewhere/data", "../../Cargo.toml"]);
    let file = root.join("tests/e2e/main.rs");
    assert!(leaves(root, &file, paths[0]));
    assert!(!leaves(root, &file, paths[1]), "relative to the file");
    let file = root.join("broker/src/lib.rs");
    assert!(!leaves(root, &file, "../config"), "relative to the crate");
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path)) {
    let entries = std::fs::read_dir(folder).expect("a folder that can be read");
    for entry in entries {
        let entry = entry.expect("an entry");
        let is_ignored = IGNORED.iter().any(|name| entry.file_name() == *name);
        let kind = entry.file_type().expect("its type");
        if kind.is_dir() && !is_ignored {
            each_file(&entry.path(), look);
        } else if kind.is_file() {
            look(&entry.path());
        }
    }
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
