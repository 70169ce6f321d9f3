//! SUBSCRIBE (3.8), SUBACK (3.9), UNSUBSCRIBE (3.10), UNSUBACK (3.11).

use mqtt::Version;

use crate::both::subscribe;
use crate::table::{Proof, Section, exempt, shown};

const NO_WORDS: Proof = Proof::Exempt("the broker's SUBACK and UNSUBACK have no properties");

const NO_LOCAL: &str = r##"
    a connect
    a subscribe "t" 05
    a subscribe "u/#" 04
    b connect
    b subscribe "t" 01
    a> 32 [ "t" 0001 [] 'own' ]
    a< 40 [ 0001 ]
    a> 30 [ "u/x" [] 'own' ]
    b< 32 [ "t" $one [] 'own' ]
    b> 30 [ "t" [] 'other' ]
    a< 30 [ "t" [] 'other' ]
    b> 30 [ "u/x" [] 'other' ]
    a< 30 [ "u/x" [] 'other' ]
    a served
"##;

pub(crate) const SUBSCRIBE: Section = Section {
    version: Version::V5,
    name: "5.0: SUBSCRIBE to UNSUBACK",
    rows: &[
        shown(
            &["3.8.1-1"],
            "SUBSCRIBE with other flags is malformed",
            subscribe::SUBSCRIBE_FLAGS,
        ),
        shown(
            &["3.8.3-1"],
            "filters must be UTF-8",
            subscribe::FILTER_NOT_UTF8,
        ),
        shown(
            &["3.8.3-2"],
            "SUBSCRIBE without a filter is a protocol error",
            subscribe::NO_FILTER,
        ),
        shown(
            &["3.8.3-3"],
            "no local: a client does not get what it publishes itself",
            NO_LOCAL,
        ),
        shown(
            &["3.8.3-4"],
            "no local on a shared subscription is a protocol error",
            r#"
                a connect
                a> 82 [ 0001 [] "$share/g/t" 04 ]
                a fails 82
            "#,
        ),
        shown(
            &["3.8.3-5"],
            "reserved bits, QoS 3 and retain handling 3 in the options are refused",
            r#"
                a connect
                a> 82 [ 0001 [] "t" 40 ]
                a fails 81
                b connect
                b> 82 [ 0001 [] "t" 80 ]
                b fails 81
                c connect
                c> 82 [ 0001 [] "t" 03 ]
                c fails 82
                d connect
                d> 82 [ 0001 [] "t" 30 ]
                d fails 82
            "#,
        ),
        shown(
            &["3.8.4-1", "3.8.4-2"],
            "SUBSCRIBE is answered, with its packet identifier",
            subscribe::ANSWERED,
        ),
        shown(
            &["3.8.4-3"],
            "a filter that is subscribed again replaces",
            subscribe::REPLACED,
        ),
        shown(
            &["3.8.4-4"],
            "nothing is lost by subscribing again",
            subscribe::REPLACED_WITHOUT_A_GAP,
        ),
        shown(
            &["3.8.4-5"],
            "several filters are as good as several SUBSCRIBE packets with one answer",
            subscribe::SEVERAL_FILTERS,
        ),
        shown(
            &["3.8.4-6", "3.8.4-7"],
            "SUBACK has the granted QoS or the failure of each filter",
            r##"
                a connect
                a> 82 [ 0001 [] "t" 00 "t/#/u" 01 "u" 02 ]
                a< 90 [ 0001 [] 00 8F 02 ]
            "##,
        ),
        shown(
            &["3.8.4-8"],
            "the lower of published and granted QoS is sent",
            subscribe::LOWER_OF_BOTH_QOS,
        ),
        exempt(&["3.9.2-1", "3.9.2-2"], "SUBACK's size", NO_WORDS),
        shown(
            &["3.9.3-1"],
            "reason codes stand in the order of the filters",
            r#"
                a connect
                a> 82 [ 0001 [] "a" 02 "b" 00 "c" 01 "" 00 "d" 00 ]
                a< 90 [ 0001 [] 02 00 01 8F 00 ]
            "#,
        ),
        shown(
            &["3.9.3-2"],
            "each reason code is one of the table",
            r##"
                config max_subscriptions = 3
                a connect
                a> 82 [ 0001 [] "a" 00 "b" 01 "c" 02 "one/too/many" 00 "$share/+/t" 00 "#/t" 00 ]
                a< 90 [ 0001 [] 00 01 02 97 8F 8F ]
            "##,
        ),
        shown(
            &["3.10.1-1"],
            "UNSUBSCRIBE with other flags is malformed",
            subscribe::UNSUBSCRIBE_FLAGS,
        ),
        shown(
            &["3.10.3-1"],
            "filters to unsubscribe must be UTF-8",
            subscribe::UNSUBSCRIBE_NOT_UTF8,
        ),
        shown(
            &["3.10.3-2"],
            "UNSUBSCRIBE without a filter is a protocol error",
            subscribe::UNSUBSCRIBE_NO_FILTER,
        ),
        shown(
            &["3.10.4-1"],
            "filters are compared by character, and only the same one is removed",
            subscribe::COMPARED_BY_CHARACTER,
        ),
        shown(
            &["3.10.4-2"],
            "nothing new is delivered afterwards",
            subscribe::NOTHING_NEW_AFTERWARDS,
        ),
        shown(
            &["3.10.4-3"],
            "what is in delivery is completed",
            subscribe::IN_DELIVERY_IS_COMPLETED,
        ),
        shown(
            &["3.10.4-4"],
            "UNSUBSCRIBE is answered",
            subscribe::ANSWERED,
        ),
        shown(
            &["3.10.4-5"],
            "with its packet identifier, and also when there was nothing to remove",
            subscribe::NOTHING_TO_UNSUBSCRIBE,
        ),
        shown(
            &["3.10.4-6"],
            "several filters have one answer",
            subscribe::SEVERAL_UNSUBSCRIBED,
        ),
        exempt(&["3.11.2-1", "3.11.2-2"], "UNSUBACK's size", NO_WORDS),
        shown(
            &["3.11.3-1", "3.11.3-2"],
            "0x00 or 0x11 for each filter, in their order",
            subscribe::SEVERAL_UNSUBSCRIBED,
        ),
    ],
};
