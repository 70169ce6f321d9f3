//! Every kind of listener over real sockets: what clients reach through it, and what strangers
//! cannot do to it.

mod certificates;
mod doors;
mod proxy;
mod revocation;
mod strangers;
mod websocket;

use broker::ListenerKind;
use doors::{Doors, KINDS};

use crate::BOTH;

#[test]
fn both_versions_are_spoken_on_every_kind() {
    let doors = Doors::open();
    for kind in KINDS {
        for version in BOTH {
            let mut console = doors.connect(kind, version, "console");
            console.subscribe("room/#");
            // From another kind of listener, in the other version, and telemetry through the
            // journal.
            let mut device = doors.connect(ListenerKind::Wss, version, "device");
            device.publish("room/a", b"on", 1, false);
            assert_eq!(device.next(), "puback 1");
            assert_eq!(console.next(), "room/a = on", "{kind:?}");
            console.publish("devices/a/telemetry", b"{\"t\":1}", 2, false);
            assert_eq!(console.next(), "puback 2", "{kind:?}");
            console.disconnect();
            assert_eq!(console.next(), "closed", "{kind:?}");
        }
    }
}

#[test]
fn large_packets_and_long_bursts_pass_in_both_directions() {
    let doors = Doors::open();
    let large = vec![b'x'; 900_000];
    for kind in KINDS {
        for version in BOTH {
            let mut client = doors.connect(kind, version, "client");
            client.subscribe("echo");
            client.publish("echo", &large, 1, false);
            let mut answers = [client.next(), client.next()];
            answers.sort();
            assert_eq!(answers, ["echo = 900000 bytes", "puback 1"], "{kind:?}");
            // Nothing is read while they are sent: what comes back fills every buffer on the way.
            let sent = 2_000;
            for _ in 0..sent {
                client.publish("echo", &large[..1_000], 0, false);
            }
            for _ in 0..sent {
                assert_eq!(client.next(), "echo = 1000 bytes", "{kind:?}");
            }
            client.is_served();
        }
    }
}

#[test]
fn a_broker_that_stops_says_goodbye_on_every_kind() {
    let mut doors = Doors::open();
    let mut clients: Vec<_> = KINDS
        .iter()
        .flat_map(|&kind| BOTH.map(|version| (kind, version)))
        .map(|(kind, version)| {
            let name = format!("{kind:?}-{version:?}");
            (doors.connect(kind, version, &name), version)
        })
        .collect();
    doors.close();
    for (client, version) in &mut clients {
        if *version == mqtt::Version::V5 {
            assert_eq!(client.next(), "disconnect 8b");
        }
        assert_eq!(client.next(), "closed");
    }
}
