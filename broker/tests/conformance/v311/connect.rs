//! CONNECT (3.1) and CONNACK (3.2).

use mqtt::Version;

use crate::both::{connect, publish};
use crate::table::{CLIENT, Proof, Section, exempt, shown};

/// Level 3, which has another name, and level 0: both learn that it is the level.
const PROTOCOL_LEVEL: &str = r#"
    a open
    a> 10 [ "MQTT" 03 02 0000 "a" ]
    a< 20 [ 00 01 ]
    a< closed
    b open
    b> 10 [ "MQTT" 00 02 0000 "b" ]
    b< 20 [ 00 01 ]
    b< closed
"#;

/// Closed without CONNACK: no return code says "malformed".
const MALFORMED_WITHOUT_CONNACK: &str = r#"
    a open
    a> 10 [ "MQTT" 04 02 0000 "a" 00 ]
    a< closed
    b open
    b> 10 [ "MQTT" 04 01 0000 "b" ]
    b< closed
"#;

const PASSWORD_WITHOUT_USER: &str = r#"
    a open
    a> 10 [ "MQTT" 04 42 0000 "a" "secret" ]
    a< closed
"#;

const EMPTY_ID: &str = r#"
    s connect
    s subscribe "t" 00
    # Two of them do not take each other over.
    a open
    a> 10 [ "MQTT" 04 02 0000 "" ]
    a< 20 [ 00 00 ]
    b open
    b> 10 [ "MQTT" 04 02 0000 "" ]
    b< 20 [ 00 00 ]
    a served
    b served
    a> 30 [ "t" 'x' ]
    s< 30 [ "t" 'x' ]
"#;

const EMPTY_ID_TO_BE_KEPT: &str = r#"
    a open
    a> 10 [ "MQTT" 04 00 0000 "" ]
    a< 20 [ 00 02 ]
    a< closed
"#;

