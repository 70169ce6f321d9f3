//! The installed PostgreSQL: finding it, making a data folder, the command that runs the server.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Postgres;

/// Where the programs are, and who runs them.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    bin: PathBuf,
    /// PostgreSQL refuses to run as root: then it runs as the system's user `postgres` (user id,
    /// group id).
    run_as: Option<(u32, u32)>,
}

impl Installation {
    #[track_caller]
    pub(super) fn find() -> Installation {
        let bin = newest_debian_folder()
            .or_else(folder_in_path)
            .unwrap_or_else(|| panic!("PostgreSQL is not installed: `make test` installs it"));
        let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let run_as = root.then(|| {
            user_named(Postgres::USER).unwrap_or_else(|| {
                panic!("PostgreSQL does not run as root and there is no user `postgres`: `make test` installs it")
            })
        });
        Installation { bin, run_as }
    }

    /// Makes the data folder `folder/data`.
    #[track_caller]
    pub(super) fn create_cluster(&self, folder: &Path, password: bool) {
        // The server's user must be able to pass through the folder that holds its own.
        self.give(folder);
        let data = folder.join("data");
        let template = self.template(folder);
        run(Command::new("cp").arg("-R").arg(&template).arg(&data));
        self.give_all(&data);
        if password {
            let access = "host all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(data.join("pg_hba.conf"), access).expect("the access file");
            self.give(&data.join("pg_hba.conf"));
        }
    }

    /// The command that runs the server on `folder/data`; it becomes the server, so its process id
    /// is the server's.
    pub(super) fn server(&self, folder: &Path) -> Command {
        let mut command = self.command("postgres", folder);
        command.arg("-D").arg(folder.join("data"));
        command
    }

    /// A data folder as `initdb` leaves it, made by whoever comes first and copied by all.
    fn template(&self, scratch: &Path) -> PathBuf {
        let cache = cache_folder();
        fs::create_dir_all(&cache).expect("a folder for the template under the target folder");
        let template = cache.join(self.version());
        let lock = File::create(cache.join("lock")).expect("a lock file");
        lock.lock().expect("the lock file locked");
        if !template.join("PG_VERSION").exists() {
            let made = scratch.join("template");
            self.initdb(scratch, &made);
            let _ = fs::remove_dir_all(&template);
            let half = cache.join("half");
            let _ = fs::remove_dir_all(&half);
            run(Command::new("cp").arg("-R").arg(&made).arg(&half));
            fs::rename(&half, &template).expect("the template in place");
            fs::remove_dir_all(&made).expect("the original removed");
        }
        template
    }

    fn initdb(&self, scratch: &Path, data: &Path) {
        let password_file = scratch.join("password");
        fs::write(&password_file, Postgres::PASSWORD).expect("the password file");
        self.give(&password_file);
        let mut command = self.command("initdb", scratch);
        command
            .args(["--no-sync", "--encoding=UTF8", "--locale=C"])
            .args(["--auth=trust", "--username", Postgres::USER])
            .arg("--pwfile")
            .arg(&password_file)
            .arg("-D")
            .arg(data);
        run(&mut command);
        fs::remove_file(&password_file).expect("the password file removed");
    }

    /// As `postgres --version` says it, made a file name.
    fn version(&self) -> String {
        let output = Command::new(self.bin.join("postgres"))
            .arg("--version")
            .output()
            .expect("`postgres --version`");
        String::from_utf8_lossy(&output.stdout)
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '_'
                }
            })
            .collect()
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(folder).env_clear().env("LC_ALL", "C");
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        command
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.run_as {
            chown(path, Some(user), Some(group)).expect("the folder given to `postgres`");
        }
    }

    fn give_all(&self, path: &Path) {
        if let Some((user, group)) = self.run_as {
            run(Command::new("chown")
                .arg("-R")
                .arg(format!("{user}:{group}"))
                .arg(path));
        }
    }
}

fn newest_debian_folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("postgres").exists().then_some((version, bin))
        })
        .max()
        .map(|(_, bin)| bin)
}

fn folder_in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
}

/// User id and group id from `/etc/passwd`.
fn user_named(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn cache_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit")
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
