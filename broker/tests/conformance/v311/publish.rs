//! PUBLISH (3.3) and PUBREL (3.6).

use mqtt::Version;

use crate::both::publish;
use crate::table::{Section, shown};

/// Closing is the answer this broker gives: an acknowledgement would be a lie.
const NOT_AUTHORISED: &str = r#"
    s connect
    s subscribe "alerts/#" 00
    a connect
    a> 32 [ "alerts/active/x" 0001 'x' ]
    a< closed
    s served
"#;

pub(crate) const PUBLISH: Section = Section {
    version: Version::V311,
    name: "3.1.1: PUBLISH",
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
        shown(
            &["3.3.1-4"],
            "QoS 3 ends the connection",
            publish::BOTH_QOS_BITS,
        ),
        shown(
            &["3.3.1-5"],
            "a retained message and its QoS are there for later subscribers",
            publish::RETAINED_IS_STORED,
        ),
        shown(
            &["3.3.1-6"],
            "a new subscription gets the last retained message of each topic that matches",
            publish::RETAINED_FOR_EACH_TOPIC,
        ),
        shown(
            &["3.3.1-7"],
            "a retained message of QoS 0 replaces what was there",
            publish::RETAINED_QOS_0_REPLACES,
        ),
        shown(
            &["3.3.1-8"],
            "RETAIN is 1 on what comes because of a new subscription",
            publish::RETAINED_OUTLIVES_SESSIONS,
        ),
        shown(
            &["3.3.1-9"],
            "RETAIN is 0 on what an established subscription gets",
            publish::RETAIN_FLAG_OF_LIVE_MESSAGES,
        ),
        shown(
            &["3.3.1-10", "3.3.1-11"],
            "an empty retained message is passed on, clears, and is not kept",
            publish::RETAINED_IS_CLEARED,
        ),
        shown(
            &["3.3.1-12"],
            "without RETAIN nothing is kept, replaced or cleared",
            publish::WITHOUT_RETAIN_NOTHING_CHANGES,
        ),
        shown(
            &["3.3.2-1"],
            "the topic name must be UTF-8",
            publish::TOPIC_NOT_UTF8,
        ),
        shown(
            &["3.3.2-2"],
            "a wildcard in a topic name ends the connection",
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
            &["3.3.5-1"],
            "of overlapping subscriptions the highest QoS is respected",
            publish::OVERLAPPING_QOS,
        ),
        shown(
            &["3.3.5-2"],
            "a publish that is not authorised ends the connection",
            NOT_AUTHORISED,
        ),
        shown(
            &["3.6.1-1"],
            "PUBREL with other flags ends the connection",
            publish::PUBREL_FLAGS,
        ),
    ],
};
