use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;

use super::first::first_admin_for;
use super::*;
use crate::cli::Cli;
use crate::config::{Override, Settings, Sources};
use crate::diagnostics::tests::plain;

/// A folder with a users file and a file with a password.
struct Case(tempfile::TempDir);

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret"), "secret\n").expect("written");
        fs::write(folder.path().join("other"), "other\n").expect("written");
        Case(folder)
    }

    fn users(&self) -> PathBuf {
        self.0.path().join("users.toml")
    }

    /// `millrace user …` on this folder's file; `@` stands for the folder. What it failed with, if
    /// it did.
    fn run(&self, line: &str) -> Result<(), String> {
        let folder = self.0.path().display().to_string();
        let line =
            format!("millrace user {line} --file @users.toml").replace('@', &format!("{folder}/"));
        let cli =
            Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        let super::super::Command::User(args) = cli.command else {
            panic!("not `user`");
        };
        run(&args).map(|_| ()).map_err(|failure| plain(&failure))
    }

    fn fails(&self, line: &str, expected: &str) {
        let failed = self.run(line).expect_err(line);
        assert!(failed.contains(expected), "{line}: {failed}");
    }
}

#[test]
fn a_user_is_added_changed_verified_and_removed() {
    let case = Case::new();
    case.run("add alice --group ops --password-file @secret")
        .expect("added");
    case.run("verify alice --password-file @secret")
        .expect("right");
    case.fails(
        "verify alice --password-file @other",
        "the password of `alice` is another",
    );
    case.fails(
        "add alice --password-file @secret",
        "there is a user `alice` already",
    );
    case.run("add alice --update --password-file @other")
        .expect("changed");
    case.run("verify alice --password-file @other")
        .expect("right");
    let users = Users::load(&case.users()).expect("good");
    assert!(users.get("alice").expect("there").groups().eq(["ops"]));
    case.run("add alice --update --no-password --group x")
        .expect("changed");
    case.run("verify alice --password-file @other")
        .expect("still right");
    case.run("add bob --no-password").expect("added");
    case.fails(
        "verify bob --password-file @secret",
        "user `bob` has no password",
    );
    case.fails("remove bob carol", "there is no user `carol`");
    case.run("remove alice bob").expect("both");
    case.fails(
        "verify alice --password-file @other",
        "there is no user `alice`",
    );
    case.fails(
        "add alice --update --no-password",
        "there is no user `alice`",
    );
    assert!(Users::load(&case.users()).expect("good").is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let case = Case::new();
    case.fails("add a --generate --no-password", "cannot be used with");
    case.fails("add a --password secret", "unexpected argument");
    case.fails(
        "add a --password-file @none",
        "cannot read the password file",
    );
    fs::write(case.users(), "[user.a]\npassword = \"hunter2\"\n").expect("written");
    case.fails("list", "line 1 of the users file");
    let failed = case.run("add b --no-password").expect_err("broken");
    assert!(!failed.contains("hunter2"), "{failed}");
}

#[test]
fn the_list_is_one_line_a_user() {
    let users = Users::parse("[user.a]\ngroups = ['x', 'y']\n[user.longer]\ndisabled = true\n")
        .expect("good");
    assert_eq!(
        table(&users),
        "a       x,y  no password\nlonger  -  no password  disabled\n"
    );
}

fn settings(data: &Path, listen: &str) -> Settings {
    let sources = Sources {
        flags: vec![
            Override::flag("--data", "data", data.display().to_string()),
            Override::flag("--listen", "broker.listen", listen),
        ],
        ..Sources::alone()
    };
    config::load(&sources).unwrap_or_else(|failure| panic!("{}", plain(&failure)))
}

#[test]
fn beyond_loopback_an_admin_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |listen: &str, at_terminal: bool| {
        first_admin_for(&settings(folder.path(), listen), at_terminal)
            .unwrap_or_else(|failure| panic!("{}", plain(&failure)))
            .map(|admin| admin.told)
    };
    assert_eq!(made("127.0.0.1:0", true), None);
    let told = made("0.0.0.0:0", true).expect("made");
    let password = told
        .split_whitespace()
        .nth(5)
        .expect("a password")
        .to_owned();
    let file = folder.path().join("users.toml");
    assert_eq!(
        fs::metadata(&file).expect("there").permissions().mode() & 0o777,
        0o600
    );
    let users = Users::load(&file).expect("good");
    let admin = users.get("admin").expect("there");
    assert!(admin.verify(password.as_bytes()), "{told}");
    assert!(admin.groups().eq(["admins"]));
    assert_eq!(made("0.0.0.0:0", true), None, "only once");
}

#[test]
fn without_a_terminal_the_password_goes_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = first_admin_for(&settings(folder.path(), "0.0.0.0:0"), false)
        .unwrap_or_else(|failure| panic!("{}", plain(&failure)))
        .expect("made")
        .told;
    let kept = folder.path().join("admin-password");
    assert!(told.contains(&kept.display().to_string()), "{told}");
    assert_eq!(
        fs::metadata(&kept).expect("there").permissions().mode() & 0o777,
        0o600
    );
    let password = fs::read_to_string(&kept).expect("read");
    assert!(!told.contains(password.trim()));
    let users = Users::load(&folder.path().join("users.toml")).expect("good");
    assert!(
        users
            .get("admin")
            .expect("there")
            .verify(password.trim().as_bytes())
    );
}
