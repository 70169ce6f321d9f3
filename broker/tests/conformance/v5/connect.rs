//! CONNECT's properties (3.1.2.11), what a server does about it (3.1.4), CONNACK (3.2).

use mqtt::Version;

use crate::both::{connect, subscribe};
use crate::table::{CLIENT, Proof, Section, exempt, shown};

/// The smaller message counts as done: with room for one in flight, the next one comes.
const TOO_LARGE: &str = r#"
    s connect 27 00000028 21 0001
    s subscribe "t" 01
    a connect
    a> 32 [ "t" 0001 [] 'x'*60 ] 32 [ "t" 0002 [] 'small' ]
    s< 32 [ "t" $id [] 'small' ]
    a< 40 [ 0001 ]
    a< 40 [ 0002 ]
"#;

/// PUBACK, PUBREC, SUBACK and UNSUBACK that say "no", without a word more; DISCONNECT may have one.
const NO_PROBLEM_INFORMATION: &str = r##"
    a connect 17 00
    a> 32 [ "alerts/active/x" 0001 [] 'x' ]
    a< 40 [ 0001 87 ]
    a> 82 [ 0002 [] "#/t" 00 ]
    a< 90 [ 0002 [] 8F ]
    a> A2 [ 0003 [] "t" ]
    a< B0 [ 0003 [] 11 ]
    a> 62 [ 0004 ]
    a< 70 [ 0004 92 ]
"##;

