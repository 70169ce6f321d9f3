use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::diagnostics::tests::plain;

#[test]
fn a_second_holder_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().expect("temp folder");
    let data = folder.path().join("new/data");
    let first = DataLock::acquire(&data).expect("free");
    let text = fs::read_to_string(data.join(FILE_NAME)).expect("lock file");
    assert_eq!(text.trim(), std::process::id().to_string());

    let refused = DataLock::acquire(&data).expect_err("held");
    let shown = plain(&refused.into()).replace(&folder.path().display().to_string(), "TEMP");
    assert_eq!(
        shown,
        format!(
            "error: the data folder `TEMP/new/data` is in use by process {}\n  hint: stop that \
             process first, or choose another folder with `--data`\n",
            std::process::id()
        )
    );

    drop(first);
    DataLock::acquire(&data).expect("free again");
}

#[test]
fn the_id_of_a_dead_holder_is_replaced() {
    let folder = tempfile::tempdir().expect("temp folder");
    fs::write(folder.path().join(FILE_NAME), "4294967290 and more\n").expect("written");
    let _lock = DataLock::acquire(folder.path()).expect("nobody holds it");
    let text = fs::read_to_string(folder.path().join(FILE_NAME)).expect("lock file");
    assert_eq!(text, format!("{}\n", std::process::id()));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("temp folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let error = DataLock::acquire(&file.join("data")).expect_err("below a file");
    assert!(matches!(error, LockError::Create { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("file/data` cannot be created"),
        "{error}"
    );
}

#[test]
fn a_folder_that_is_not_writable_is_named() {
    let folder = tempfile::tempdir().expect("temp folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).expect("permissions");
    let outcome = DataLock::acquire(folder.path());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    // Root may write anywhere, whatever the permissions say.
    match outcome {
        Ok(_) => assert!(runs_as_root(), "only root may write here"),
        Err(error) => {
            assert!(matches!(error, LockError::NotWritable { .. }), "{error:?}");
            assert!(plain(&error.into()).contains("is not writable\n  caused by: "));
        }
    }
}

fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
