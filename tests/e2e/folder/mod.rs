//! Data folders of earlier versions: a start finds everything that was in them.
//!
//! Owns: the way to fill a folder with one of everything, and what must be there afterwards. Never:
//! knows the files' formats, but for the names of those that it damages. `tests/data/README.md`
//! says how the stored folders were made.

mod check;
mod fill;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;

use crate::server::Setup;
use check::{check, check_all_but_retained};

/// The user that all clients log in as, and its password.
const USER: &str = "alice";
const PASSWORD: &str = "secret";
/// The device that has a secret; the file beside the data folder that holds it.
const DEVICE: &str = "boiler-1";
const SECRET_FILE: &str = "boiler-1.secret";
const RULES_FILE: &str = "alerts.toml";

/// The archive to write, when the folder that this version writes is to be kept.
const PACK_VARIABLE: &str = "MILLRACE_TEST_PACK_FOLDER";

/// Readings that are in the journal and not in the database.
const PENDING: u16 = 5;

#[test]
fn a_folder_of_this_version_starts_with_everything_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(folder.path());
    fill::fill(folder.path(), &setup);
    if let Some(archive) = std::env::var_os(PACK_VARIABLE) {
        tar(&["-czSf"], Path::new(&archive), folder.path(), &["."]);
    }
    check(folder.path(), &setup);
}

#[test]
fn a_folder_of_version_0_1_0_starts_with_everything_in_it() {
    let folder = stored("folder-0.1.0.tar.gz");
    check(folder.path(), &setup(folder.path()));
}

#[test]
fn damage_to_the_retained_messages_of_version_0_1_0_is_set_aside() {
    let folder = stored("folder-0.1.0.tar.gz");
    let setup = setup(folder.path());
    let file = setup.data.join("retained.log");
    let mut bytes = fs::read(&file).expect("readable");
    let marked = b"plant/kept";
    let at = bytes.windows(marked.len()).position(|part| part == marked);
    bytes[at.expect("it is in the file")] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let said = check_all_but_retained(folder.path(), &setup);
    let told = said
        .iter()
        .find(|line| line.contains("retained messages are damaged"));
    let told = told.unwrap_or_else(|| panic!("nothing is said of it: {said:#?}"));
    assert!(told.contains("WARN"), "{told}");
    let aside = setup.data.join("retained.log.damaged");
    assert_eq!(fs::read(aside).expect("readable"), bytes);
}

/// A stored folder, unpacked.
fn stored(archive: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(archive);
    tar(&["-xzf"], &archive, folder.path(), &[]);
    folder
}

fn tar(flags: &[&str], archive: &Path, folder: &Path, names: &[&str]) {
    let mut command = Command::new("tar");
    command.args(flags).arg(archive).arg("-C").arg(folder);
    let output = command.args(names).output().expect("tar starts");
    assert!(output.status.success(), "{output:?}");
}

/// As for the process that wrote the folder: sessions that never expire, since the folder may be
/// years old, and small journals.
fn setup(folder: &Path) -> Setup {
    Setup::new(&folder.join("data"))
        .with("MILLRACE_BROKER__MAX_SESSION_EXPIRY", "36500days")
        .with("MILLRACE_JOURNAL__SEGMENT_SIZE", "1MB")
        .with("MILLRACE_ALERTS__RULES", rules_file(folder).display())
}

fn rules_file(folder: &Path) -> PathBuf {
    folder.join(RULES_FILE)
}

/// The CONNECT of a kept session.
fn kept(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        clean_start: false,
        session_expiry: Some(u32::MAX - 1),
        ..user(version, client_id)
    }
}

/// The CONNECT of a session that ends with its connection.
fn user(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        user: Some(USER),
        password: Some(PASSWORD.as_bytes()),
        ..Connect::new(version, client_id)
    }
}

/// Connects, and says how that was answered.
fn connect(setup: &Setup, connect: &Connect<'_>) -> (Client, String) {
    let mut line = Client::open(setup.address, connect.version);
    line.send_connect(connect);
    let answer = line.next();
    (line, answer)
}
