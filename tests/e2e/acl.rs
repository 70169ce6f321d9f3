//! Access rules as an operator meets them: asked on the command line, and changed while the broker runs.

use std::fs;
use std::path::Path;

use testkit::ChildGuard;

use crate::server::{PATIENCE, Setup, millrace};

const RULES: &str = "[[rule]]\nallow = \"both\"\ntopics = \"devices/%c/#\"\n";

#[test]
fn the_exit_code_of_explain_is_the_decision() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("millrace.toml");
    fs::write(&config, "[broker.acl]\nfile = \"acl.toml\"\n").expect("written");
    fs::write(folder.path().join("acl.toml"), RULES).expect("written");
    let may = "- press-1 publish devices/press-1/telemetry";
    let may_not = "- press-1 publish devices/press-2/telemetry";
    for (arguments, code, said) in [
        (may, 0, "acl.toml:1"),
        (may_not, 1, "because no rule allows it"),
        (
            "- press-1 publish devices/+",
            2,
            "has a wildcard in a topic name",
        ),
        ("- press-1 read devices/a", 2, "invalid value 'read'"),
    ] {
        let (status, output) = explain(&config, arguments);
        assert_eq!(status, Some(code), "{output}");
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn a_broken_file_is_logged_with_its_line_and_a_good_one_takes_effect() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("acl.toml");
    fs::write(&file, RULES).expect("written");
    let setup = Setup::new(&folder.path().join("data"))
        .with("MILLRACE_BROKER__ACL__FILE", file.display())
        .with("MILLRACE_BROKER__RELOAD_INTERVAL", "20ms");
    let mut server = setup.start();
    fs::write(
        &file,
        format!("{RULES}\n[[rule]]\nalow = \"both\"\ntopics = \"#\"\n"),
    )
    .expect("written");
    let line = server.wait_for_line("the access rules stay as they were", PATIENCE);
    assert!(line.contains("ERROR"), "{line}");
    assert!(
        line.contains("acl.toml` are wrong: line 6: unknown key `alow`"),
        "{line}"
    );
    fs::write(
        &file,
        format!("{RULES}\n[[rule]]\nallow = \"both\"\ntopics = \"#\"\n"),
    )
    .expect("written");
    let line = server.wait_for_line("the access rules have changed", PATIENCE);
    assert!(line.contains("rules=2"), "{line}");
}

#[test]
fn up_does_not_start_with_wrong_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("acl.toml");
    fs::write(&file, "[[rule]]\nallow = \"both\"\ntopics = \"a/#/b\"\n").expect("written");
    let setup =
        Setup::new(&folder.path().join("data")).with("MILLRACE_BROKER__ACL__FILE", file.display());
    let mut server = ChildGuard::spawn(&mut setup.command());
    assert_eq!(server.wait(PATIENCE).code(), Some(1));
    let output = server.lines().join("\n");
    assert!(output.contains("acl.toml:3:10"), "{output}");
}

fn explain(config: &Path, arguments: &str) -> (Option<i32>, String) {
    let mut command = millrace();
    command.args(["acl", "explain"]).args(arguments.split(' '));
    let mut child = ChildGuard::spawn(command.arg("--config").arg(config));
    let status = child.wait(PATIENCE);
    (status.code(), child.lines().join("\n"))
}
