//! Millrace's own clients, `simulate` and `watch`, over TLS.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::{Authority, ChildGuard, Issued};

use super::encrypted::Encrypted;
use crate::server::{PATIENCE, millrace};

/// Ten readings of one device, to a name that the server's certificate is for.
fn simulate(port: u16, flags: &[&str]) -> Command {
    let mut command = millrace();
    command.args(["simulate", "-h", "localhost", "-p", &port.to_string()]);
    command.args(["-c", "1", "-R", "max", "-n", "10", "--quiet"]);
    command.args(flags);
    command
}

fn watch(port: u16, flags: &[&str]) -> Command {
    let mut command = millrace();
    command.args(["watch", "-h", "localhost", "-p", &port.to_string()]);
    command.args(flags);
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("millrace runs")
}

/// It must fail, and say all of this on stderr.
#[track_caller]
fn fails(mut command: Command, expected: &[&str]) {
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{command:?} lacks `{part}`: {said}");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

/// `--cert` and `--key` for this certificate.
fn shown(folder: &Path, name: &str, issued: &Issued) -> [String; 4] {
    let certificate = write(folder, &format!("{name}.pem"), &issued.certificate);
    let key = write(folder, &format!("{name}.key"), &issued.key);
    let text = |path: PathBuf| path.display().to_string();
    [
        "--cert".into(),
        text(certificate),
        "--key".into(),
        text(key),
    ]
}

#[test]
fn simulate_and_watch_speak_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), false);
    let cafile = ["--cafile", server.file()];
    let mut watcher = ChildGuard::spawn(&mut watch(server.mqtts, &cafile));
    watcher.wait_for_line("watching alerts of localhost", PATIENCE);
    for version in ["3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let device = format!("own-{version}-{qos}");
            let mut command = simulate(server.mqtts, &cafile);
            command.args(["-V", version, "-q", qos, "--device", &device, "--alerts"]);
            command.args(["--profile", "gps"]);
            let output = output(&mut command);
            assert!(output.status.success(), "{output:?}");
            let sql =
                format!("SELECT count(DISTINCT time) FROM telemetry WHERE device = '{device}'");
            testkit::wait_until(
                &format!("ten readings of {device}"),
                PATIENCE,
                || crate::sqlite::query(&server.setup.data, &sql),
                |rows| rows.first().is_some_and(|row| row[0] == "10"),
            );
        }
    }
    // An alert comes through, so its event was decrypted.
    let mut hot = Command::new("mosquitto_pub");
    hot.args(["-h", "localhost", "-p", &server.mqtts.to_string()]);
    hot.args(cafile)
        .args(["-q", "1", "-t", "devices/kettle/telemetry"]);
    hot.args(["-m", r#"{"temperature": 95}"#]);
    assert!(output(&mut hot).status.success());
    watcher.wait_for_line("kettle", PATIENCE);
}

#[test]
fn large_messages_and_many_in_flight_pass_through_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), false);
    let mut command = millrace();
    command.args(["simulate", "-h", "localhost", "--quiet", "--json"]);
    command.args(["-p", &server.mqtts.to_string(), "--cafile", server.file()]);
    // A write of 64 batches is far more than a record, and than what waits for the socket.
    command.args([
        "-c",
        "2",
        "-R",
        "max",
        "-n",
        "400",
        "--device",
        "batch-{index}",
    ]);
    command.args([
        "--payload",
        "batch",
        "--batch-size",
        "100",
        "--profile",
        "gps",
    ]);
    let output = output(&mut command);
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains(r#""acknowledged": 400"#), "{report}");
    assert!(report.contains(r#""reconnects": 0"#), "{report}");
}

#[test]
fn what_is_wrong_with_the_server_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), false);
    let plain = server.setup.address.port();
    let other = Authority::new("Somebody Else").pem();
    let other = write(folder.path(), "other.pem", &other);
    let foreign = ["--cafile", other.to_str().expect("a path of ours")];
    let unknown = [
        "UnknownIssuer",
        "hint",
        "an authority that is not in `--cafile`",
    ];
    fails(simulate(server.mqtts, &foreign), &unknown);
    fails(watch(server.mqtts, &foreign), &unknown);
    // Not even a name that does not matter makes an authority known.
    fails(
        simulate(server.mqtts, &[&foreign[..], &["--insecure"]].concat()),
        &unknown,
    );

    // The certificate is for `localhost`.
    let renamed = ["-h", "127.0.0.1", "--cafile", server.file()];
    let wrong_name = ["not valid for name", "hint", "`--insecure`"];
    let on = |command: &str, flags: &[&str]| {
        let mut started = millrace();
        started.args([command, "-p", &server.mqtts.to_string()]);
        started.args(flags);
        started
    };
    fails(on("simulate", &renamed), &wrong_name);
    fails(on("watch", &renamed), &wrong_name);
    let mut insecure = on("simulate", &renamed);
    insecure.args(["--insecure", "-c", "1", "-R", "max", "-n", "5", "--quiet"]);
    let taken = output(&mut insecure);
    assert!(taken.status.success(), "{taken:?}");
    let mut insecure = on("watch", &renamed);
    let mut watcher = ChildGuard::spawn(insecure.arg("--insecure"));
    watcher.wait_for_line("watching alerts of 127.0.0.1", PATIENCE);

    // Each kind of client at the other kind's port.
    let mut encrypted = simulate(plain, &["--cafile", server.file()]);
    encrypted.args(["--connect-timeout", "1s"]);
    fails(encrypted, &["hint", "no TLS is spoken there"]);
    let mut watcher = ChildGuard::spawn(&mut watch(plain, &["--cafile", server.file()]));
    watcher.wait_for_line("no TLS is spoken there", PATIENCE);
    fails(
        simulate(server.mqtts, &[]),
        &["the server speaks TLS", "hint", "`--cafile FILE`"],
    );
}