pub(crate) const CONNECT: Section = Section {
    version: Version::V5,
    name: "5.0: CONNECT, properties and CONNACK",
    rows: &[
        shown(
            &["3.1.2-24"],
            "no packet is larger than the client takes",
            r#"
                s connect 27 00000028
                s subscribe "t" 00
                a connect
                # 41 bytes and 40.
                a> 30 [ "t" [] 'x'*35 ] 30 [ "t" [] 'y'*34 ]
                s< 30 26 "t" [] 'y'*34
                # Not even CONNACK.
                b open
                b> 10 [ "MQTT" 05 02 0000 [ 27 00000008 ] "b" ]
                b< 20 [ 00 95 [] ]
                b< closed
                c open
                c> 10 [ "MQTT" 05 02 0000 [ 27 00000004 ] "c" ]
                c< closed
                # Nor one that refuses for another reason.
                d open
                d> 10 [ "MQTT" 05 02 0000 [ 27 00000004 15 "method" ] "d" ]
                d< closed
                # Twelve answers take 17 bytes: nothing is subscribed to.
                e connect 27 00000010
                e> 82 [ 0001 [] "0" 00 "1" 00 "2" 00 "3" 00 "4" 00 "5" 00 "6" 00 "7" 00 "8" 00 "9" 00 "a" 00 "b" 00 ]
                e fails 95
                f connect 27 00000010
                f> A2 [ 0001 [] "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" ]
                f fails 95
            "#,
        ),
        shown(
            &["3.1.2-25"],
            "a message that is too large for a client counts as sent",
            TOO_LARGE,
        ),
        shown(
            &["3.1.2-26", "3.1.2-27", "3.3.2-11"],
            "no alias is sent to a client that takes none, nor a higher one than it takes",
            r#"
                s connect
                s subscribe "a/long/topic" 00
                t connect 22 0001
                t subscribe "a/long/topic" 00
                p connect
                p> 30 [ "a/long/topic" [ 23 0002 ] 'x' ] 30 [ "" [ 23 0002 ] 'y' ]
                s< 30 [ "a/long/topic" [] 'x' ]
                s< 30 [ "a/long/topic" [] 'y' ]
                t< 30 [ "a/long/topic" [] 'x' ]
                t< 30 [ "a/long/topic" [] 'y' ]
            "#,
        ),
        shown(
            &["3.1.2-28"],
            "response information is not sent to who does not ask for it (nor to who does)",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [ 19 00 ] "a" ]
                a accepted without 1A
                b open
                b> 10 [ "MQTT" 05 02 0000 [ 19 01 ] "b" ]
                b accepted without 1A
            "#,
        ),
        shown(
            &["3.1.2-29"],
            "without request problem information no reason string or user property is sent",
            NO_PROBLEM_INFORMATION,
        ),
        exempt(
            &["3.1.2-30"],
            "a client that authenticates in steps sends nothing else meanwhile",
            CLIENT,
        ),
        shown(
            &["3.1.4-1"],
            "a malformed CONNECT ends the connection; CONNACK may say why",
            connect::MALFORMED,
        ),
        shown(
            &["3.1.4-2"],
            "a CONNECT that is refused for another reason ends the connection",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [ 15 "SCRAM-SHA-1" ] "a" ]
                a< 20 [ 00 8C [ * ] ]
                a< closed
            "#,
        ),
        shown(
            &["3.1.4-3"],
            "who connects with an id in use takes it over; the former client is told 0x8E",
            connect::TAKE_OVER,
        ),
        shown(
            &["3.1.4-5"],
            "a good CONNECT is answered with 0x00",
            connect::ACCEPTED,
        ),
        shown(
            &["3.1.4-6"],
            "what comes behind a refused CONNECT is not processed",
            connect::NOTHING_AFTER_A_REFUSAL,
        ),
        shown(
            &["3.2.0-1"],
            "CONNACK is sent before anything else",
            connect::CONNACK_FIRST,
        ),
        shown(
            &["3.2.0-2"],
            "there is one CONNACK on a connection",
            connect::SECOND_CONNECT,
        ),
        shown(
            &["3.2.2-1"],
            "the other acknowledge flags are 0",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [] "a" ]
                a< 20 [ 00 00 [ * ] ]
                b kept
                b disconnect
                b open
                b> 10 [ "MQTT" 05 00 0000 [] "b" ]
                b< 20 [ 01 00 [ * ] ]
            "#,
        ),
        shown(
            &["3.2.2-2"],
            "with clean start, session present is 0 although there was one",
            r#"
                a kept
                a disconnect
                a connect
            "#,
        ),
        shown(
            &["3.2.2-3"],
            "session present is 1 when there was one, and 0 when not",
            connect::CONNACK_BEFORE_THE_QUEUE,
        ),
        exempt(
            &["3.2.2-4", "3.2.2-5"],
            "a client's answer to session present",
            CLIENT,
        ),
        shown(
            &["3.2.2-6", "3.2.2-7"],
            "a refusal says session present 0, although there is one, and closes",
            r#"
                a kept
                a disconnect
                b open
                b> 10 [ "MQTT" 05 00 0000 [ 15 "SCRAM-SHA-1" ] "a" ]
                b< 20 [ 00 8C [ * ] ]
                b< closed
            "#,
        ),
        shown(
            &["3.2.2-8"],
            "CONNACK has a reason code of its own table: 0x81, 0x82, 0x84, 0x8C, 0x90",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [ FF 00 ] "a" ]
                a refused 81
                b open
                b> 10 [ "MQTT" 05 02 0000 [ 11 00000001 11 00000001 ] "b" ]
                b refused 82
                c open
                c> 10 [ "MQTT" 05 02 0000 [ 21 0000 ] "c" ]
                c refused 82
                d open
                d> 10 [ "MQTT" 05 02 0000 [ 27 00000000 ] "d" ]
                d refused 82
                e open
                e> 10 [ "MQTT" 05 02 0000 [ 16 0001 00 ] "e" ]
                e refused 82
                f open
                f> 10 [ "MQTT" 05 06 0000 [] "f" [] "w/#" "bye" ]
                f refused 90
                g open
                g> 10 [ "MQTT" 05 02 0000 [ 15 "PLAIN" ] "g" ]
                g refused 8C
                h open
                h> 10 [ "MQTT" 07 02 0000 [] "h" ]
                h refused 84
            "#,
        ),
        shown(
            &["3.2.2-9"],
            "every QoS is supported, so no maximum QoS is announced",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0000 [] "a" ]
                a accepted without 24
                s connect
                s subscribe "t" 02
                a> 34 [ "t" 0001 [] 'x' ]
                s< 34 [ "t" $id [] 'x' ]
            "#,
        ),
        shown(
            &["3.2.2-10"],
            "SUBSCRIBE may ask for any QoS",
            subscribe::SEVERAL_FILTERS,
        ),
        exempt(
            &["3.2.2-11"],
            "a client publishes within the maximum QoS",
            CLIENT,
        ),
        shown(
            &["3.2.2-12"],
            "a will of any QoS is within what is supported",
            connect::WILL_QOS,
        ),
        shown(
            &["3.2.2-13"],
            "retained wills are supported, so none is refused, and retain is not said to be missing",
            r#"
                a open
                a> 10 [ "MQTT" 05 26 0000 [] "a" [] "w" "bye" ]
                a accepted without 25
            "#,
        ),
        exempt(
            &["3.2.2-14"],
            "a client retains nothing where that is not available",
            CLIENT,
        ),
        shown(
            &["3.2.2-15"],
            "a packet larger than CONNACK allowed ends the connection",
            r#"
                config max_packet_size = "2KB"
                a open
                a> 10 [ "MQTT" 05 02 0000 [] "a" ]
                a< 20 [ 00 00 [ * 27 000007D0 * ] ]
                # 2000 bytes, header and all; then 2001.
                a> 30 [ "t" [] 'x'*1993 ]
                a served
                a> 30 [ "t" [] 'x'*1994 ]
                a fails 95
            "#,
        ),
        exempt(
            &["3.2.2-17", "3.2.2-18"],
            "a client's aliases stay within what CONNACK allows (what happens else: 3.3.2-9)",
            CLIENT,
        ),
        exempt(
            &["3.2.2-19", "3.2.2-20"],
            "no reason string or user property that makes CONNACK too large",
            Proof::Exempt("CONNACK never has either"),
        ),
        shown(
            &["3.2.2-22"],
            "the client's keep-alive holds unless CONNACK has another",
            r#"
                a open
                a> 10 [ "MQTT" 05 02 0001 [] "a" ]
                a accepted without 13
                a fails 8D
            "#,
        ),
    ],
};
