//! Clock, disk and chance come into the product through few doors, so that a test can stand there.
//!
//! A door is a file that may call what no other may, with its reason. Tests and benches are free.

use crate::files::{self, File};
use crate::product;

/// Calls that only some files may make.
struct Door {
    calls: &'static [&'static str],
    advice: &'static str,
    /// The name of the table, for who must change it.
    table: &'static str,
    files: &'static str,
}

const DOORS: [Door; 3] = [
    Door {
        calls: &["SystemTime::now", "Timestamp::now", "Zoned::now"],
        advice: "take the time of day from the crate's clock, which a test can set",
        table: "WALL_CLOCKS",
        files: WALL_CLOCKS,
    },
    Door {
        calls: &[
            "fs::write",
            "fs::rename",
            "fs::copy",
            "fs::hard_link",
            "fs::remove_file",
            "fs::remove_dir",
            "fs::create_dir",
            "File::create",
            "File::create_new",
            "File::options",
            "OpenOptions::new",
        ],
        advice: "write through `journal::disk` or the crate's own door to the disk, which a test can fail",
        table: "WRITERS",
        files: WRITERS,
    },
    Door {
        calls: &["rand::rng", "rand::random", "from_os_rng"],
        advice: "take chance from a generator with a seed that is handed in, so that a run can be repeated",
        table: "CHANCES",
        files: CHANCES,
    },
];

const WALL_CLOCKS: &str = "
broker/src/clock.rs: the clock of the broker
crates/telemetry/src/clock.rs: the clock of the stores, the devices and the commands
simulator/src/run/clock.rs: the clock of a run
src/cli/check/mod.rs: a command tells what has expired by now
";

const WRITERS: &str = "
broker/src/retained/home.rs: moves a damaged or an older log aside, once at a start
crates/access/src/login/past.rs: notes once that there was something to log in with
crates/access/src/users/edit.rs: replaces the users' file in its own way
crates/devices/src/cache.rs: replaces the devices' cache in its own way
crates/journal/src/disk.rs: the door
ingest/src/alert/published/mod.rs: replaces the published alerts' file in its own way
simulator/src/report/expect.rs: writes the expected samples where its user says
src/cli/demo/mod.rs: writes the demo's files for its user to read
src/cli/user/first.rs: keeps the first password until its user has read it
src/lock/mod.rs: locks the data folder
src/private/mod.rs: makes the data folder
";

const CHANCES: &str = "
simulator/src/run/connection/mod.rs: spreads reconnections, which no report repeats
simulator/src/scenario/mod.rs: the seed of a run that names none, which its report tells
";

#[test]
fn clock_disk_and_chance_come_in_through_their_doors() {
    let product = product::code(&files::sources());
    for door in DOORS {
        let found: Vec<(String, String)> = product
            .iter()
            .flat_map(|file| {
                let told = |line| (file.name.clone(), format!("{}:{line}", file.name));
                calls(file, door.calls).into_iter().map(told)
            })
            .collect();
        let table = format!("{} in tests/tidy/doors.rs", door.table);
        files::assert_only_excused(&found, door.files, &table, door.advice);
    }
}

#[test]
fn a_call_is_found_in_code_alone() {
    let name = "src/a.rs".to_owned();
    let text = "use std::time::SystemTime;\n// SystemTime::now()\nlet a = SystemTime::now();\n\
                let b = \"SystemTime::now\";\nlet c = std::time::SystemTime::now;\n\
                let d = MySystemTime::nowhere();\n#[cfg(test)]\nfn e() { SystemTime::now(); }\n"
        .to_owned();
    let product = product::code(&[File { name, text }]);
    assert_eq!(calls(&product[0], &["SystemTime::now"]), [3, 5]);
}

/// The lines of code with one of these calls.
fn calls(file: &File, calls: &[&str]) -> Vec<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let has = |line: &str, call: &str| {
        line.match_indices(call).any(|(at, _)| {
            let ends = !line[at + call.len()..].starts_with(is_name) || call.starts_with("fs::");
            ends && !line[..at].ends_with(is_name)
        })
    };
    let lines = file.lines();
    lines
        .filter(|(_, line)| calls.iter().any(|call| has(line, call)))
        .map(|(number, _)| number)
        .collect()
}
