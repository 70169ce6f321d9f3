//! A real Mosquitto whose bridge connects to Millrace as its manual has it: `topic # both`, and
//! nothing else set.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use testkit::{ChildGuard, free_port, wait_until};

use crate::server::{PATIENCE, Setup, mosquitto_sub};

/// As Mosquitto names them.
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv50"];
const STATE: &str = "$SYS/broker/connection/plant/state";

/// A Mosquitto with a bridge to `millrace`.
struct Mosquitto {
    /// For clients, as if it were another Millrace.
    setup: Setup,
    process: ChildGuard,
}

impl Mosquitto {
    fn start(folder: &Path, millrace: &Setup, version: &str) -> Mosquitto {
        let setup = Setup {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            ..Setup::new(folder)
        };
        let mut config = String::new();
        let port = setup.address.port();
        let _ = writeln!(config, "listener {port} 127.0.0.1\nallow_anonymous true");
        let _ = writeln!(config, "connection bridge\naddress {}", millrace.address);
        let _ = writeln!(config, "bridge_protocol_version {version}\ntopic # both");
        // The name in its state's topic; and it waits up to half a minute otherwise.
        let _ = writeln!(config, "remote_clientid plant\nrestart_timeout 1");
        let file = folder.join(format!("mosquitto-{version}.conf"));
        std::fs::write(&file, config).expect("a configuration");
        let process = ChildGuard::spawn(Command::new("mosquitto").arg("-c").arg(&file));
        let mosquitto = Mosquitto { setup, process };
        wait_until(
            "mosquitto to listen",
            PATIENCE,
            || std::net::TcpStream::connect(mosquitto.setup.address).is_ok(),
            |listens| *listens,
        );
        mosquitto
    }
}

fn publish(setup: &Setup, flags: &[&str]) {
    let port = setup.address.port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-q", "1", "-p", &port]);
    let status = command.args(flags).status().expect("mosquitto_pub");
    assert!(status.success(), "{flags:?}");
}

fn hear(setup: &Setup, filter: &str) -> ChildGuard {
    ChildGuard::spawn(&mut mosquitto_sub(setup, "mqttv5", filter, "%r %t %p"))
}

/// Publishes on both sides; each side must hear each message once, and nothing more.
fn exchanges(round: &str, millrace: &Setup, mosquitto: &Setup) {
    let filter = format!("room/{round}/+");
    let mut sides = [hear(millrace, &filter), hear(mosquitto, &filter)];
    // Whoever hears it where it was not published has the bridge, and its own subscription.
    let ready = format!("room/{round}/ready");
    publish(millrace, &["-r", "-t", &ready, "-m", "yes"]);
    for side in &mut sides {
        side.wait_for_line(&format!("{ready} yes"), PATIENCE);
    }
    let topic = format!("room/{round}/a");
    let mut expected = Vec::new();
    for number in 0..20 {
        let text = number.to_string();
        let here = [mosquitto, millrace][number % 2];
        publish(here, &["-t", &topic, "-m", &text]);
        expected.push(format!("0 {topic} {text}"));
        // In order on both sides: one that went round in a circle would come before the next.
        for side in &mut sides {
            side.wait_for_line(&format!("{topic} {text}"), PATIENCE);
        }
    }
    for side in &sides {
        let lines = side.lines();
        let heard: Vec<_> = lines
            .iter()
            .filter(|line| !line.contains("ready"))
            .collect();
        assert_eq!(heard, expected.iter().collect::<Vec<_>>());
        assert_eq!(lines.len(), expected.len() + 1, "{lines:?}");
    }
}

#[test]
fn mosquittos_bridge_exchanges_everything_once_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let millrace = Setup::new(folder.path());
    for version in VERSIONS {
        let mut server = millrace.start();
        let mut console = hear(&millrace, STATE);
        let mut mosquitto = Mosquitto::start(folder.path(), &millrace, version);
        console.wait_for_line(&format!("{STATE} 1"), PATIENCE);
        exchanges(version, &millrace, &mosquitto.setup);

        // RETAIN goes across, in both directions.
        for (from, to) in [(&millrace, &mosquitto.setup), (&mosquitto.setup, &millrace)] {
            let topic = format!("kept/{version}/{}", from.address.port());
            publish(from, &["-r", "-t", &topic, "-m", "on"]);
            wait_until(
                "it to be retained on the other side",
                PATIENCE,
                || {
                    let mut command = mosquitto_sub(to, "mqttv5", "kept/#", "%r %t %p");
                    let output = command.args(["-W", "1"]).output().expect("an answer");
                    String::from_utf8_lossy(&output.stdout).into_owned()
                },
                |heard| heard.contains(&format!("1 {topic} on")),
            );
        }
        // Millrace alone publishes these. Mosquitto offers them each time, and the bridge must
        // survive it.
        let refused = ["-r", "-t", "alerts/critical/a/hot", "-m", "x"];
        publish(&mosquitto.setup, &refused);

        server.kill();
        let server = millrace.start();
        let mut console = hear(&millrace, STATE);
        exchanges(&format!("{version}-again"), &millrace, &mosquitto.setup);
        console.wait_for_line(&format!("{STATE} 1"), PATIENCE);
        mosquitto.process.kill();
        console.wait_for_line(&format!("{STATE} 0"), PATIENCE);
        drop(server);
    }
}