#[test]
fn simulate_and_watch_show_a_certificate_where_one_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), true);
    let cafile = ["--cafile", server.file()];
    let known = shown(folder.path(), "known", &server.authority.client("boiler-1"));
    let mut command = simulate(server.mqtts, &cafile);
    command
        .args(&known)
        .args(["--device", "boiler-1", "--profile", "thermostat"]);
    let taken = output(&mut command);
    assert!(taken.status.success(), "{taken:?}");
    let mut command = watch(server.mqtts, &cafile);
    let mut watcher = ChildGuard::spawn(command.args(&known));
    watcher.wait_for_line("watching alerts of localhost", PATIENCE);

    let none = ["hint", "`--cert` and `--key`"];
    fails(simulate(server.mqtts, &cafile), &none);
    fails(watch(server.mqtts, &cafile), &none);
    let foreign = Authority::new("Somebody Else").client("boiler-1");
    let foreign = shown(folder.path(), "foreign", &foreign);
    for mut command in [
        simulate(server.mqtts, &cafile),
        watch(server.mqtts, &cafile),
    ] {
        command.args(&foreign);
        fails(
            command,
            &["hint", "does not take the certificate of `--cert`"],
        );
    }
}

#[test]
fn flags_that_need_others_are_a_wrong_command_line() {
    for command in ["simulate", "watch"] {
        for (flags, expected) in [
            (&["--insecure"][..], "`insecure` needs `cafile`"),
            (
                &["--cafile", "a.pem", "--cert", "b.pem"],
                "`cert` needs `key`",
            ),
            (&["--password", "secret"], "`password` needs a `username`"),
        ] {
            let mut started = millrace();
            let said = output(started.arg(command).args(flags));
            assert_eq!(said.status.code(), Some(2), "{said:?}");
            assert!(
                String::from_utf8_lossy(&said.stderr).contains(expected),
                "{said:?}"
            );
        }
    }
}
