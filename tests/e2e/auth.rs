//! Who gets in, with the clients that people have: users, the first admin, and commands that log in
//! themselves.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use testkit::{ChildGuard, free_port};

use crate::server::{PATIENCE, Setup, millrace, mosquitto_sub};

/// Runs a command to its end, with a line on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that does not ask may have ended already.
    let _ = writeln!(stdin, "{input}");
    drop(stdin);
    child.wait_with_output().expect("ended")
}

pub(crate) fn user(data: &Path, words: &str, password: &str) -> Output {
    let mut command = millrace();
    command.arg("user").args(words.split(' '));
    command.arg("--data").arg(data);
    run(&mut command, password)
}

/// `mosquitto_pub` of one telemetry message; `who` are its flags for credentials.
fn publish(port: u16, version: &str, who: &[&str]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", version]);
    command.args(["-q", "1", "-t", "devices/a/telemetry", "-m", "{\"t\": 1}"]);
    run(command.args(who), "")
}

#[test]
fn users_log_in_with_mosquitto_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let added = user(folder.path(), "add alice --group admins", "secret");
    assert!(added.status.success(), "{added:?}");
    let setup = Setup::new(folder.path());
    let mut server = setup.start();
    let port = setup.address.port();
    for version in ["311", "5"] {
        let right = publish(port, version, &["-u", "alice", "-P", "secret"]);
        assert!(right.status.success(), "{right:?}");
        for who in [
            &["-u", "alice", "-P", "wrong"][..],
            &["-u", "bob", "-P", "secret"],
            &[],
        ] {
            let refused = publish(port, version, who);
            assert!(!refused.status.success(), "{who:?}");
            let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
            assert!(
                said.contains("not authori") || said.contains("bad user name"),
                "{said}"
            );
        }
    }

    let told = server.wait_for_line("with wrong credentials", PATIENCE);
    assert!(
        told.contains("WARN") && told.contains("user=\"alice\""),
        "{told}"
    );
    assert!(
        !server
            .lines()
            .iter()
            .any(|line| line.contains("user=\"bob\""))
    );

    // While it runs.
    assert!(
        user(folder.path(), "add bob --group admins", "hello")
            .status
            .success()
    );
    server.wait_for_line("users read", PATIENCE);
    let bob = publish(port, "311", &["-u", "bob", "-P", "hello"]);
    assert!(bob.status.success(), "{bob:?}");
    let mut listening = mosquitto_sub(&setup, "5", "devices/#", "%t");
    let mut listening = ChildGuard::spawn(listening.args(["-u", "alice", "-P", "secret", "-d"]));
    listening.wait_for_line("SUBACK", PATIENCE);
    assert!(user(folder.path(), "remove alice", "").status.success());
    // Administrative action.
    listening.wait_for_line("Received DISCONNECT (152)", PATIENCE);
    assert!(
        !publish(port, "5", &["-u", "alice", "-P", "secret"])
            .status
            .success()
    );
}

#[test]
fn users_that_are_lost_let_nobody_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    let users = folder.path().join("users.toml");
    let port = setup.address.port();
    let gets_in = || publish(port, "5", &[]).status.success();
    let mut server = setup.start();
    assert!(gets_in(), "nobody has to log in yet");
    let added = user(folder.path(), "add alice --group admins", "secret");
    let told = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(told.contains("`broker.allow_anonymous = true`"), "{told}");
    let line = server.wait_for_line(
        "clients without credentials are not let in any more",
        PATIENCE,
    );
    assert!(line.contains("WARN"), "{line}");
    assert!(!gets_in());
    let added = user(folder.path(), "add bob", "secret");
    let told = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(!told.contains("allow_anonymous"), "said once: {told}");

    let lost = "none is left: nobody can log in";
    fs::write(&users, "").expect("emptied");
    let line = server.wait_for_line(lost, PATIENCE);
    assert!(
        line.contains("ERROR") && line.contains("millrace user add"),
        "{line}"
    );
    assert!(!gets_in());
    drop(server);
    for state in ["empty", "missing"] {
        if state == "missing" {
            fs::remove_file(&users).expect("removed");
        }
        let mut server = setup.start();
        let line = server.wait_for_line(lost, PATIENCE);
        assert!(line.contains("ERROR"), "{line}");
        assert!(!gets_in(), "{state}");
    }

    // Removing the last user on purpose opens nothing either, and says what would.
    assert!(user(folder.path(), "add alice", "secret").status.success());
    let removed = user(folder.path(), "remove alice", "");
    let told = String::from_utf8_lossy(&removed.stderr).into_owned();
    assert!(
        told.contains("clients without credentials stay out"),
        "{told}"
    );
    let _server = setup.start();
    assert!(!gets_in());
}

