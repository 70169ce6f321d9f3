use clap::CommandFactory as _;
use clap::error::ErrorKind;
use expect_test::{ExpectFile, expect_file};

use super::*;

/// Each command's long help as it is printed without a terminal. `UPDATE_EXPECT=1` writes the files
/// anew.
#[test]
fn help_is_as_it_was() {
    let mut cli = Cli::command();
    cli.build();
    check(&mut cli.clone(), expect_file!["snapshots/millrace.txt"]);
    let snapshots = [
        ("up", expect_file!["snapshots/up.txt"]),
        ("demo", expect_file!["snapshots/demo.txt"]),
        ("simulate", expect_file!["snapshots/simulate.txt"]),
        ("watch", expect_file!["snapshots/watch.txt"]),
        ("check", expect_file!["snapshots/check.txt"]),
        ("acl", expect_file!["snapshots/acl.txt"]),
        ("acl explain", expect_file!["snapshots/acl-explain.txt"]),
        ("device", expect_file!["snapshots/device.txt"]),
        ("device add", expect_file!["snapshots/device-add.txt"]),
        ("device rotate", expect_file!["snapshots/device-rotate.txt"]),
        ("device revoke", expect_file!["snapshots/device-revoke.txt"]),
        ("device list", expect_file!["snapshots/device-list.txt"]),
        ("user", expect_file!["snapshots/user.txt"]),
        ("user add", expect_file!["snapshots/user-add.txt"]),
        ("user remove", expect_file!["snapshots/user-remove.txt"]),
        ("user list", expect_file!["snapshots/user-list.txt"]),
        ("user verify", expect_file!["snapshots/user-verify.txt"]),
        ("journal", expect_file!["snapshots/journal.txt"]),
        (
            "journal inspect",
            expect_file!["snapshots/journal-inspect.txt"],
        ),
        (
            "journal verify",
            expect_file!["snapshots/journal-verify.txt"],
        ),
        ("version", expect_file!["snapshots/version.txt"]),
    ];
    for (name, expected) in snapshots {
        let command = name.split(' ').fold(&mut cli, |command, part| {
            command.find_subcommand_mut(part).expect(name)
        });
        check(command, expected);
    }
}

fn check(command: &mut clap::Command, expected: ExpectFile) {
    // The width does not follow the terminal that the tests run in.
    let help = command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string();
    let trimmed: Vec<_> = help.lines().map(str::trim_end).collect();
    expected.assert_eq(&(trimmed.join("\n") + "\n"));
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// Every command and every flag explains itself.
#[test]
fn nothing_is_without_help() {
    let mut cli = Cli::command();
    cli.build();
    let mut open = vec![cli];
    while let Some(command) = open.pop() {
        let name = command.get_name().to_owned();
        assert!(command.get_about().is_some(), "`{name}` says nothing");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "`{}` of `{name}`",
                argument.get_id()
            );
        }
        open.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for (line, kind) in [
        ("millrace upp", ErrorKind::InvalidSubcommand),
        ("millrace up --datta x", ErrorKind::UnknownArgument),
        ("millrace up --data", ErrorKind::InvalidValue),
        ("millrace up folder", ErrorKind::UnknownArgument),
    ] {
        let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
    }
}

#[test]
fn flags_become_overrides_of_keys() {
    let line = "millrace up --data d --listen 127.0.0.1:0 --store sqlite:x.db --log debug";
    let Command::Up(args) = Cli::try_parse_from(line.split(' ')).expect(line).command else {
        panic!("not `up`");
    };
    let found = args.overrides.list();
    let shown: Vec<_> = found
        .iter()
        .map(|found| {
            (
                found.origin.as_str(),
                found.key.as_str(),
                found.value.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("--data", "data", Some("d")),
            ("--listen", "broker.listen", Some("127.0.0.1:0")),
            ("--store", "store.url", Some("sqlite:x.db")),
            ("--log", "log", Some("debug")),
        ]
    );
}
