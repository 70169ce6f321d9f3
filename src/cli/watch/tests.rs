use std::sync::{Arc, Mutex};

use expect_test::expect;
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use testkit::{ChildGuard, PATIENCE, free_port, wait_until};

use super::*;

fn event(id: &str, device: &str, severity: &str, state: &str, second: u32) -> String {
    format!(
        r#"{{"id":"{id}","rule":"hot","device":"{device}","metric":"temperature","severity":"{severity}",
        "state":"{state}","value":96.25,"threshold":90.0,"message":"{device} is hot","labels":{{}},
        "started_at":"2026-01-31T12:00:{second:02}.000000Z",
        "updated_at":"2026-01-31T12:01:{second:02}.000000Z","count":1}}"#
    )
}

fn board(severity: Option<Severity>, device: Option<&str>) -> Board {
    let device = device.map(|text| Glob::new(text).unwrap().compile_matcher());
    Board::new(Filter { severity, device })
}

/// Plain lines, times in UTC.
fn lines(shown: &[Shown]) -> String {
    let lines = shown.iter().map(|alert| {
        let line = line::format(alert, &TimeZone::UTC);
        anstream::adapter::strip_str(&line).to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn active_alerts_come_first_and_the_worst_on_top() {
    let mut board = board(None, None);
    for (device, severity, second) in [("a", "info", 1), ("b", "critical", 3), ("c", "critical", 2)]
    {
        let payload = event(device, device, severity, "firing", second);
        let topic = format!("alerts/active/{device}/hot");
        assert_eq!(board.take(&topic, payload.as_bytes(), true), []);
    }
    assert!(board.is_settling());
    let live = event("x", "d", "warning", "firing", 9);
    let shown = board.take("alerts/warning/d/hot", live.as_bytes(), false);
    expect![[r#"
        2026-01-31 12:00:02  critical  c  hot  active    temperature 96.25, limit 90  c is hot
        2026-01-31 12:00:03  critical  b  hot  active    temperature 96.25, limit 90  b is hot
        2026-01-31 12:00:01  info      a  hot  active    temperature 96.25, limit 90  a is hot
        2026-01-31 12:01:09  warning   d  hot  firing    temperature 96.25, limit 90  d is hot"#]]
    .assert_eq(&lines(&shown));
    assert!(!board.is_settling());
}

#[test]
fn a_change_is_shown_once() {
    let mut board = board(None, None);
    let payload = event("1", "a", "info", "firing", 0);
    assert_eq!(
        board
            .take("alerts/info/a/hot", payload.as_bytes(), false)
            .len(),
        1
    );
    // The same change: as a state that came live, as a retained one after a reconnect, and sent
    // again.
    assert_eq!(
        board.take("alerts/active/a/hot", payload.as_bytes(), false),
        []
    );
    assert_eq!(
        board.take("alerts/active/a/hot", payload.as_bytes(), true),
        []
    );
    assert_eq!(
        board.take("alerts/info/a/hot", payload.as_bytes(), false),
        []
    );
    assert!(!board.is_settling());
}

#[test]
fn what_is_no_alert_is_passed_over() {
    let mut board = board(None, None);
    let good = event("1", "a", "info", "firing", 0);
    for (topic, payload, retained) in [
        ("alerts/active/a/hot", "", true),
        ("alerts/command/a/hot", good.as_str(), false),
        ("alerts/info/a/hot", "not json", false),
        ("alerts/info/a/hot", "[1]", false),
        ("alerts", good.as_str(), false),
    ] {
        assert_eq!(
            board.take(topic, payload.as_bytes(), retained),
            [],
            "{topic} {payload}"
        );
    }
    assert_eq!(board.take("alerts/info/a/hot", &[0xff], false), []);
}

#[test]
fn the_filter_takes_severities_from_one_on_and_devices_by_pattern() {
    let mut board = board(Some(Severity::Warning), Some("boiler-*"));
    let mut seen = Vec::new();
    for (id, device, severity) in [
        ("1", "boiler-1", "info"),
        ("2", "boiler-1", "warning"),
        ("3", "boiler-1", "critical"),
        ("4", "meter-1", "critical"),
        ("5", "boiler-1", "unheard-of"),
    ] {
        let payload = event(id, device, severity, "firing", 0);
        let topic = format!("alerts/{severity}/{device}/hot");
        let shown = board.take(&topic, payload.as_bytes(), false);
        seen.extend(shown.into_iter().map(|alert| alert.event.id));
    }
    assert_eq!(seen, ["2", "3", "5"]);
}

#[test]
fn lines_are_coloured_by_severity_and_state() {
    let mut board = board(None, None);
    let mut list = Vec::new();
    for (id, severity, state) in [
        ("1", "info", "firing"),
        ("2", "warning", "firing"),
        ("3", "critical", "firing"),
        ("4", "critical", "resolved"),
    ] {
        list.extend(board.take(
            "alerts/x/a/hot",
            event(id, "a", severity, state, 0).as_bytes(),
            false,
        ));
    }
    let coloured: Vec<String> = list
        .iter()
        .map(|alert| line::format(alert, &TimeZone::UTC).replace('\x1b', "^"))
        .collect();
    expect![[r#"
        ^[2m2026-01-31 12:01:00^[0m  ^[36minfo    ^[0m  a  hot  ^[36mfiring  ^[0m  temperature 96.25, limit 90  a is hot
        ^[2m2026-01-31 12:01:00^[0m  ^[33mwarning ^[0m  a  hot  ^[33mfiring  ^[0m  temperature 96.25, limit 90  a is hot
        ^[2m2026-01-31 12:01:00^[0m  ^[1m^[91mcritical^[0m  a  hot  ^[1m^[91mfiring  ^[0m  temperature 96.25, limit 90  a is hot
        ^[2m2026-01-31 12:01:00^[0m  ^[1m^[91mcritical^[0m  a  hot  ^[32mresolved^[0m  temperature 96.25, limit 90  a is hot"#]]
    .assert_eq(&coloured.join("\n"));
}

#[test]
fn what_an_alert_leaves_out_is_left_out_and_escapes_do_not_reach_the_terminal() {
    let mut board = board(None, None);
    let payload = r#"{"device":"a\u001b[2J","rule":"silent","severity":"warning","state":"firing","metric":"",
        "value":null,"threshold":300,"updated_at":"some day"}"#;
    let shown = board.take("alerts/warning/a/silent", payload.as_bytes(), false);
    assert_eq!(
        lines(&shown),
        "some day  warning   a\u{fffd}[2J  silent  firing  "
    );
}

#[test]
fn json_is_one_line_as_it_was_published() {
    let mut board = board(None, None);
    let shown = board.take("alerts/info/a/r", br#"{"id":"1","later":{"a": 1}}"#, false);
    assert_eq!(shown[0].json(), r#"{"id":"1","later":{"a": 1}}"#);
    let shown = board.take("alerts/info/a/r", b"{\"id\":\"2\",\n\"b\":1}", false);
    assert_eq!(shown[0].json(), r#"{"b":1,"id":"2"}"#);
}

/// A reader of the output; it leaves after `leaves_after` lines.
#[derive(Clone, Default)]
struct Reader {
    text: Arc<Mutex<String>>,
    leaves_after: usize,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().unwrap();
        if text.lines().count() >= self.leaves_after && text.ends_with('\n') {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        text.push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn mosquitto(port: u16) -> ChildGuard {
    let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .unwrap_or("mosquitto");
    let child =
        ChildGuard::spawn(std::process::Command::new(program).args(["-p", &port.to_string()]));
    let connect = || std::net::TcpStream::connect(("127.0.0.1", port));
    drop(wait_until(
        "mosquitto to listen",
        PATIENCE,
        connect,
        Result::is_ok,
    ));
    child
}

/// Publishes and returns when the broker has acknowledged. The client that blocks brings a runtime
/// of its own.
fn publish(port: u16, topic: &str, payload: &str, retain: bool) {
    tokio::task::block_in_place(|| publish_now(port, topic, payload, retain));
}

fn publish_now(port: u16, topic: &str, payload: &str, retain: bool) {
    let (client, mut connection) = Client::new(MqttOptions::new("publisher", "127.0.0.1", port), 4);
    client
        .publish(topic, QoS::AtLeastOnce, retain, payload)
        .unwrap();
    for event in connection.iter() {
        if matches!(event.unwrap(), Event::Incoming(Packet::PubAck(_))) {
            break;
        }
    }
    client.disconnect().unwrap();
    while let Some(Ok(_)) = connection.iter().next() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_follows_a_server_through_a_restart_and_ends_when_its_reader_leaves() {
    let port = free_port();
    let mut broker = mosquitto(port);
    publish(
        port,
        "alerts/active/a/hot",
        &event("1", "a", "info", "firing", 1),
        true,
    );
    let reader = Reader {
        leaves_after: 3,
        ..Reader::default()
    };
    let text = Arc::clone(&reader.text);
    let watch = Watch {
        broker: Broker {
            host: "127.0.0.1".to_owned(),
            port,
            tls: None,
            username: None,
            password: None,
            version: MqttVersion::V3,
            keep_alive: Duration::ZERO,
            clean: true,
        },
        board: board(None, None),
        show: Show::Lines(TimeZone::UTC),
    };
    let watching = tokio::spawn(async move {
        let followed = watch.follow(reader).await;
        followed.map_err(|failure| failure.render())
    });

    let wait_for = |lines: usize| {
        let text = Arc::clone(&text);
        let seen = move || text.lock().unwrap().clone();
        tokio::task::block_in_place(|| {
            wait_until("lines", PATIENCE, seen, |text| {
                text.lines().count() >= lines
            })
        })
    };
    wait_for(1);
    publish(
        port,
        "alerts/warning/b/hot",
        &event("2", "b", "warning", "firing", 2),
        false,
    );
    wait_for(2);

    broker.kill();
    let _broker = mosquitto(port);
    // Whether the watch is back is only seen in what it shows: it is told again until it has shown
    // it.
    let mut again = 3;
    while text.lock().unwrap().lines().count() < 3 {
        let payload = event(&again.to_string(), "c", "critical", "firing", 3);
        publish(port, "alerts/critical/c/hot", &payload, false);
        again += 1;
    }
    let last = event("last", "d", "info", "resolved", 4);
    while !watching.is_finished() {
        publish(
            port,
            "alerts/info/d/hot",
            &last.replace("last", &again.to_string()),
            false,
        );
        again += 1;
    }
    watching.await.unwrap().unwrap();
    let text = anstream::adapter::strip_str(&text.lock().unwrap()).to_string();
    expect![[r#"
        2026-01-31 12:00:01  info      a  hot  active    temperature 96.25, limit 90  a is hot
        2026-01-31 12:01:02  warning   b  hot  firing    temperature 96.25, limit 90  b is hot
        2026-01-31 12:01:03  critical  c  hot  firing    temperature 96.25, limit 90  c is hot
    "#]]
    .assert_eq(&text);
}
