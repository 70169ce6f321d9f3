//! The same clients over TLS and secure WebSockets, with an authority of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::{Authority, ChildGuard, Issued, free_port};

use super::{VERSIONS, mqtt_js, paho, speaks_both_versions, wait_for_rows, with_rules};
use crate::server::{PATIENCE, Setup};

/// A server with an encrypted listener of each kind; none of them asks for a certificate, unless
/// `mutual`.
pub(super) struct Encrypted {
    pub(super) setup: Setup,
    pub(super) authority: Authority,
    /// The authority's certificate.
    file: PathBuf,
    pub(super) mqtts: u16,
    wss: u16,
    _server: ChildGuard,
}

impl Encrypted {
    pub(super) fn start(folder: &Path, mutual: bool) -> Encrypted {
        let authority = Authority::new("Test Authority");
        let (certificate, key) = authority.server("millrace").write(folder);
        let file = folder.join("authority.pem");
        std::fs::write(&file, authority.pem()).expect("written");
        let (mqtts, wss) = (free_port(), free_port());
        let clients = if mutual {
            format!("client_ca = {file:?}, require_client_certificate = true")
        } else {
            String::new()
        };
        let listener = |kind, port| {
            let files = format!("certificate = {certificate:?}, key = {key:?}");
            format!("{{ kind = \"{kind}\", address = \"127.0.0.1:{port}\", {files}, {clients} }}")
        };
        let listeners = format!("[{}, {}]", listener("tls", mqtts), listener("wss", wss));
        let setup = with_rules(folder).with("MILLRACE_BROKER__LISTENER", listeners);
        Encrypted {
            _server: setup.start(),
            setup,
            authority,
            file,
            mqtts,
            wss,
        }
    }

    pub(super) fn file(&self) -> &str {
        self.file.to_str().expect("a path of ours")
    }

    fn speaks(&self, name: &str, client: impl Fn() -> Command) {
        for (scheme, port) in [("mqtts", self.mqtts), ("wss", self.wss)] {
            let name = format!("{name}-{scheme}");
            let transport = [scheme, self.file()];
            speaks_both_versions(&self.setup, &name, port, &transport, &client);
        }
    }

    /// mosquitto's tools, told whom to trust.
    fn mosquitto(&self, tool: &str) -> Command {
        // Into a pipe mosquitto_sub would write by the block, long after it has seen something.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", tool, "-h", "localhost"]);
        command.args(["-p", &self.mqtts.to_string(), "--cafile", self.file()]);
        command
    }
}

#[test]
fn paho_speaks_over_tls_and_secure_websockets() {
    let folder = tempfile::tempdir().expect("a folder");
    Encrypted::start(folder.path(), false).speaks("paho", paho);
}

#[test]
fn mqtt_js_speaks_over_tls_and_secure_websockets() {
    let folder = tempfile::tempdir().expect("a folder");
    Encrypted::start(folder.path(), false).speaks("mqttjs", mqtt_js);
}

#[test]
fn mosquitto_clients_meet_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), false);
    for version in VERSIONS {
        let mut command = server.mosquitto("mosquitto_sub");
        command.args(["-V", version, "-q", "1", "-t", "devices/+/telemetry"]);
        command.args(["-t", "ready", "-F", "%t"]);
        let mut subscriber = ChildGuard::spawn(&mut command);
        // A retained message proves that its subscription stands.
        publish(&server, &["-r", "-t", "ready", "-m", "yes"]);
        subscriber.wait_for_line("ready", PATIENCE);
        let topic = format!("devices/{version}/telemetry");
        let reading = r#"{"temperature": 20.5}"#;
        publish(
            &server,
            &["-V", version, "-q", "1", "-t", &topic, "-m", reading],
        );
        subscriber.wait_for_line(&topic, PATIENCE);
        wait_for_rows(&server.setup, version, 1);
    }
    // Somebody else's authority: the client is right to leave.
    let other = folder.path().join("other.pem");
    std::fs::write(&other, Authority::new("Somebody Else").pem()).expect("written");
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &server.mqtts.to_string()]);
    command.arg("--cafile").arg(&other);
    command.args(["-t", "room/a", "-m", "on"]);
    assert!(!command.output().expect("mosquitto_pub").status.success());
}

#[test]
fn mosquitto_shows_a_certificate_where_one_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Encrypted::start(folder.path(), true);
    let attempt = |shown: &Issued| -> Output {
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let mut command = server.mosquitto("mosquitto_pub");
        command
            .arg("--cert")
            .arg(write("client.pem", &shown.certificate));
        command.arg("--key").arg(write("client.key", &shown.key));
        command.args([
            "-q",
            "1",
            "-t",
            "devices/boiler-1/telemetry",
            "-m",
            "{\"t\": 1}",
        ]);
        command.output().expect("mosquitto_pub")
    };
    let known = attempt(&server.authority.client("boiler-1"));
    assert!(known.status.success(), "{known:?}");
    wait_for_rows(&server.setup, "boiler-1", 1);
    let foreign = attempt(&Authority::new("Somebody Else").client("boiler-1"));
    assert!(!foreign.status.success(), "{foreign:?}");
}

fn publish(server: &Encrypted, flags: &[&str]) {
    let output = server.mosquitto("mosquitto_pub").args(flags).output();
    let output = output.expect("mosquitto_pub: `make test` installs it");
    assert!(output.status.success(), "{flags:?}: {output:?}");
}
