//! CONNECT's header and flags (3.1.0 to 3.1.2.9), its payload (3.1.3).

use mqtt::Version;

use crate::both::connect;
use crate::table::{CLIENT, Proof, Section, exempt, shown};

/// The delay has not passed when the client is back.
const WILL_CANCELLED: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "a" [ 18 00000002 ] "w" "bye" ]
    a accepted
    a drop
    a' resume
    pass 3300
    p connect
    p> 30 [ "w" [] 'marker' ]
    s< 30 [ "w" [] 'marker' ]
    a' served
"#;

/// Published when the delay is over, when the session ends before, and not when the client takes it
/// back.
const WILL_AFTER_ITS_DELAY: &str = r#"
    s connect
    s subscribe "w/#" 00
    a open
    a> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "a" [ 18 00000001 ] "w/a" "delayed" ]
    a accepted
    b open
    b> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "b" [ 18 00000001 ] "w/b" "taken back" ]
    b accepted
    c open
    c> 10 [ "MQTT" 05 06 0000 [ 11 00000001 ] "c" [ 18 00000064 ] "w/c" "session ended" ]
    c accepted
    b disconnect
    a drop
    c drop
    s gathers 30 [ "w/a" [] 'delayed' ] | 30 [ "w/c" [] 'session ended' ]
    pass 1200
    p connect
    p> 30 [ "w" [] 'marker' ]
    s< 30 [ "w" [] 'marker' ]
"#;

const EMPTY_ID: &str = r#"
    s connect
    s subscribe "t" 00
    a open
    a> 10 [ "MQTT" 05 02 0000 [] "" ]
    a< 20 [ 00 00 [ * 12 00 ? 'millrace-' * ] ]
    b open
    b> 10 [ "MQTT" 05 02 0000 [] "" ]
    b< 20 [ 00 00 [ * 12 00 ? 'millrace-' * ] ]
    # They are two clients, and publish and receive as any other.
    a served
    b served
    a> 30 [ "t" [] 'x' ]
    s< 30 [ "t" [] 'x' ]
    a subscribe "u" 00
    b> 30 [ "u" [] 'y' ]
    a< 30 [ "u" [] 'y' ]
"#;

pub(crate) const CONNECT_FLAGS: Section = Section {
    version: Version::V5,
    name: "5.0: CONNECT, flags and payload",
    rows: &[
        shown(
            &["3.1.0-1"],
            "a first packet that is not CONNECT ends the connection",
            connect::FIRST_PACKET,
        ),
        shown(
            &["3.1.0-2"],
            "a second CONNECT is a protocol error",
            connect::SECOND_CONNECT,
        ),
        shown(
            &["3.1.2-1"],
            "another protocol name is not served; who does not speak MQTT gets no word",
            connect::PROTOCOL_NAME,
        ),
        shown(
            &["3.1.2-2"],
            "another protocol version is answered in a form it understands, then closed",
            r#"
                a open
                a> 10 [ "MQTT" 06 02 0000 [] "a" ]
                a< 20 [ 00 84 [ * ] ]
                a< closed
                b open
                b> 10 [ "MQTT" 03 02 0000 "b" ]
                b< 20 [ 00 01 ]
                b< closed
            "#,
        ),
        shown(
            &["3.1.2-3"],
            "the reserved connect flag must be 0",
            connect::RESERVED_FLAG,
        ),
        shown(
            &["3.1.2-4", "3.1.4-4"],
            "clean start ends what there was",
            connect::CLEAN_START,
        ),
        shown(
            &["3.1.2-5"],
            "without clean start the session there is goes on",
            connect::SESSION_RESUMED,
        ),
        shown(
            &["3.1.2-6"],
            "without clean start and session there is a new one",
            connect::SESSION_CREATED,
        ),
        shown(
            &["3.1.2-7"],
            "a will is stored while the client is there",
            connect::WILL_PUBLISHED,
        ),
        shown(
            &["3.1.2-8"],
            "a will is published at the end of its delay or session, whichever comes first",
            WILL_AFTER_ITS_DELAY,
        ),
        shown(
            &["3.1.2-9"],
            "with the will flag, will properties, topic and payload must follow",
            connect::WILL_FIELDS_MISSING,
        ),
        shown(
            &["3.1.2-10"],
            "a will is published once, and not after DISCONNECT 0x00",
            connect::WILL_ONCE,
        ),
        shown(
            &["3.1.2-11"],
            "without the will flag its QoS must be 0",
            connect::WILL_QOS_WITHOUT_WILL,
        ),
        shown(
            &["3.1.2-12"],
            "a will's QoS may be 0, 1 or 2, and not 3",
            connect::WILL_QOS,
        ),
        shown(
            &["3.1.2-13"],
            "without the will flag will retain must be 0",
            connect::WILL_RETAIN_WITHOUT_WILL,
        ),
        shown(
            &["3.1.2-14"],
            "a will without will retain is not retained",
            connect::WILL_NOT_RETAINED,
        ),
        shown(
            &["3.1.2-15"],
            "a will with will retain is retained",
            connect::WILL_RETAINED,
        ),
        shown(
            &["3.1.2-16"],
            "without its flag there must be no user name",
            connect::USER_WITHOUT_FLAG,
        ),
        shown(
            &["3.1.2-17"],
            "with its flag there must be a user name",
            connect::USER_MISSING,
        ),
        shown(
            &["3.1.2-18"],
            "without its flag there must be no password",
            connect::PASSWORD_WITHOUT_FLAG,
        ),
        shown(
            &["3.1.2-19"],
            "with its flag there must be a password",
            connect::PASSWORD_MISSING,
        ),
        shown(
            &["3.1.3-1"],
            "id, will properties, topic, payload, user name, password: in this order",
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
            &["3.1.3-6", "3.1.3-7", "3.2.2-16"],
            "an empty id gets a new one, is told, and is served as any other",
            EMPTY_ID,
        ),
        exempt(
            &["3.1.3-8"],
            "a client id that is rejected is closed",
            Proof::Exempt("every client id that is UTF-8 is accepted"),
        ),
        shown(
            &["3.1.3-9"],
            "who is back within the will delay has no will published",
            WILL_CANCELLED,
        ),
        shown(
            &["3.1.3-10"],
            "a will's user properties keep their order",
            r#"
                s connect
                s subscribe "w" 00
                a open
                a> 10 [ "MQTT" 05 06 0000 [] "a" [ 26 "z" "1" 26 "a" "2" 26 "z" "0" ] "w" "bye" ]
                a accepted
                a drop
                s< 30 [ "w" [ 26 "z" "1" 26 "a" "2" 26 "z" "0" ] 'bye' ]
            "#,
        ),
        shown(
            &["3.1.3-11"],
            "the will topic must be UTF-8",
            connect::WILL_TOPIC_NOT_UTF8,
        ),
        shown(
            &["3.1.3-12"],
            "the user name must be UTF-8",
            connect::USER_NOT_UTF8,
        ),
        exempt(
            &["3.1.2-20"],
            "a client speaks within its keep-alive",
            CLIENT,
        ),
        exempt(
            &["3.1.2-21", "3.2.2-21"],
            "a client keeps to the server's keep-alive",
            CLIENT,
        ),
        shown(
            &["3.1.2-22"],
            "silence of one and a half keep-alives ends the connection as a broken network does",
            connect::KEEP_ALIVE,
        ),
    ],
};
