//! Chapter 4: delivery, order, topics, errors.

use mqtt::Version;

use crate::both::{connect, delivery, publish};
use crate::table::{CLIENT, Proof, Section, exempt, shown};

pub(crate) const OPERATION: Section = Section {
    version: Version::V311,
    name: "3.1.1: operational behaviour",
    rows: &[
        shown(
            &["4.1.0-1", "4.1.0-2"],
            "a session lasts as long as its connection",
            connect::SESSION_WHILE_CONNECTED,
        ),
        shown(
            &["4.3.1-1"],
            "QoS 0 is sent with QoS 0 and DUP 0",
            delivery::QOS_0,
        ),
        shown(
            &["4.3.2-1"],
            "QoS 1 out: a free identifier, DUP 0, unacknowledged until PUBACK",
            delivery::QOS_1_SENDER,
        ),
        shown(
            &["4.3.2-2"],
            "QoS 1 in: PUBACK, and the same identifier is a new message afterwards",
            delivery::QOS_1_RECEIVER,
        ),
        shown(
            &["4.3.3-1"],
            "QoS 2 out: each step is repeated until it is answered, and none after",
            delivery::QOS_2_SENDER,
        ),
        shown(
            &["4.3.3-2"],
            "QoS 2 in: one message, however often it is sent before PUBREL",
            delivery::QOS_2_RECEIVER,
        ),
        shown(
            &["4.4.0-1"],
            "what is unacknowledged is sent again when the client reconnects, with its identifier",
            delivery::RESENT_ONLY_ON_RECONNECT,
        ),
        shown(
            &["4.5.0-1"],
            "a message is added to every session with a matching subscription",
            delivery::ADDED_TO_EVERY_SESSION,
        ),
        exempt(
            &["4.5.0-2"],
            "a client acknowledges whatever it receives",
            CLIENT,
        ),
        shown(
            &["4.6.0-1"],
            "what is sent again keeps its order",
            delivery::RESENT_IN_ORDER,
        ),
        exempt(
            &["4.6.0-2"],
            "a client's PUBACK packets keep their order",
            CLIENT,
        ),
        exempt(
            &["4.6.0-3"],
            "a client's PUBREC packets keep their order",
            CLIENT,
        ),
        exempt(
            &["4.6.0-4"],
            "a client's PUBREL packets keep their order",
            CLIENT,
        ),
        shown(
            &["4.6.0-5", "4.6.0-6"],
            "a publisher's messages of one topic and QoS arrive in order",
            delivery::ORDERED,
        ),
        shown(
            &["4.7.1-1"],
            "wildcards are for filters, not for topic names",
            publish::WILDCARD_IN_TOPIC,
        ),
        shown(
            &["4.7.1-2"],
            "`#` is a whole level and the last one; it matches its parent too",
            delivery::HASH_IN_FILTERS,
        ),
        shown(
            &["4.7.1-3"],
            "`+` is a whole level, anywhere",
            delivery::PLUS_IN_FILTERS,
        ),
        shown(
            &["4.7.2-1"],
            "a leading wildcard does not match topics that begin with `$`",
            DOLLAR_TOPICS,
        ),
        shown(
            &["4.7.3-1"],
            "names and filters have one character at least",
            delivery::EMPTY_FILTER,
        ),
        shown(
            &["4.7.3-2"],
            "names and filters have no U+0000",
            delivery::NULL_IN_TOPICS,
        ),
        shown(
            &["4.7.3-3"],
            "65,535 bytes is the longest: more cannot be written in two bytes of length",
            delivery::LONGEST_TOPIC,
        ),
        shown(
            &["4.7.3-4"],
            "nothing is normalised",
            delivery::NOTHING_IS_NORMALISED,
        ),
        shown(
            &["4.8.0-1"],
            "a violation of the protocol ends the connection",
            delivery::VIOLATION_CLOSES,
        ),
        exempt(
            &["4.8.0-2"],
            "a transient error ends the connection",
            Proof::Exempt(
                "a journal that fails is simulated in the unit tests of `client`; over a socket of \
                 a healthy broker no transient error can be caused",
            ),
        ),
    ],
};

/// A publish below `$` ends a 3.1.1 connection: it belongs to the broker.
const DOLLAR_TOPICS: &str = r##"
    a connect
    a subscribe "#" 00
    a subscribe "+/x" 00
    b connect
    b> 30 [ "$SYS/x" 'x' ]
    b< closed
    c connect
    c> 30 [ "t" 'marker' ]
    a< 30 [ "t" 'marker' ]
"##;
