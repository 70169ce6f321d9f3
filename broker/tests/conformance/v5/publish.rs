//! PUBLISH: flags (3.3.1), topic name (3.3.2.1), actions (3.3.4).

use mqtt::Version;

use crate::both::publish;
use crate::table::{CLIENT, Proof, Section, exempt, shown};

const RETAIN_AS_PUBLISHED: &str = r#"
    a connect
    a subscribe "t" 08
    b connect
    b subscribe "t" 00
    c connect
    c subscribe "+" 08
    p connect
    p> 31 [ "t" [] 'kept' ] 30 [ "t" [] 'passing' ]
    a< 31 [ "t" [] 'kept' ]
    a< 30 [ "t" [] 'passing' ]
    b< 30 [ "t" [] 'kept' ]
    b< 30 [ "t" [] 'passing' ]
    c< 31 [ "t" [] 'kept' ]
    c< 30 [ "t" [] 'passing' ]
"#;

/// One copy for each subscription, each with its own identifier, the one without has none.
const OVERLAPPING_IDENTIFIERS: &str = r#"
    s connect
    s> 82 [ 0001 [ 0B 01 ] "t/a" 00 ]
    s< 90 [ 0001 [] 00 ]
    s> 82 [ 0002 [ 0B FFFFFF7F ] "t/#" 00 ]
    s< 90 [ 0002 [] 00 ]
    s> 82 [ 0003 [] "+/a" 00 ]
    s< 90 [ 0003 [] 00 ]
    p connect
    p> 30 [ "t/a" [] 'x' ]
    s gathers 30 [ "t/a" [ 0B 01 ] 'x' ] | 30 [ "t/a" [ 0B FFFFFF7F ] 'x' ] | 30 [ "t/a" [] 'x' ]
"#;

