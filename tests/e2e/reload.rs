//! SIGHUP to a running server: what changed is in force at once, and the server goes on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use testkit::ChildGuard;

use crate::server::{PATIENCE, Setup, millrace};

const CLOSED: &str = "[[rule]]\nallow = \"both\"\ntopics = \"open/#\"\n";
const OPEN: &str = "[[rule]]\nallow = \"both\"\ntopics = \"#\"\n";

/// A server that does not look at its files by itself while the test lasts.
fn start(folder: &Path) -> (Setup, ChildGuard) {
    fs::write(folder.join("acl.toml"), CLOSED).expect("written");
    let setup = Setup::new(&folder.join("data"))
        .with(
            "MILLRACE_BROKER__ACL__FILE",
            folder.join("acl.toml").display(),
        )
        .with("MILLRACE_BROKER__RELOAD_INTERVAL", "1h");
    let server = setup.start();
    (setup, server)
}

fn publish(setup: &Setup, who: &[&str]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &setup.address.port().to_string()]);
    command.args(["-V", "5", "-q", "1", "-t", "closed/a", "-m", "1"]);
    let output = command.args(who).output();
    output.expect("mosquitto_pub: `make test` installs it")
}

/// Whether the rules let a client publish; a QoS 1 publish is told.
fn is_allowed(setup: &Setup, who: &[&str]) -> bool {
    let output = publish(setup, who);
    output.status.success() && output.stderr.is_empty()
}

#[test]
fn what_changed_is_in_force_when_the_log_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (setup, mut server) = start(folder.path());
    assert!(!is_allowed(&setup, &[]));

    fs::write(folder.path().join("acl.toml"), OPEN).expect("written");
    server.signal("HUP");
    let line = server.wait_for_line("reload: ", PATIENCE);
    assert!(line.contains("INFO"), "{line}");
    let found = "changed: access rules; unchanged: users, device credentials. millrace.toml";
    assert!(line.contains(found), "{line}");
    assert!(is_allowed(&setup, &[]));

    // A wrong file beside a new user: the one stays, the other counts.
    fs::write(folder.path().join("acl.toml"), "[[rule]]\n").expect("written");
    let mut add = millrace();
    add.args(["user", "add", "alice", "--generate", "--data"]);
    let added = add.arg(&setup.data).output().expect("ended");
    let password = String::from_utf8(added.stdout).expect("text");
    server.signal("HUP");
    server.wait_for_line(
        "changed: users; unchanged: device credentials; failed (see the error): access rules",
        PATIENCE,
    );
    let told = server.wait_for_line("the access rules stay as they were", PATIENCE);
    assert!(told.contains("ERROR") && told.contains("line 1"), "{told}");
    assert!(!is_allowed(&setup, &[]), "there is a user to be");
    assert!(is_allowed(&setup, &["-u", "alice", "-P", password.trim()]));

    server.signal("TERM");
    assert!(server.wait(PATIENCE).success());
}

#[test]
fn a_closed_terminal_stops_the_server_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup::new(&folder.path().join("data"));
    let log = folder.path().join("log");
    let server = setup.command();
    let words: Vec<_> = [server.get_program()]
        .into_iter()
        .chain(server.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    // The log goes to a file, since the terminal will be gone; `exec`, so that the signal is the
    // server's.
    let pid = folder.path().join("pid");
    let command = format!(
        "echo $$ > '{}'; exec {} > '{}' 2>&1",
        pid.display(),
        words.join(" "),
        log.display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &command, "/dev/null"]);
    let mut terminal = ChildGuard::spawn(&mut terminal);
    let wait_for = |text: &str| {
        testkit::wait_until(
            text,
            PATIENCE,
            || fs::read_to_string(&log).unwrap_or_default(),
            |log| log.contains(text),
        )
    };
    wait_for("is up");
    let _orphan = Orphan(fs::read_to_string(&pid).expect("written before"));
    terminal.kill();
    wait_for("messages received");
}

/// Ends the server when it does not do so by itself: it is no child of the test.
struct Orphan(String);

impl Drop for Orphan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = Command::new("kill")
                .args(["-s", "KILL", self.0.trim()])
                .status();
        }
    }
}
