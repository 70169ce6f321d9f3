//! What README and documents tell people to type, and what `millrace up` tells them to try, works
//! as it stands.
//!
//! Every `sh` block is run, in order, each document in a folder of its own. Only addresses are
//! exchanged: ports that the system gives for 1883 and 8883, and the tests' own PostgreSQL. A block
//! with names that a reader must fill in is marked ` ```sh placeholders ` and is not run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::{ChildGuard, free_port, shared_postgres, wait_until};

use crate::server::{PATIENCE, Setup};
use crate::sqlite;

/// Typed where a command asks; two lines, since a password is asked for twice.
const TYPED: &str = "correct horse battery staple\ncorrect horse battery staple\n";
/// The database that the documents name.
const DOCUMENTED_STORE: &str = "postgres://millrace@localhost/telemetry";
const DOCUMENTED_PSQL: &str = "psql -h localhost -U millrace telemetry";

#[test]
fn the_commands_of_the_readme_work_as_printed() {
    assert_eq!(run_blocks("README.md"), 4);
}

#[test]
fn the_commands_of_the_documents_work_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = fs::read_dir(root.join("docs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| format!("docs/{}", name.to_string_lossy()))
        .collect();
    names.sort_unstable();
    let run: usize = names.iter().map(|name| run_blocks(name)).sum();
    assert!(run >= 5, "{run} blocks in {names:?}");
}

#[test]
fn what_a_public_listener_says_to_try_works_as_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut setup = Setup::new(&folder.path().join("it's here"));
    setup.address = ([0, 0, 0, 0], free_port()).into();
    let mut server = setup.start();
    let line = server.wait_for_line("  try  ", PATIENCE);
    let command = line.trim().strip_prefix("try").expect("a command").trim();
    let done = Stage::new(folder.path(), setup.address.port()).run(command);
    assert!(done.status.success(), "{command}: {done:?}");
    wait_until(
        "the row",
        PATIENCE,
        || sqlite::query(&setup.data, "SELECT value FROM telemetry"),
        |rows| *rows == [["71.5"]],
    );
    let watch = server.wait_for_line("millrace watch", PATIENCE);
    let mut watch = Stage::new(folder.path(), setup.address.port()).start(watch.trim());
    watch.wait_for_line("watching alerts of", PATIENCE);
}

/// Runs the blocks of a document; how many there are.
fn run_blocks(document: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(&path).expect("a document");
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::new(folder.path(), free_port());
    let tls_port = free_port().to_string();
    // The server that runs, and what watches it.
    let mut server: Option<ChildGuard> = None;
    let mut watching = Vec::new();
    let mut databases = Vec::new();
    let blocks = blocks(&text);
    for (line, block) in &blocks {
        // A fleet for half a minute is one for a moment here.
        let block = block.replace("--duration 30s", "--duration 1s");
        let mut block = block.replace("8883", &tls_port);
        if block.contains(DOCUMENTED_STORE) {
            let database = shared_postgres();
            let url = database.url();
            databases.push(database);
            block = block.replace(DOCUMENTED_STORE, &url);
            block = block.replace(DOCUMENTED_PSQL, &format!("psql '{url}'"));
        }
        for part in parts(&block) {
            let place = format!("{document}:{line}: {part}");
            if part.starts_with("millrace up") {
                // One at a time has the data folder.
                stop(server.take());
                let mut started = stage.start(part);
                started.wait_for_line("is up", PATIENCE);
                server = Some(started);
            } else if part.starts_with("millrace watch") {
                let mut started = stage.start(part);
                started.wait_for_line("watching alerts of", PATIENCE);
                watching.push(started);
            } else {
                let done = stage.run(part);
                let said = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{place}\n{said}");
            }
        }
    }
    drop(watching);
    stop(server);
    blocks.len()
}

fn stop(server: Option<ChildGuard>) {
    if let Some(mut server) = server {
        server.signal("TERM");
        assert!(server.wait(PATIENCE).success(), "{:#?}", server.lines());
    }
}

/// The `sh` blocks, each with the number of its first line.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line.trim_end() == "```sh" {
            let block = lines.by_ref().map(|(line, _)| line);
            let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
            blocks.push((number + 1, block.join("\n")));
        }
    }
    blocks
}

/// A block cut at the commands that run until they are stopped. What builds is left out: it was
/// built.
fn parts(block: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for line in block.split_inclusive('\n') {
        let begin = end;
        end += line.len();
        let runs_on = ["millrace up", "millrace watch"]
            .iter()
            .any(|command| line.starts_with(command));
        if runs_on || line.starts_with("cargo ") {
            parts.push(block[start..begin].trim());
            if runs_on {
                parts.push(line.trim());
            }
            start = end;
        }
    }
    parts.push(block[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// A folder, and the commands as its reader has them.
struct Stage {
    folder: PathBuf,
    commands: PathBuf,
    port: u16,
}

impl Stage {
    fn new(folder: &Path, port: u16) -> Stage {
        let commands = folder.join("commands");
        fs::create_dir_all(&commands).expect("a folder");
        let stage = Stage {
            folder: folder.to_owned(),
            commands,
            port,
        };
        let binary = env!("CARGO_BIN_EXE_millrace");
        // `acl explain` answers "denied" with 1.
        stage.wrap(
            "millrace",
            &format!(
                "case \"$1 $*\" in
                 acl*) '{binary}' \"$@\"; [ $? -le 1 ];;
                 *' -p '*|*--cafile*) exec '{binary}' \"$@\";;
                 simulate*) shift; exec '{binary}' simulate -p {port} \"$@\";;
                 watch*) exec '{binary}' \"$@\" -p {port};;
                 *) exec '{binary}' \"$@\";;
                 esac"
            ),
        );
        for client in ["mosquitto_pub", "mosquitto_sub"] {
            stage.wrap(
                client,
                &format!(
                    "case \"$*\" in
                     *'-p '*) exec /usr/bin/{client} \"$@\";;
                     *) exec /usr/bin/{client} -p {port} \"$@\";;
                     esac"
                ),
            );
        }
        stage
    }

    fn wrap(&self, name: &str, script: &str) {
        let file = self.commands.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permitted");
    }

    fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", script])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.commands.display()))
            .env(
                "MILLRACE_BROKER__LISTEN",
                format!("127.0.0.1:{}", self.port),
            );
        shell
    }

    fn run(&self, script: &str) -> Output {
        crate::auth::run(&mut self.shell(script), TYPED)
    }

    /// A command that runs until the guard goes.
    fn start(&self, command: &str) -> ChildGuard {
        ChildGuard::spawn(&mut self.shell(&format!("exec {command}")))
    }
}
