//! Access rules as an operator meets them: asked on the command line, and changed while the broker
//! runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use testkit::{ChildGuard, free_port};

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

const DENYING: &str = r##"
[[rule]]
deny = "both"
topics = "secret/#"
[[rule]]
allow = "both"
topics = "#"
"##;

/// Sends bytes and waits for the end of the connection.
fn say(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    // Whether it ends or is reset does not matter here.
    let _ = stream.read_to_end(&mut answer);
}

#[test]
fn the_log_says_who_was_refused_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = testkit::Authority::new("test");
    let certificate = authority.server("localhost");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("acl.toml", DENYING);
    write("server.pem", &certificate.certificate);
    write("server.key", &certificate.key);
    let [port, tls, websocket] = [free_port(), free_port(), free_port()];
    write(
        "millrace.toml",
        &format!(
            "data = 'data'\n[broker]\nlisten = '127.0.0.1:{port}'\n[broker.acl]\nfile = 'acl.toml'\n\
             [[broker.listener]]\nkind = 'tls'\naddress = '127.0.0.1:{tls}'\n\
             certificate = 'server.pem'\nkey = 'server.key'\n\
             [[broker.listener]]\nkind = 'ws'\naddress = '127.0.0.1:{websocket}'\n"
        ),
    );
    let mut command = millrace();
    command.arg("up").arg("--config");
    let mut server = ChildGuard::spawn(command.arg(folder.path().join("millrace.toml")));
    server.wait_for_line("is up", PATIENCE);
    let mut told = |words: &str, expected: &[&str]| {
        let line = server.wait_for_line(words, PATIENCE);
        for expected in ["WARN", "127.0.0.1:"].iter().chain(expected) {
            assert!(line.contains(expected), "{expected}: {line}");
        }
    };
    let client = |tool: &str, words: &[&str]| {
        let mut command = Command::new(tool);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5"]);
        command.args(words).output().expect("mosquitto's clients")
    };
    client(
        "mosquitto_pub",
        &["-i", "leaker", "-q", "1", "-t", "secret/a", "-m", "hunter2"],
    );
    let expected = [
        "client=\"leaker\"",
        "topic `secret/a`: not authorized (0x87)",
        "times=1",
    ];
    told("publishes refused", &expected);
    client(
        "mosquitto_sub",
        &["-i", "spy", "-q", "1", "-t", "secret/#", "-E"],
    );
    told(
        "subscriptions refused",
        &["client=\"spy\"", "filter `secret/#`: not authorized (0x87)"],
    );
    // A GET at the port of MQTT; a good CONNECT, and a packet that none is; MQTT at that of TLS.
    say(port, b"GET / HTTP/1.1\r\n\r\n");
    told("connects refused", &["the first packet is not a connect"]);
    say(
        port,
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x\x00\x00",
    );
    told(
        "connections ended for what the client sent",
        &["client=\"x\"", "malformed"],
    );
    say(tls, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x");
    told("TLS handshakes failed", &[]);
    say(websocket, b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    told(
        "WebSocket requests refused",
        &["there is no WebSocket at this path"],
    );
}
