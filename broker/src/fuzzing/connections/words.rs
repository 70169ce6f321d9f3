//! The words of a script: few topics, filters, clients and packet ids, so that things collide.
//!
//! Owns: what the bits of a step choose, and the packets made of it. Never: looks at an answer.

use mqtt::client::{self, Connect, Will};
use mqtt::{Qos, ReasonCode, RetainHandling, Subscription, Version, encode};

pub(super) const USER: &str = "boiler";
pub(super) const SECRET: &[u8] = b"secret";
pub(super) const CLIENT_IDS: [&str; 4] = ["a", "b", "\u{e7}/+#", ""];

/// Some that clients may not publish to, some that nobody can.
const TOPICS: [&str; 16] = [
    "a",
    "a/b",
    "a/b",
    "a/c",
    "b",
    "devices/one/t",
    "devices/one/t",
    "devices/two/t",
    "\u{e9}/x",
    "secret/x",
    "staff/x",
    "alerts/x",
    "$SYS/x",
    "",
    "a/+",
    "1/2/3/4/5/6/7/8/9/10",
];

/// Some that clients may not subscribe to, some that are none.
const FILTERS: [&str; 16] = [
    "#",
    "a/+",
    "a/b",
    "+/b",
    "devices/+/t",
    "devices/one/t",
    "$share/g/a/+",
    "$share/g/a/b",
    "$share/h/#",
    "secret/#",
    "hidden/x",
    "$SYS/#",
    "$clients/+/status",
    "alerts/#",
    "a/#/b",
    "1/2/3/4/5/6/7/8/#",
];

/// Rules that take turns.
pub(super) const RULES: [&str; 2] = [
    r##"
    [[rule]]
    deny = "publish"
    topics = "secret/#"
    [[rule]]
    deny = "subscribe"
    topics = "hidden/x"
    [[rule]]
    user = "boiler"
    allow = "publish"
    topics = "staff/#"
    [[rule]]
    deny = "publish"
    topics = "staff/#"
    [[rule]]
    allow = "both"
    topics = ["#", "$SYS/#", "$clients/#"]
    "##,
    r##"
    [[rule]]
    deny = "both"
    topics = ["secret/#", "hidden/x", "staff/#", "a/c"]
    [[rule]]
    deny = "subscribe"
    topics = ["+/b", "$clients/#"]
    [[rule]]
    allow = "both"
    topics = ["#", "$SYS/#"]
    "##,
];

/// Whether no rules let a client of that user publish to the topic.
pub(super) fn is_forbidden(user: &str, topic: &str) -> bool {
    let (first, rest) = topic.split_once('/').unwrap_or((topic, ""));
    match first {
        "secret" => true,
        "staff" => user != USER,
        "alerts" => rest != "command" && !rest.starts_with("command/"),
        _ => topic.starts_with('$'),
    }
}

/// Whether no rules let a client subscribe to the filter.
pub(super) fn is_hidden(filter: &str) -> bool {
    filter == "hidden/x"
}

/// Whether some rules deny a subscriber the topic, while a wildcard that brings it stands.
pub(super) fn may_be_withheld(topic: &str) -> bool {
    let first = topic.split('/').next().unwrap_or_default();
    let is_two_levels = topic.split('/').count() == 2;
    is_hidden(topic)
        || matches!(first, "secret" | "staff" | "$clients")
        || topic == "a/c"
        || (is_two_levels && topic.ends_with("/b"))
}

pub(super) fn is_telemetry(topic: &str) -> bool {
    topic.starts_with("devices/")
}

/// CONNECT; `text` is the will's payload.
pub(super) fn connect(who: u8, limits: u8, will: u8, text: &[u8], out: &mut Vec<u8>) {
    let version = match who & 1 {
        0 => Version::V5,
        _ => Version::V311,
    };
    let (user, password) = match who >> 4 & 3 {
        1 => (Some(USER), Some(SECRET)),
        2 if limits & 0x40 != 0 => (Some(USER), Some(&b"guess"[..])),
        _ => (None, None),
    };
    let connect = Connect {
        clean_start: who & 2 != 0,
        keep_alive: [0, 4][usize::from(who >> 6 & 1)],
        will: (who & 0x80 != 0).then(|| Will {
            topic: TOPICS[usize::from(will & 15)],
            payload: text,
            qos: qos(will >> 4),
            retain: will & 0x40 != 0,
            delay: (will & 0x80 != 0).then_some(5),
            properties: &[],
        }),
        user,
        password,
        session_expiry: [None, Some(5), Some(60), Some(u32::MAX)][usize::from(limits & 3)],
        receive_maximum: [None, Some(1), Some(2), Some(10)][usize::from(limits >> 2 & 3)],
        maximum_packet_size: [None, Some(40), Some(16), Some(4)][usize::from(limits >> 4 & 3)],
        authentication_method: (limits >> 6 == 3).then_some("SCRAM"),
        ..Connect::new(version, CLIENT_IDS[usize::from(who >> 2 & 3)])
    };
    client::connect(out, &connect);
}

