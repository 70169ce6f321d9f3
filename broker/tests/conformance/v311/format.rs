//! Chapters 1 and 2: strings, flags, packet identifiers.

use mqtt::Version;

use crate::both::{publish, subscribe};
use crate::table::{CLIENT, Section, exempt, shown};

pub(crate) const FORMAT: Section = Section {
    version: Version::V311,
    name: "3.1.1: data and packet format",
    rows: &[
        shown(
            &["1.5.3-1"],
            "text that is not well-formed UTF-8, surrogates included, ends the connection",
            publish::ILL_FORMED_UTF8,
        ),
        shown(
            &["1.5.3-2"],
            "U+0000 in a string ends the connection",
            publish::NULL_CHARACTER,
        ),
        shown(
            &["1.5.3-3"],
            "a byte order mark is a character like any other",
            publish::BYTE_ORDER_MARK,
        ),
        shown(
            &["2.2.2-1", "2.2.2-2"],
            "reserved flags in a fixed header other than prescribed end the connection",
            publish::RESERVED_FLAGS,
        ),
        shown(
            &["2.3.1-1"],
            "a packet identifier of zero ends the connection",
            publish::ZERO_PACKET_ID,
        ),
        exempt(
            &["2.3.1-2"],
            "a client uses free packet identifiers",
            CLIENT,
        ),
        exempt(
            &["2.3.1-3"],
            "a client resends with the same packet identifier",
            CLIENT,
        ),
        shown(
            &["2.3.1-4"],
            "the broker numbers deliveries with free identifiers, and resends with the same one",
            publish::PACKET_IDS_ARE_UNUSED,
        ),
        shown(
            &["2.3.1-5"],
            "a QoS 0 PUBLISH has no packet identifier, in or out",
            publish::QOS_0_HAS_NO_PACKET_ID,
        ),
        shown(
            &["2.3.1-6"],
            "PUBACK, PUBREC, PUBREL and PUBCOMP carry the identifier of the PUBLISH",
            publish::ACK_HAS_THE_PACKET_ID,
        ),
        shown(
            &["2.3.1-7"],
            "SUBACK and UNSUBACK carry the identifier of what they answer",
            subscribe::ANSWERED,
        ),
    ],
};