#[test]
fn a_user_who_is_lost_before_the_first_start_keeps_the_broker_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(folder.path());
    assert!(user(folder.path(), "add alice", "secret").status.success());
    fs::remove_file(folder.path().join("users.toml")).expect("removed");
    let _server = setup.start();
    assert!(!publish(setup.address.port(), "5", &[]).status.success());
}

#[test]
fn beyond_loopback_the_first_start_makes_an_admin() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut setup = Setup::new(folder.path());
    setup.address = ([0, 0, 0, 0], port).into();
    let mut first = ChildGuard::spawn(&mut setup.command());
    // There is no terminal here.
    first.wait_for_line("made `admin` with the password in", PATIENCE);
    let password = fs::read_to_string(folder.path().join("admin-password")).expect("a password");
    let admin = ["-u", "admin", "-P", password.trim()];
    assert!(publish(port, "5", &admin).status.success());
    assert!(!publish(port, "5", &[]).status.success());
    assert!(
        !publish(port, "5", &["-u", "admin", "-P", "admin"])
            .status
            .success()
    );
    drop(first);
    let again = setup.start();
    assert!(publish(port, "311", &admin).status.success());
    let kept = fs::read_to_string(folder.path().join("admin-password")).expect("still there");
    assert_eq!(kept, password, "made once");
    drop(again);
}

#[test]
fn our_own_commands_log_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let generated = user(folder.path(), "add ops --group admins --generate", "");
    assert!(generated.status.success(), "{generated:?}");
    let password = String::from_utf8(generated.stdout).expect("text");
    let file = folder.path().join("password");
    fs::write(&file, &password).expect("written");
    let verified = user(folder.path(), "verify ops", password.trim());
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(
        user(folder.path(), "verify ops", "other").status.code(),
        Some(1)
    );

    let setup = Setup::new(folder.path());
    let _server = setup.start();
    let port = setup.address.port().to_string();
    let simulate = |environment: Option<&str>, words: &[&str]| {
        let mut command = millrace();
        command.args([
            "simulate", "-p", &port, "-c", "2", "-R", "max", "-n", "20", "--quiet",
        ]);
        command.args(words);
        if let Some(password) = environment {
            command.env("MILLRACE_PASSWORD", password);
        }
        run(&mut command, "")
    };
    let path = file.to_str().expect("text");
    for (environment, words) in [
        (None, &["-u", "ops", "-P", password.trim()][..]),
        (None, &["-u", "ops", "--password-file", path]),
        (Some(password.trim()), &["-u", "ops"]),
    ] {
        let done = simulate(environment, words);
        assert!(done.status.success(), "{words:?}: {done:?}");
    }
    let refused = simulate(None, &["-u", "ops", "-P", "wrong"]);
    assert!(!refused.status.success(), "{refused:?}");

    let watch = |words: &[&str]| {
        let mut command = millrace();
        command.args(["watch", "-p", &port]).args(words);
        command
    };
    let mut watching = ChildGuard::spawn(&mut watch(&["-u", "ops", "--password-file", path]));
    watching.wait_for_line("watching alerts of", PATIENCE);
    let refused = run(&mut watch(&["-u", "ops", "-P", "wrong"]), "");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("refuses the connection"), "{said}");
}

#[test]
fn a_users_file_that_is_made_is_named_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for (name, is_new) in [("ada", true), ("bob", false)] {
        let added = user(&data, &format!("add {name}"), "secret");
        assert!(added.status.success(), "{added:?}");
        let told = String::from_utf8_lossy(&added.stderr);
        let place = format!("`{}`", data.join("users.toml").display());
        assert!(told.contains(&place), "{told}");
        assert_eq!(
            told.contains("does Millrace run with it?"),
            is_new,
            "{told}"
        );
    }
}
