//! The delivery protocols (4.3), redelivery (4.4), order (4.6).

use mqtt::Version;

use crate::both::delivery;
use crate::table::{CLIENT, Section, exempt, shown};

/// Refused: the same identifier is a new message, and again refused.
const REFUSED_QOS_2: &str = r#"
    a connect
    a> 34 [ "alerts/active/x" 0001 [] 'x' ]
    a< 50 [ 0001 87 ]
    s connect
    s subscribe "t" 00
    a> 34 [ "t" 0001 [] 'y' ]
    a< 50 [ 0001 ]
    s< 30 [ "t" [] 'y' ]
"#;

/// Sent once, a message no longer expires.
const SENT_DOES_NOT_EXPIRE: &str = r#"
    s kept
    s subscribe "t" 02
    p connect
    p> 34 [ "t" 0001 [ 02 00000002 ] 'x' ]
    s< 34 [ "t" $id [ 02 00000001~02 ] 'x' ]
    pass 2300
    s drop
    s resume
    s< 3C [ "t" $id [ * ] 'x' ]
    s> 50 [ $id ]
    s< 62 [ $id ]
    s> 70 [ $id ]
    s served
"#;

/// The publisher's handshake goes on although its message has expired.
const EXPIRED_BUT_COMPLETED: &str = r#"
    p connect
    p> 34 [ "t" 0001 [ 02 00000001 ] 'x' ]
    p< 50 [ 0001 10 ]
    pass 1300
    p> 62 [ 0001 ]
    p< 70 [ 0001 ]
"#;

const REFUSED_IS_NOT_RESENT: &str = r#"
    s kept
    s subscribe "t" 02
    p connect
    p> 32 [ "t" 0001 [] '1' ] 34 [ "t" 0002 [] '2' ]
    s< 32 [ "t" $one [] '1' ]
    s< 34 [ "t" $two [] '2' ]
    s> 40 [ $one 80 ] 50 [ $two 97 ]
    s served
    s drop
    s resume
    s served
"#;

/// Kept for later subscribers, and queued for one that is away.
const THROUGH_STORE_AND_QUEUE: &str = r#"
    a kept
    a subscribe "t" 01
    a disconnect
    p connect
    p> 33 [ "t" 0001 [ 01 01 26 "k" "v" 08 "r" 09 0001 FF 03 "text" ] 'x' ]
    p< 40 [ 0001 ]
    a resume
    a< 32 [ "t" $id [ 01 01 26 "k" "v" 08 "r" 09 0001 FF 03 "text" ] 'x' ]
    b connect
    b subscribe "t" 00
    b< 31 [ "t" [ 01 01 26 "k" "v" 08 "r" 09 0001 FF 03 "text" ] 'x' ]
"#;

pub(crate) const DELIVERY: Section = Section {
    version: Version::V5,
    name: "5.0: delivery",
    rows: &[
        shown(
            &["4.3.1-1"],
            "QoS 0 is sent with QoS 0 and DUP 0",
            delivery::QOS_0,
        ),
        shown(
            &["4.3.2-1", "4.3.2-2", "4.3.2-3"],
            "QoS 1 out: a free identifier, DUP 0, unacknowledged until PUBACK",
            delivery::QOS_1_SENDER,
        ),
        shown(
            &["4.3.2-4", "4.3.2-5"],
            "QoS 1 in: PUBACK, and the same identifier is a new message afterwards",
            delivery::QOS_1_RECEIVER,
        ),
        shown(
            &[
                "4.3.3-1", "4.3.3-2", "4.3.3-3", "4.3.3-4", "4.3.3-5", "4.3.3-6",
            ],
            "QoS 2 out: each step is repeated until it is answered, and none after",
            delivery::QOS_2_SENDER,
        ),
        shown(
            &["4.3.3-7"],
            "a QoS 2 message that was sent does not expire any more",
            SENT_DOES_NOT_EXPIRE,
        ),
        shown(
            &["4.3.3-8", "4.3.3-10", "4.3.3-11", "4.3.3-12"],
            "QoS 2 in: one message, however often it is sent before PUBREL",
            delivery::QOS_2_RECEIVER,
        ),
        shown(
            &["4.3.3-9"],
            "after a PUBREC that refuses, the same identifier is a new message",
            REFUSED_QOS_2,
        ),
        shown(
            &["4.3.3-13"],
            "the QoS 2 handshake goes on when the message has expired",
            EXPIRED_BUT_COMPLETED,
        ),
        shown(
            &["4.4.0-1"],
            "what is unacknowledged is sent again when the client reconnects, and at no other time",
            delivery::RESENT_ONLY_ON_RECONNECT,
        ),
        shown(
            &["4.4.0-2"],
            "what the client refused is not sent again",
            REFUSED_IS_NOT_RESENT,
        ),
        shown(
            &["4.5.0-1"],
            "a message is added to every session with a matching subscription, properties and all",
            THROUGH_STORE_AND_QUEUE,
        ),
        exempt(
            &["4.5.0-2"],
            "a client acknowledges whatever it receives",
            CLIENT,
        ),
        exempt(
            &["4.6.0-1", "4.6.0-2", "4.6.0-3", "4.6.0-4"],
            "the order of a client's packets",
            CLIENT,
        ),
        shown(
            &["4.6.0-5"],
            "a publisher's messages of one topic and QoS arrive in order",
            delivery::ORDERED,
        ),
        shown(
            &["4.6.0-6"],
            "every topic is ordered, and what is sent again keeps its order",
            delivery::RESENT_IN_ORDER,
        ),
    ],
};
