//! Session expiry (3.1.2.11.2, 4.1), PINGREQ (3.12), DISCONNECT (3.14), AUTH (3.15, 4.12).

use mqtt::Version;

use crate::both::{connect, delivery};
use crate::table::{CLIENT, Proof, Section, exempt, shown};

/// No method is supported, so no exchange ever begins.
const NO_METHOD: Proof =
    Proof::Exempt("no authentication method is supported, so the broker never sends AUTH");

pub(crate) const SESSION: Section = Section {
    version: Version::V5,
    name: "5.0: session, DISCONNECT and AUTH",
    rows: &[
        shown(
            &["3.1.2-23"],
            "a session with an expiry interval is there after the connection",
            connect::QUEUED_WHILE_AWAY,
        ),
        shown(
            &["4.1.0-1"],
            "a session lasts as long as its connection, even with an expiry interval of zero",
            connect::SESSION_WHILE_CONNECTED,
        ),
        shown(
            &["4.1.0-2"],
            "a session is gone when its expiry interval has passed after the connection",
            r#"
                a open
                a> 10 [ "MQTT" 05 00 0000 [ 11 00000001 ] "a" ]
                a accepted
                a subscribe "t" 01
                b open
                b> 10 [ "MQTT" 05 00 0000 [] "b" ]
                b accepted
                b disconnect
                # At once without an interval …
                b kept
                a disconnect
                pass 3200
                # … and after it with one.
                a kept
                a served
            "#,
        ),
        shown(&["3.12.4-1"], "PINGREQ is answered", connect::PING),
        shown(
            &["3.14.0-1"],
            "no DISCONNECT to a client that was not accepted",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [ FF 00 ] "a" ]
                a< 20 [ 00 81 [ * ] ]
                a< closed
                b open
                b> C0 []
                b< closed
                c open
                c> F0 []
                c< closed
            "#,
        ),
        shown(
            &["3.14.1-1"],
            "DISCONNECT with other flags is malformed",
            connect::DISCONNECT_FLAGS,
        ),
        shown(
            &["3.14.2-1"],
            "DISCONNECT has a reason code of its table, in both directions",
            r#"
                s connect
                s subscribe "w" 00
                # 0x04 asks for the will.
                a open
                a> 10 [ "MQTT" 05 06 0000 [] "a" [] "w" "asked for" ]
                a accepted
                a> E0 [ 04 ]
                a< closed
                s< 30 [ "w" [] 'asked for' ]
                # 0x8B is a server's, 0x01 nobody's.
                b connect
                b> E0 [ 8B ]
                b fails 82
                c connect
                c> E0 [ 01 ]
                c fails 82
                d connect
                d> E0 [ 98 [ 1F "why" 26 "k" "v" ] ]
                d< closed
                e connect
                stop
                e< E0 [ 8B ]
                e< closed
            "#,
        ),
        shown(
            &["3.14.2-2"],
            "the server's DISCONNECT has no session expiry",
            r#"
                a kept
                a' connect
                a< E0 [ 8E ]
                a< closed
            "#,
        ),
        shown(
            &["3.14.2-3", "3.14.2-4"],
            "no reason string or user property makes DISCONNECT larger than the client takes",
            r#"
                a connect
                a> C0 [ 00 ]
                a< E0 [ 81 [ 1F 00 * ] ]
                a< closed
                b open
                b> 10 [ "MQTT" 05 02 0000 [ 27 00000028 ] "b" ]
                b accepted
                b> 30 [ "t" [ 01 02 ] ]
                b< E0 [ 82 * ]
                b< closed
            "#,
        ),
        shown(
            &["3.14.4-1", "3.14.4-2"],
            "after its DISCONNECT the server sends nothing more, and closes",
            connect::TAKE_OVER,
        ),
        shown(
            &["3.14.4-3"],
            "DISCONNECT 0x00 discards the will",
            connect::WILL_DISCARDED,
        ),
        shown(
            &["3.15.1-1"],
            "AUTH with other flags is malformed",
            r#"
                a connect
                a> F1 [ 18 [ 15 "PLAIN" ] ]
                a fails 81
            "#,
        ),
        exempt(
            &["3.15.2-1", "3.15.2-2", "3.15.2-3"],
            "the reason code and size of AUTH",
            NO_METHOD,
        ),
        shown(
            &["4.12.0-1"],
            "a method that is not supported is refused with 0x8C",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [ 15 "SCRAM-SHA-1" 16 0004 00010203 ] "a" ]
                a< 20 [ 00 8C [ * ] ]
                a< closed
            "#,
        ),
        exempt(
            &["4.12.0-2", "4.12.0-4", "4.12.0-5"],
            "the steps of an authentication",
            NO_METHOD,
        ),
        exempt(&["4.12.0-3"], "a client goes on with 0x18", CLIENT),
        shown(
            &["4.12.0-6"],
            "no AUTH and no method for who did not name one",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [] "a" ]
                a accepted without 15 16
                a served
            "#,
        ),
        shown(
            &["4.12.0-7", "4.12.1-1", "4.12.1-2"],
            "AUTH from a client that named no method is a protocol error",
            r#"
                a connect
                a> F0 [ 19 [ 15 "PLAIN" ] ]
                a fails 82
                b connect
                b> F0 [ 18 [ 15 "PLAIN" ] ]
                b fails 82
                c connect
                c> F0 []
                c fails 82
            "#,
        ),
        shown(
            &["4.13.1-1"],
            "a malformed packet or a protocol error ends the connection, with its reason",
            delivery::VIOLATION_CLOSES,
        ),
        shown(
            &["4.13.2-1"],
            "0x80 and above in CONNACK or DISCONNECT ends the connection",
            r#"
                a connect
                a> 30 [ "t" [ 23 0000 ] 'x' ]
                a fails 94
                b open
                b> 10 [ "MQTT" 05 03 0000 [] "b" ]
                b< 20 [ 00 81 [ * ] ]
                b< closed
                # A client's own DISCONNECT with such a reason, too.
                c connect
                c> E0 [ 80 ]
                c< closed
            "#,
        ),
    ],
};
