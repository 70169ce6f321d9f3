//! `millrace check` on rules with a mistake.

use testkit::ChildGuard;

use crate::server::{PATIENCE, millrace};

#[test]
fn check_shows_a_mistake_in_the_rules_with_file_line_and_caret() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("millrace.toml");
    std::fs::write(&config, "[alerts]\nrules = \"alerts.toml\"\n").expect("a file");
    let rules = folder.path().join("alerts.toml");
    std::fs::write(
        &rules,
        "[[rule]]\nname = \"hot\"\nmetric = \"t\"\nabve = 90\n",
    )
    .expect("a file");
    let (code, output) = check(&config);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("alerts.toml:4:1"), "{output}");
    let mut lines = output
        .lines()
        .skip_while(|line| !line.contains("abve = 90"));
    assert!(lines.next().is_some(), "{output}");
    assert!(
        lines.next().is_some_and(|line| line.contains("^^^^")),
        "{output}"
    );
    assert!(output.contains("above"), "the nearest key: {output}");

    std::fs::write(
        &rules,
        "[[rule]]\nname = \"hot\"\nmetric = \"t\"\nabove = 90\n",
    )
    .expect("a file");
    let (code, output) = check(&config);
    assert_eq!(code, Some(0), "{output}");
}

fn check(config: &std::path::Path) -> (Option<i32>, String) {
    let mut child = ChildGuard::spawn(millrace().arg("check").arg("--config").arg(config));
    let status = child.wait(PATIENCE);
    (status.code(), child.lines().join("\n"))
}