/// PUBLISH; `text` is the payload unless another one is asked for.
pub(super) fn publish(version: Version, what: u8, how: u8, text: &[u8], out: &mut Vec<u8>) {
    let long = |length: usize| [text, &vec![b'.'; length]].concat();
    let payload = match how >> 5 & 3 {
        0 => text.to_vec(),
        1 => Vec::new(),
        2 => long(500),
        // Sent from where it lies, not copied; with the topic beyond the limit of a payload in a
        // tight script.
        _ => long(20_000),
    };
    let alias = [None, Some(1), Some(2), Some(9)][usize::from(how >> 3 & 3)];
    let has_properties = how & 0x80 != 0;
    let publish = encode::Publish {
        dup: what & 0x80 != 0 && qos(what >> 4) != Qos::AtMostOnce,
        qos: qos(what >> 4),
        retain: what & 0x40 != 0,
        topic: TOPICS[usize::from(what & 15)],
        packet_id: u16::from(how & 7) + 1,
        message_expiry: has_properties.then_some(u32::from(how & 1) * 1_000),
        topic_alias: alias,
        // A user property.
        properties: if has_properties {
            b"\x26\x00\x01k\x00\x01v"
        } else {
            &[]
        },
        payload: &payload,
        ..Default::default()
    };
    encode::publish(out, version, &publish);
}

/// SUBSCRIBE to one filter, or to several that lie one behind the other.
pub(super) fn subscribe(version: Version, packet_id: u16, what: u8, how: u8, out: &mut Vec<u8>) {
    let subscriptions: Vec<_> = (0..=how >> 4)
        .map(|ahead| Subscription {
            filter: filter(what.wrapping_add(ahead)),
            qos: qos(what >> 4),
            // [MQTT-3.8.3-4] forbids it for a shared one.
            no_local: what & 0x40 != 0 && !filter(what.wrapping_add(ahead)).starts_with("$share"),
            retain_as_published: what & 0x80 != 0,
            retain_handling: match how & 3 {
                0 | 3 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::Never,
            },
        })
        .collect();
    let identifier = [None, Some(1), Some(2), Some(200)][usize::from(how >> 2 & 3)];
    client::subscribe(out, version, packet_id, identifier, &subscriptions);
}

pub(super) fn unsubscribe(version: Version, packet_id: u16, what: u8, out: &mut Vec<u8>) {
    let filters = [filter(what), filter(what.wrapping_add(what >> 4))];
    let count = 1 + usize::from(what >> 7);
    client::unsubscribe(out, version, packet_id, &filters[..count]);
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, well or not, of a small packet id.
pub(super) fn acknowledge(version: Version, what: u8, out: &mut Vec<u8>) {
    let packet_id = u16::from(what & 15) + 1;
    let reason = match what >> 6 {
        3 => ReasonCode::UnspecifiedError,
        _ => ReasonCode::Success,
    };
    match what >> 4 & 3 {
        0 => encode::puback(out, version, packet_id, reason),
        1 => encode::pubrec(out, version, packet_id, reason),
        2 => encode::pubrel(out, version, packet_id, ReasonCode::Success),
        _ => encode::pubcomp(out, version, packet_id, ReasonCode::Success),
    }
}

pub(super) fn release(version: Version, what: u8, out: &mut Vec<u8>) {
    encode::pubrel(out, version, u16::from(what & 7) + 1, ReasonCode::Success);
}

pub(super) fn disconnect(version: Version, how: u8, out: &mut Vec<u8>) {
    let reason = match how & 4 {
        0 => ReasonCode::Success,
        _ => ReasonCode::DisconnectWithWill,
    };
    let expiry = [None, Some(0), Some(5), Some(100)][usize::from(how & 3)];
    client::disconnect(out, version, reason, expiry);
}

/// What Millrace itself publishes.
pub(super) fn own_topic(what: u8) -> &'static str {
    ["alerts/x", "a/b", "devices/one/c"][usize::from(what) % 3]
}

fn filter(what: u8) -> &'static str {
    FILTERS[usize::from(what & 15)]
}

fn qos(bits: u8) -> Qos {
    match bits & 3 {
        0 => Qos::AtMostOnce,
        1 | 3 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    }
}
