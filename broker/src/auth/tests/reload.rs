use std::fs;

use super::hash;
use crate::auth::reload::Watched;

#[test]
fn a_good_file_is_taken_over_and_a_broken_or_missing_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users.toml");
    let watched = Watched::open(path.clone()).expect("no file, no users");
    assert!(watched.users().is_empty());
    assert!(watched.look().is_empty());

    // As `millrace user` does it: by another file of the same name.
    let replace = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, &path).expect("renamed");
    };
    let changed = || {
        let mut changed: Vec<String> = watched.look().into_iter().map(Into::into).collect();
        changed.sort();
        changed
    };
    let alice = format!("[user.alice]\npassword = \"{}\"\n", hash("secret"));
    replace(&alice);
    assert_eq!(changed(), ["alice"]);
    assert!(watched.users().get("alice").is_some());
    assert!(watched.look().is_empty(), "nothing more");

    replace(&format!("{alice}[user.bob]\npasword = \"x\"\n"));
    assert!(watched.look().is_empty());
    assert_eq!(watched.users().len(), 1, "the users before it stay");

    fs::remove_file(&path).expect("removed");
    assert!(watched.look().is_empty());
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
    let error = Watched::open(path).err().expect("broken").to_string();
    assert!(error.contains("line 1 of the users file"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