pub(crate) const CONNECT: Section = Section {
    version: Version::V311,
    name: "3.1.1: CONNECT and CONNACK",
    rows: &[
        shown(
            &["3.1.0-1"],
            "a first packet that is not CONNECT ends the connection",
            connect::FIRST_PACKET,
        ),
        shown(
            &["3.1.0-2"],
            "a second CONNECT ends the connection",
            connect::SECOND_CONNECT,
        ),
        shown(
            &["3.1.2-1"],
            "another protocol name is not served",
            connect::PROTOCOL_NAME,
        ),
        shown(
            &["3.1.2-2"],
            "an unknown protocol level is answered with 0x01, then closed",
            PROTOCOL_LEVEL,
        ),
        shown(
            &["3.1.2-3"],
            "the reserved connect flag must be 0",
            connect::RESERVED_FLAG,
        ),
        shown(
            &["3.1.2-4"],
            "without clean session a session is kept, and resumed; the first time it is made",
            connect::SESSION_RESUMED,
        ),
        shown(
            &["3.1.2-5"],
            "QoS 1 and 2 messages for a kept session wait for it",
            connect::QUEUED_WHILE_AWAY,
        ),
        shown(
            &["3.1.2-6", "3.1.4-3"],
            "clean session ends what there was, and leaves nothing",
            connect::CLEAN_START,
        ),
        shown(
            &["3.1.2-7"],
            "retained messages stay when the session of their publisher ends",
            publish::RETAINED_OUTLIVES_SESSIONS,
        ),
        shown(
            &["3.1.2-8"],
            "the will is published when the connection ends without DISCONNECT",
            connect::WILL_PUBLISHED,
        ),
        shown(
            &["3.1.2-9"],
            "with the will flag, will topic and message must follow",
            connect::WILL_FIELDS_MISSING,
        ),
        shown(
            &["3.1.2-10"],
            "a will is published once, and not after DISCONNECT",
            connect::WILL_ONCE,
        ),
        shown(
            &["3.1.2-11"],
            "without the will flag, will topic and message must not follow",
            connect::WILL_FIELDS_WITHOUT_FLAG,
        ),
        shown(
            &["3.1.2-12"],
            "without the will flag nothing is published at the end",
            r##"
                s connect
                s subscribe "#" 00
                a connect
                a drop
                b connect
                b> 30 [ "t" 'marker' ]
                s< 30 [ "t" 'marker' ]
            "##,
        ),
        shown(
            &["3.1.2-13"],
            "without the will flag its QoS must be 0",
            connect::WILL_QOS_WITHOUT_WILL,
        ),
        shown(
            &["3.1.2-14"],
            "a will's QoS may be 0, 1 or 2, and not 3",
            connect::WILL_QOS,
        ),
        shown(
            &["3.1.2-15"],
            "without the will flag will retain must be 0",
            connect::WILL_RETAIN_WITHOUT_WILL,
        ),
        shown(
            &["3.1.2-16"],
            "a will without will retain is not retained",
            connect::WILL_NOT_RETAINED,
        ),
        shown(
            &["3.1.2-17"],
            "a will with will retain is retained",
            connect::WILL_RETAINED,
        ),
        shown(
            &["3.1.2-18"],
            "without its flag there must be no user name",
            connect::USER_WITHOUT_FLAG,
        ),
        shown(
            &["3.1.2-19"],
            "with its flag there must be a user name",
            connect::USER_MISSING,
        ),
        shown(
            &["3.1.2-20"],
            "without its flag there must be no password",
            connect::PASSWORD_WITHOUT_FLAG,
        ),
        shown(
            &["3.1.2-21"],
            "with its flag there must be a password",
            connect::PASSWORD_MISSING,
        ),
        shown(
            &["3.1.2-22"],
            "no password without a user name",
            PASSWORD_WITHOUT_USER,
        ),
        exempt(
            &["3.1.2-23"],
            "a client speaks within its keep-alive",
            CLIENT,
        ),
        shown(
            &["3.1.2-24"],
            "silence of one and a half keep-alives ends the connection as a broken network does",
            connect::KEEP_ALIVE,
        ),
        shown(
            &["3.1.3-1"],
            "id, will topic, will message, user name, password: in this order",
            connect::FIELDS_IN_ORDER,
        ),
        shown(
            &["3.1.3-2"],
            "the client id is what a session is found by",
            connect::CLIENT_ID_IS_THE_SESSION,
        ),
        shown(
            &["3.1.3-3"],
            "there must be a client id",
            connect::CLIENT_ID_MISSING,
        ),
        shown(
            &["3.1.3-4"],
            "the client id must be UTF-8",
            connect::CLIENT_ID_NOT_UTF8,
        ),
        shown(
            &["3.1.3-5"],
            "ids of 1 to 23 letters and digits are accepted",
            connect::CLIENT_ID_CHARACTERS,
        ),
        shown(
            &["3.1.3-6"],
            "an empty id gets one of its own and is served as any other",
            EMPTY_ID,
        ),
        shown(
            &["3.1.3-7", "3.1.3-8", "3.1.3-9"],
            "an empty id without clean session is rejected with 0x02",
            EMPTY_ID_TO_BE_KEPT,
        ),
        shown(
            &["3.1.3-10"],
            "the will topic must be UTF-8",
            connect::WILL_TOPIC_NOT_UTF8,
        ),
        shown(
            &["3.1.3-11"],
            "the user name must be UTF-8",
            connect::USER_NOT_UTF8,
        ),
        shown(
            &["3.1.4-1"],
            "a malformed CONNECT is closed without CONNACK",
            MALFORMED_WITHOUT_CONNACK,
        ),
        shown(
            &["3.1.4-2"],
            "who connects with an id in use takes it over",
            connect::TAKE_OVER,
        ),
        shown(
            &["3.1.4-4"],
            "a good CONNECT is answered with 0x00",
            connect::ACCEPTED,
        ),
        shown(
            &["3.1.4-5"],
            "what comes behind a refused CONNECT is not processed",
            connect::NOTHING_AFTER_A_REFUSAL,
        ),
        shown(
            &["3.2.0-1"],
            "the first packet to a client is CONNACK",
            connect::CONNACK_FIRST,
        ),
        shown(
            &["3.2.2-1"],
            "with clean session, session present is 0 although there was one",
            r#"
                a kept
                a disconnect
                a connect
            "#,
        ),
        shown(
            &["3.2.2-2"],
            "session present is 1 when there was one",
            connect::CONNACK_BEFORE_THE_QUEUE,
        ),
        shown(
            &["3.2.2-3"],
            "session present is 0 when there was none",
            connect::SESSION_CREATED,
        ),
        shown(
            &["3.2.2-4", "3.2.2-5"],
            "a refusal says session present 0, although there is one, and closes",
            r#"
                a kept
                a disconnect
                b open
                b> 10 [ "MQTT" 03 00 0000 "a" ]
                b< 20 [ 00 01 ]
                b< closed
            "#,
        ),
        exempt(
            &["3.2.2-6"],
            "no fitting return code: closed without CONNACK",
            Proof::Exempt("shown under 3.1.4-1, the only such refusal of a broker with room"),
        ),
    ],
};
