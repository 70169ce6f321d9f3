//! Chapters 1 and 2: strings, integers, flags, packet identifiers, properties.

use mqtt::Version;

use crate::both::{publish, subscribe};
use crate::table::{Section, shown};

pub(crate) const FORMAT: Section = Section {
    version: Version::V5,
    name: "5.0: data and packet format",
    rows: &[
        shown(
            &["1.5.4-1"],
            "text that is not well-formed UTF-8, surrogates included, is malformed",
            publish::ILL_FORMED_UTF8,
        ),
        shown(
            &["1.5.4-2"],
            "U+0000 in a string is malformed",
            publish::NULL_CHARACTER,
        ),
        shown(
            &["1.5.4-3"],
            "a byte order mark is a character like any other",
            publish::BYTE_ORDER_MARK,
        ),
        shown(
            &["1.5.5-1"],
            "a variable byte integer takes no more bytes than it needs, in or out",
            r#"
                a connect
                a> 30 [ "t" 8000 'x' ]
                a fails 81
                b connect
                b> 82 [ 0001 [ 0B 8100 ] "t" 00 ]
                b fails 81
                # Out: 127 needs one byte, 128 two; a subscription identifier of 128, too.
                s connect
                s> 82 [ 0001 [ 0B 8001 ] "t" 00 ]
                s< 90 [ 0001 [] 00 ]
                p connect
                p> 30 [ "t" [] 'x' ]
                s< 30 [ "t" 03 0B 8001 'x' ]
                p> 30 [ "t" [] 'x'*120 ]
                s< 30 7F "t" 03 0B 8001 'x'*120
                p> 30 [ "t" [] 'x'*121 ]
                s< 30 8001 "t" 03 0B 8001 'x'*121
            "#,
        ),
        shown(
            &["1.5.7-1"],
            "both strings of a pair must be UTF-8",
            r#"
                a connect
                a> 30 [ "t" [ 26 0001 FF "v" ] 'x' ]
                a fails 81
                b connect
                b> 30 [ "t" [ 26 "k" 0003 EDA080 ] 'x' ]
                b fails 81
                c connect
                c> 30 [ "t" [ 26 "k" 0001 00 ] 'x' ]
                c fails 81
            "#,
        ),
        shown(
            &["2.1.3-1"],
            "reserved flags in a fixed header must be as prescribed",
            publish::RESERVED_FLAGS,
        ),
        shown(
            &["2.2.1-2"],
            "a QoS 0 PUBLISH has no packet identifier, in or out",
            publish::QOS_0_HAS_NO_PACKET_ID,
        ),
        shown(
            &["2.2.1-3"],
            "a client's packet identifiers are not zero; that they are free is the client's to see to",
            publish::ZERO_PACKET_ID,
        ),
        shown(
            &["2.2.1-4"],
            "the broker numbers deliveries with free identifiers that are not zero",
            publish::PACKET_IDS_ARE_UNUSED,
        ),
        shown(
            &["2.2.1-5"],
            "PUBACK, PUBREC, PUBREL and PUBCOMP carry the identifier of the PUBLISH",
            publish::ACK_HAS_THE_PACKET_ID,
        ),
        shown(
            &["2.2.1-6"],
            "SUBACK and UNSUBACK carry the identifier of what they answer",
            subscribe::ANSWERED,
        ),
        shown(
            &["2.2.2-1"],
            "no properties are a length of zero; leaving it out is malformed",
            r#"
                s connect
                s subscribe "t" 00
                p connect
                p> 30 [ "t" 00 'x' ]
                s< 30 [ "t" 00 'x' ]
                p> 30 [ "t" ]
                p fails 81
            "#,
        ),
    ],
};
