use std::fs::Permissions;

use super::*;

/// Runs alone in its process: the mask belongs to the process.
fn created(before: Mode, folder_mode: Option<u32>) -> (u32, u32) {
    let temp = tempfile::tempdir().expect("temp folder");
    let folder = temp.path().join("data");
    umask(Mode::empty());
    if let Some(mode) = folder_mode {
        fs::create_dir(&folder).expect("created");
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("permissions");
    }
    umask(before);
    create_data_folder(&folder).expect("created");
    // The demo does it twice: for its files and for the lock.
    create_data_folder(&folder).expect("there");
    let file = folder.join("file");
    fs::write(&file, "").expect("written");
    let bits = |path: &Path| mode(path).expect("there") & 0o777;
    (bits(&folder), bits(&file))
}

#[test]
fn what_is_created_is_as_open_as_its_folder_and_never_to_others() {
    let usual = Mode::from_raw_mode(0o022);
    assert_eq!(created(usual, None), (0o700, 0o600), "a new folder");
    assert_eq!(created(usual, Some(0o700)), (0o700, 0o600));
    assert_eq!(created(usual, Some(0o750)), (0o750, 0o640), "for a backup");
    assert_eq!(created(usual, Some(0o755)), (0o755, 0o640), "an older one");
    let strict = Mode::from_raw_mode(0o077);
    assert_eq!(created(strict, Some(0o755)), (0o755, 0o600));
}
