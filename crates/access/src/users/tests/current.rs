//! A user file that changes while the broker runs.

use std::fs;

use super::hash;
use crate::users::{CurrentUsers, LoadError};

#[test]
fn a_good_file_is_taken_over_and_a_broken_or_missing_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users.toml");
    let watched = CurrentUsers::open(path.clone()).expect("no file, no users");
    assert!(watched.users().is_empty());
    let changed = || {
        let taken = watched.take().expect("a good file");
        let mut changed: Vec<String> = taken.into_iter().map(Into::into).collect();
        changed.sort();
        changed
    };
    assert!(changed().is_empty(), "there never was a file");

    // As `millrace user` does it: by another file of the same name.
    let replace = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, &path).expect("renamed");
    };
    let alice = format!("[user.alice]\npassword = \"{}\"\n", hash("secret"));
    replace(&alice);
    assert_eq!(changed(), ["alice"]);
    assert!(watched.users().get("alice").is_some());
    assert!(changed().is_empty(), "nothing more");

    replace(&format!("{alice}[user.bob]\npasword = \"x\"\n"));
    let broken = watched.take();
    assert!(matches!(broken, Err(LoadError::Invalid { .. })));
    assert_eq!(watched.users().len(), 1, "the users before it stay");

    fs::remove_file(&path).expect("removed");
    let gone = watched.take();
    assert!(matches!(gone, Err(LoadError::Read { .. })));
    assert_eq!(watched.users().len(), 1, "the users before it stay");

    replace(&format!("{alice}[user.bob]\n"));
    assert_eq!(changed(), ["bob"]);
    replace("[user.bob]\n");
    assert_eq!(changed(), ["alice"]);
    assert!(watched.users().get("alice").is_none());
}

#[test]
fn a_broken_file_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users.toml");
    fs::write(&path, "[user.alice]\npassword = \"hunter2\"\n").expect("written");
    let error = CurrentUsers::open(path).err().expect("broken").to_string();
    assert!(error.contains("line 1 of the users file"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
