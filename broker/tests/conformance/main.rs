//! Every normative statement of MQTT 3.1.1 and 5.0, by its number, shown over a real socket.
//!
//! The tables (`v311`, `v5`) hold a row for each statement: what is asserted in our words, and a
//! script of bytes that shows it, or the reason why a server cannot break it. `numbers` holds the
//! complete lists; a test proves that the tables have each number exactly once. `behaviour` holds
//! what two implementations must agree on to work together, beyond single statements.

mod behaviour;
mod both;
mod notation;
mod numbers;
mod peer;
mod script;
mod stage;
mod table;
mod v311;
mod v5;
mod websocket;

use std::collections::BTreeMap;

use table::{Proof, Section};

#[test]
fn data_and_packet_format_of_v311() {
    v311::FORMAT.check();
}

#[test]
fn connect_and_connack_of_v311() {
    v311::CONNECT.check();
}

#[test]
fn publish_of_v311() {
    v311::PUBLISH.check();
}

#[test]
fn subscribe_to_disconnect_of_v311() {
    v311::SUBSCRIBE.check();
}

#[test]
fn operational_behaviour_of_v311() {
    v311::OPERATION.check();
}

#[test]
fn transport_of_v311() {
    v311::TRANSPORT.check();
}

#[test]
fn data_and_packet_format_of_v5() {
    v5::FORMAT.check();
}

#[test]
fn flags_and_payload_of_connect_of_v5() {
    v5::CONNECT_FLAGS.check();
}

#[test]
fn properties_of_connect_and_connack_of_v5() {
    v5::CONNECT.check();
}

#[test]
fn session_disconnect_and_auth_of_v5() {
    v5::SESSION.check();
}

#[test]
fn publish_of_v5() {
    v5::PUBLISH.check();
}

#[test]
fn properties_of_publish_of_v5() {
    v5::PUBLISH_PROPERTIES.check();
}

#[test]
fn acknowledgements_of_v5() {
    v5::ACKNOWLEDGE.check();
}

#[test]
fn subscribe_to_unsuback_of_v5() {
    v5::SUBSCRIBE.check();
}

#[test]
fn delivery_of_v5() {
    v5::DELIVERY.check();
}

#[test]
fn topics_and_shared_subscriptions_of_v5() {
    v5::OPERATION.check();
}

#[test]
fn transport_of_v5() {
    v5::TRANSPORT.check();
}

#[test]
fn the_tables_hold_every_statement_once() {
    holds_every_statement(v311::ALL, numbers::V311);
    holds_every_statement(v5::ALL, numbers::V5);
}

/// Each number of the list stands in one row, and no row has another.
fn holds_every_statement(sections: &[&Section], list: &[numbers::Numbered]) {
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for row in sections.iter().flat_map(|section| section.rows) {
        assert!(
            !row.says.is_empty() && !row.numbers.is_empty(),
            "{:?}",
            row.numbers
        );
        if let Proof::Exempt(reason) = row.proof {
            assert!(!reason.is_empty(), "{:?}", row.numbers);
        }
        for number in row.numbers {
            *rows.entry((*number).to_owned()).or_default() += 1;
        }
    }
    let mut problems = Vec::new();
    for number in numbers::all(list) {
        match rows.remove(&number) {
            Some(1) => {}
            Some(times) => problems.push(format!("{number} stands in {times} rows")),
            None => problems.push(format!("{number} stands in no row")),
        }
    }
    problems.extend(
        rows.into_keys()
            .map(|number| format!("{number} is no statement")),
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
