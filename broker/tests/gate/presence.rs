//! Who is connected, as a console sees it on `$clients/+/status`.

use broker::Config;
use mqtt::client::Connect;
use mqtt::{ReasonCode, Version};

use super::{BOTH, Running};

/// The topic, and of the JSON what does not change from run to run.
fn told(line: &mut testkit::mqtt::Client) -> String {
    let text = line.next();
    let (topic, json) = text.split_once(" = ").expect("a publish");
    let (json, retained) = match json.strip_suffix(" retained") {
        Some(json) => (json, " retained"),
        None => (json, ""),
    };
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert!(
        value["at"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{json}"
    );
    let field = |name: &str| match &value[name] {
        serde_json::Value::Null => String::new(),
        other => format!(" {other}"),
    };
    let said = ["status", "client_id", "protocol", "reason", "code"]
        .map(field)
        .concat();
    format!("{topic}:{said}{retained}")
}

#[test]
fn a_console_is_told_who_is_here_who_comes_and_who_leaves_and_why() {
    let server = Running::with(Config::default());
    let mut early = server.connect(Version::V311, "early/1");
    let mut console = server.connect(Version::V5, "console");
    console.subscribe("$clients/+/status");
    let mut here = [told(&mut console), told(&mut console)];
    here.sort();
    assert_eq!(
        here,
        [
            r#"$clients/console/status: "connected" "console" "5" retained"#,
            r#"$clients/early%2F1/status: "connected" "early/1" "3.1.1" retained"#,
        ]
    );

    early.disconnect();
    assert_eq!(
        told(&mut console),
        r#"$clients/early%2F1/status: "disconnected" "early/1" "disconnected by the client""#
    );
    for version in BOTH {
        let protocol = if version == Version::V5 { "5" } else { "3.1.1" };
        let arrival = format!(r#"$clients/late/status: "connected" "late" "{protocol}""#);
        let departure = |why: &str| format!(r#"$clients/late/status: "disconnected" "late" {why}"#);
        let late = server.connect(version, "late");
        assert_eq!(told(&mut console), arrival);
        drop(late);
        assert_eq!(told(&mut console), departure(r#""closed by the client""#));

        let mut broken = server.connect(version, "late");
        assert_eq!(told(&mut console), arrival);
        broken.send(&[0x36, 0x02, 0x00, 0x00]);
        let code = ReasonCode::MalformedPacket.code();
        let why = format!(r#""malformed packet" {code}"#);
        assert_eq!(told(&mut console), departure(&why));

        let _first = server.connect(version, "late");
        assert_eq!(told(&mut console), arrival);
        let _second = server.connect(version, "late");
        let code = ReasonCode::SessionTakenOver.code();
        let why = format!(r#""{}" {code}"#, ReasonCode::SessionTakenOver.name());
        assert_eq!(told(&mut console), departure(&why));
        assert_eq!(told(&mut console), arrival);
        drop(_second);
        assert_eq!(told(&mut console), departure(r#""closed by the client""#));
    }
    server.serves_a_fresh_client();
}

#[test]
fn neither_a_wildcard_nor_the_status_tree_sees_presence_and_nobody_publishes_it() {
    let server = Running::start();
    let mut console = server.connect(Version::V5, "console");
    console.subscribe("#");
    console.subscribe("+/+/status");
    let mut client = server.connect(Version::V5, "client");
    client.publish("$clients/client/status", b"forged", 1, false);
    assert_eq!(client.next(), "puback 1 reason 87");
    client.publish("marker", b"", 0, false);
    assert_eq!(console.next(), "marker = ");
    let mut old = server.open(Version::V311);
    old.send_connect(&Connect::new(Version::V311, "old"));
    assert_eq!(old.next(), "connack 0");
    old.publish("$clients/client/status", b"forged", 1, false);
    assert_eq!(old.next(), "closed");
}
