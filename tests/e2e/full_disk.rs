//! A disk that is full when the server is stopped: what it kept in memory is saved with the space
//! that the stop itself gives back.
//!
//! The disk is a small tmpfs in a mount namespace of its own. A process holds it open, and both
//! servers enter it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::ChildGuard;

use crate::server::{PATIENCE, Setup, mosquitto_sub};

const RETAINED: usize = 20;
const QUEUED: usize = 20;
/// All together more than what is left in segments that the session log has begun.
const PAYLOAD_BYTES: usize = 100_000;

/// A small file system that lives as long as this does.
struct SmallDisk {
    holder: ChildGuard,
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: &Path, megabytes: u32) -> SmallDisk {
        let script = format!(
            "mount -t tmpfs -o size={megabytes}m tmpfs \"$0\" && echo mounted && exec sleep infinity"
        );
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(script)
            .arg(folder);
        let mut holder = ChildGuard::spawn(&mut command);
        holder.wait_for_line("mounted", PATIENCE);
        SmallDisk {
            holder,
            folder: folder.to_owned(),
        }
    }

    fn start(&self, setup: &Setup) -> ChildGuard {
        let command = setup.command();
        let mut inside = Command::new("nsenter");
        let target = self.holder.id().to_string();
        inside.args(["--target", &target, "--user", "--mount"]);
        inside.arg("--preserve-credentials");
        inside.arg(command.get_program()).args(command.get_args());
        let variables = command.get_envs();
        inside.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let mut server = ChildGuard::spawn(&mut inside);
        server.wait_for_line("is up", PATIENCE);
        server
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let inside = self.folder.strip_prefix("/").expect("an absolute path");
        let mut filler = File::create(root.join(inside).join("filler")).expect("a file");
        for piece in [1 << 20, 4096, 1] {
            let bytes = vec![0; piece];
            let end = loop {
                match filler.write(&bytes) {
                    Ok(written) if written > 0 => {}
                    Ok(_) => panic!("nothing written"),
                    Err(error) => break error,
                }
            };
            assert_eq!(end.kind(), ErrorKind::StorageFull);
        }
    }
}

fn publish(setup: &Setup, topic: &str, payload: &str, more: &[&str]) -> ChildGuard {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-q", "1", "-t", topic, "-m", payload]);
    command.args(["-p", &setup.address.port().to_string()]);
    command.args(more);
    ChildGuard::spawn(&mut command)
}

#[test]
fn what_a_full_disk_kept_in_memory_is_saved_by_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 32);
    let elsewhere = tempfile::tempdir().unwrap();
    let database = elsewhere.path().join("rows.db");
    let setup = Setup::new(&folder.path().join("data"))
        .store(&format!("sqlite:{}", database.display()))
        .with("MILLRACE_JOURNAL__SEGMENT_SIZE", "8MB")
        .with("MILLRACE_BROKER__MAX_SESSION_LOG_SIZE", "16MB");
    let mut server = disk.start(&setup);

    let mut kept = mosquitto_sub(&setup, "5", "queued", "%p");
    kept.args(["-c", "-i", "keeper", "-x", "3600", "-E"]);
    assert!(ChildGuard::spawn(&mut kept).wait(PATIENCE).success());
    // Its journal has space for more in advance from here on.
    let mut telemetry = publish(&setup, "devices/a/telemetry", r#"{"t":1}"#, &[]);
    assert!(telemetry.wait(PATIENCE).success());
    disk.fill();

    let all = (RETAINED + QUEUED).to_string();
    let mut watcher = mosquitto_sub(&setup, "5", "#", "%t");
    watcher.args(["-C", &all, "-d"]);
    let mut watcher = ChildGuard::spawn(&mut watcher);
    watcher.wait_for_line("received SUBACK", PATIENCE);
    let payload = "x".repeat(PAYLOAD_BYTES);
    let mut publishers = Vec::new();
    for _ in 0..QUEUED {
        publishers.push(publish(&setup, "queued", &payload, &[]));
    }
    for number in 0..RETAINED {
        let topic = format!("retained/{number}");
        publishers.push(publish(&setup, &topic, &payload, &["-r"]));
    }
    assert!(watcher.wait(PATIENCE).success());
    server.wait_for_line("cannot write retained messages", PATIENCE);
    server.wait_for_line("the session log takes no changes", PATIENCE);
    server.signal("TERM");
    let ended = server.wait(PATIENCE);
    let lines = server.lines();
    assert!(ended.success(), "{lines:#?}");
    let lost = lines.iter().find(|line| line.contains("are lost"));
    assert_eq!(lost, None, "{lines:#?}");
    drop(publishers);

    let server = disk.start(&setup);
    let mut retained = mosquitto_sub(&setup, "5", "retained/#", "%t");
    retained.args(["-C", &RETAINED.to_string()]);
    let mut retained = ChildGuard::spawn(&mut retained);
    let mut kept = mosquitto_sub(&setup, "5", "queued", "%l");
    kept.args(["-c", "-i", "keeper", "-x", "3600"]);
    kept.args(["-C", &QUEUED.to_string()]);
    let mut kept = ChildGuard::spawn(&mut kept);
    for client in [&mut retained, &mut kept] {
        let ended = client.wait(PATIENCE);
        assert!(ended.success(), "{:#?}", server.lines());
    }
}