pub(crate) const PUBLISH: Section = Section {
    version: Version::V5,
    name: "5.0: PUBLISH",
    rows: &[
        shown(
            &["3.3.1-1"],
            "DUP is set when a PUBLISH is sent again",
            publish::DUP_ON_REDELIVERY,
        ),
        shown(&["3.3.1-2"], "DUP is 0 at QoS 0", publish::DUP_AT_QOS_0),
        shown(
            &["3.3.1-3"],
            "a publisher's DUP is not passed on",
            publish::DUP_IS_NOT_PASSED_ON,
        ),
        shown(&["3.3.1-4"], "QoS 3 is malformed", publish::BOTH_QOS_BITS),
        shown(
            &["3.3.1-5"],
            "a retained message replaces the one of its topic",
            publish::RETAINED_IS_STORED,
        ),
        shown(
            &["3.3.1-6", "3.3.1-7"],
            "an empty retained message is passed on, clears, and is not kept",
            publish::RETAINED_IS_CLEARED,
        ),
        shown(
            &["3.3.1-8"],
            "without RETAIN nothing is kept, replaced or cleared",
            publish::WITHOUT_RETAIN_NOTHING_CHANGES,
        ),
        shown(
            &["3.3.1-9"],
            "retain handling 0 sends the retained messages, each time",
            r#"
                p connect
                p> 31 [ "t/a" [] '1' ] 31 [ "t/b" [] '2' ]
                p served
                a connect
                a subscribe "t/+" 00
                a gathers 31 [ "t/a" [] '1' ] | 31 [ "t/b" [] '2' ]
                a subscribe "t/+" 00
                a gathers 31 [ "t/a" [] '1' ] | 31 [ "t/b" [] '2' ]
                a served
            "#,
        ),
        shown(
            &["3.3.1-10"],
            "retain handling 1 sends them when the subscription is new",
            r#"
                p connect
                p> 31 [ "t" [] 'x' ]
                p served
                a kept
                a subscribe "t" 10
                a< 31 [ "t" [] 'x' ]
                a subscribe "t" 11
                a served
                # The session has the subscription, so it is not new on the next connection either.
                a disconnect
                a resume
                a subscribe "t" 10
                a served
                a> A2 [ 0001 [] "t" ]
                a< B0 [ 0001 [] 00 ]
                a subscribe "t" 10
                a< 31 [ "t" [] 'x' ]
            "#,
        ),
        shown(
            &["3.3.1-11"],
            "retain handling 2 sends none",
            r#"
                p connect
                p> 31 [ "t" [] 'x' ]
                p served
                a connect
                a subscribe "t" 20
                a served
                p> 31 [ "t" [] 'y' ]
                a< 30 [ "t" [] 'y' ]
            "#,
        ),
        shown(
            &["3.3.1-12"],
            "without retain as published RETAIN is 0 on what is forwarded",
            publish::RETAIN_FLAG_OF_LIVE_MESSAGES,
        ),
        shown(
            &["3.3.1-13"],
            "with retain as published RETAIN is as the publisher set it",
            RETAIN_AS_PUBLISHED,
        ),
        shown(
            &["3.3.2-1"],
            "the topic name must be UTF-8",
            publish::TOPIC_NOT_UTF8,
        ),
        shown(
            &["3.3.2-2"],
            "a wildcard in a topic name is refused",
            publish::WILDCARD_IN_TOPIC,
        ),
        shown(
            &["3.3.2-3"],
            "what is delivered matches the filter, under the name it was published with",
            publish::TOPIC_MATCHES_THE_FILTER,
        ),
        shown(
            &["3.3.4-1"],
            "nothing, PUBACK or PUBREC is the answer, by the QoS",
            publish::ANSWER_BY_QOS,
        ),
        shown(
            &["3.3.4-2"],
            "of overlapping subscriptions the highest QoS is respected",
            publish::OVERLAPPING_QOS,
        ),
        shown(
            &["3.3.4-3", "3.3.4-5"],
            "each of several copies has the identifier of its subscription",
            OVERLAPPING_IDENTIFIERS,
        ),
        exempt(
            &["3.3.4-4"],
            "a single copy has the identifiers of all subscriptions",
            Proof::Exempt("each subscription has a copy of its own, as 3.3.4-5 shows"),
        ),
        shown(
            &["3.3.4-6"],
            "a subscription identifier from a client is malformed",
            r#"
                a connect
                a> 30 [ "t" [ 0B 01 ] 'x' ]
                a fails 81
            "#,
        ),
        shown(
            &["3.3.4-7"],
            "a client that has more in flight than the receive maximum is disconnected with 0x93",
            r#"
                config receive_maximum = 2
                a open
                a> 10 [ "MQTT" 05 00 0000 [ 11 00000064 ] "a" ]
                a< 20 [ 00 00 [ * 21 0002 * ] ]
                a> 34 [ "t" 0001 [] '1' ] 34 [ "t" 0002 [] '2' ]
                a< 50 [ 0001 10 ]
                a< 50 [ 0002 10 ]
                # On the next connection the same two are the quota again, and PUBCOMP makes room.
                a drop
                a resume
                a> 3C [ "t" 0001 [] '1' ] 3C [ "t" 0002 [] '2' ]
                a< 50 [ 0001 ]
                a< 50 [ 0002 ]
                a> 62 [ 0001 ]
                a< 70 [ 0001 ]
                a> 34 [ "t" 0003 [] '3' ]
                a< 50 [ 0003 10 ]
                a> 34 [ "t" 0004 [] '4' ]
                a fails 93
            "#,
        ),
        exempt(&["3.3.4-8"], "a client delays nothing but PUBLISH", CLIENT),
        shown(
            &["3.3.4-9", "4.9.0-2"],
            "no more in flight than the client's receive maximum, until PUBACK, PUBCOMP or a refusal",
            r#"
                s connect 21 0002
                s subscribe "t" 02
                p connect
                p> 32 [ "t" 0001 [] '1' ] 34 [ "t" 0002 [] '2' ] 32 [ "t" 0003 [] '3' ]
                p> 34 [ "t" 0004 [] '4' ] 32 [ "t" 0005 [] '5' ]
                s< 32 [ "t" $one [] '1' ]
                s< 34 [ "t" $two [] '2' ]
                s served
                s> 40 [ $one ]
                s< 32 [ "t" $three [] '3' ]
                # PUBREC alone makes no room, PUBCOMP does.
                s> 50 [ $two ]
                s< 62 [ $two ]
                s served
                s> 70 [ $two ]
                s< 34 [ "t" $four [] '4' ]
                s> 50 [ $four 83 ]
                s< 32 [ "t" $five [] '5' ]
            "#,
        ),
        shown(
            &["3.3.4-10", "4.9.0-3"],
            "everything else is sent and answered while the quota is used up",
            r#"
                s connect 21 0001
                s subscribe "t" 01
                p connect
                p> 32 [ "t" 0001 [] '1' ] 32 [ "t" 0002 [] '2' ]
                s< 32 [ "t" $one [] '1' ]
                s served
                s subscribe "u" 00
                s> A2 [ 0001 [] "u" ]
                s< B0 [ 0001 [] 00 ]
                s> 32 [ "v" 0007 [] 'x' ]
                s< 40 [ 0007 10 ]
                s> 40 [ $one ]
                s< 32 [ "t" $two [] '2' ]
            "#,
        ),
        shown(
            &["4.9.0-1"],
            "the receive maximum of the client and of the server is the quota to begin with",
            r#"
                s connect 21 0001
                s subscribe "t" 02
                p connect
                p> 34 [ "t" 0001 [] '1' ] 34 [ "t" 0002 [] '2' ]
                s< 34 [ "t" $one [] '1' ]
                s served
            "#,
        ),
    ],
};
