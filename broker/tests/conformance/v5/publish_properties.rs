//! The properties of PUBLISH (3.3.2.3).

use mqtt::Version;

use crate::table::{CLIENT, Section, exempt, shown};

/// Every property that is the subscriber's business, in an order of the publisher's, with names
/// twice.
const ALL_OF_THEM: &str = r##"
    s connect
    s subscribe "t" 00
    w connect
    w subscribe "#" 01
    p connect
    p> 30 [ "t" [ 26 "k" "1" 01 01 03 "a/b" 09 0003 C0DE00 26 "a" "2" 08 "answer/é" 26 "k" "0" ] 'x' ]
    s< 30 [ "t" [ 26 "k" "1" 01 01 03 "a/b" 09 0003 C0DE00 26 "a" "2" 08 "answer/é" 26 "k" "0" ] 'x' ]
    w< 30 [ "t" [ 26 "k" "1" 01 01 03 "a/b" 09 0003 C0DE00 26 "a" "2" 08 "answer/é" 26 "k" "0" ] 'x' ]
"##;

pub(crate) const PUBLISH_PROPERTIES: Section = Section {
    version: Version::V5,
    name: "5.0: properties of PUBLISH",
    rows: &[
        shown(
            &[
                "3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20",
            ],
            "payload format, response topic, correlation data, user properties and content type \
             arrive as they were sent, in order",
            ALL_OF_THEM,
        ),
        shown(
            &["3.3.2-5"],
            "a message that has expired is not delivered any more",
            r#"
                s kept
                s subscribe "t" 01
                s disconnect
                p connect
                p> 32 [ "t" 0001 [ 02 00000001 ] 'short' ] 32 [ "t" 0002 [ 02 000000FF ] 'long' ]
                p< 40 [ 0001 ]
                p< 40 [ 0002 ]
                p> 31 [ "r" [ 02 00000001 ] 'short' ]
                pass 1300
                s resume
                s< 32 [ "t" $id [ 02 000000F0~FE ] 'long' ]
                s subscribe "r" 00
                s served
            "#,
        ),
        shown(
            &["3.3.2-6"],
            "what is left of the expiry interval is sent on",
            r#"
                s connect
                s subscribe "t" 00
                p connect
                p> 31 [ "t" [ 02 00000064 ] 'x' ]
                s< 30 [ "t" [ 02 00000060~64 ] 'x' ]
                pass 1300
                a connect
                a subscribe "t" 00
                a< 31 [ "t" [ 02 00000050~63 ] 'x' ]
            "#,
        ),
        shown(
            &["3.3.2-7"],
            "aliases end with their connection",
            r#"
                a kept
                a> 30 [ "t" [ 23 0001 ] 'x' ]
                a served
                a drop
                a resume
                a> 30 [ "" [ 23 0001 ] 'y' ]
                a fails 82
            "#,
        ),
        shown(
            &["3.3.2-8"],
            "an alias of 0 is refused",
            r#"
                a connect
                a> 30 [ "t" [ 23 0000 ] 'x' ]
                a fails 94
            "#,
        ),
        shown(
            &["3.3.2-9"],
            "an alias above the maximum is refused",
            r#"
                config topic_alias_maximum = 2
                a connect
                a> 30 [ "t" [ 23 0002 ] 'x' ]
                a served
                a> 30 [ "t" [ 23 0003 ] 'x' ]
                a fails 94
            "#,
        ),
        exempt(
            &["3.3.2-10"],
            "a client takes every alias up to its maximum",
            CLIENT,
        ),
        shown(
            &["3.3.2-12"],
            "every alias up to the maximum is taken, and may be given another topic",
            r##"
                config topic_alias_maximum = 3
                s connect
                s subscribe "#" 00
                a open
                a> 10 [ "MQTT" 05 02 0000 [] "a" ]
                a< 20 [ 00 00 [ * 22 0003 * ] ]
                a> 30 [ "t/3" [ 23 0003 ] '1' ] 30 [ "t/1" [ 23 0001 ] '2' ]
                a> 30 [ "" [ 23 0003 ] '3' ] 30 [ "" [ 23 0001 ] '4' ]
                a> 30 [ "u" [ 23 0003 ] '5' ] 30 [ "" [ 23 0003 ] '6' ]
                s< 30 [ "t/3" [] '1' ]
                s< 30 [ "t/1" [] '2' ]
                s< 30 [ "t/3" [] '3' ]
                s< 30 [ "t/1" [] '4' ]
                s< 30 [ "u" [] '5' ]
                s< 30 [ "u" [] '6' ]
            "##,
        ),
        shown(
            &["3.3.2-13"],
            "the response topic must be UTF-8",
            r#"
                a connect
                a> 30 [ "t" [ 08 0002 C328 ] 'x' ]
                a fails 81
            "#,
        ),
        shown(
            &["3.3.2-14"],
            "the response topic has no wildcard",
            r##"
                a connect
                a> 30 [ "t" [ 08 "r/#" ] 'x' ]
                a fails 90
                b connect
                b> 30 [ "t" [ 08 "+/r" ] 'x' ]
                b fails 90
            "##,
        ),
        shown(
            &["3.3.2-19"],
            "the content type must be UTF-8",
            r#"
                a connect
                a> 30 [ "t" [ 03 0002 C328 ] 'x' ]
                a fails 81
            "#,
        ),
    ],
};
