//! SUBSCRIBE (3.8), SUBACK (3.9), UNSUBSCRIBE (3.10), PINGREQ (3.12), DISCONNECT (3.14).

use mqtt::Version;

use crate::both::{connect, subscribe};
use crate::table::{CLIENT, Proof, Section, exempt, shown};

pub(crate) const SUBSCRIBE: Section = Section {
    version: Version::V311,
    name: "3.1.1: SUBSCRIBE to DISCONNECT",
    rows: &[
        shown(
            &["3.8.1-1"],
            "SUBSCRIBE with other flags ends the connection",
            subscribe::SUBSCRIBE_FLAGS,
        ),
        shown(
            &["3.8.3-1"],
            "filters must be UTF-8",
            subscribe::FILTER_NOT_UTF8,
        ),
        exempt(
            &["3.8.3-2"],
            "filters with wildcards may be refused",
            Proof::Exempt("wildcards are supported: shown under 4.7.1-2 and 4.7.1-3"),
        ),
        shown(
            &["3.8.3-3"],
            "SUBSCRIBE without a filter ends the connection",
            subscribe::NO_FILTER,
        ),
        shown(
            &["3.8.3-4"],
            "reserved bits in the requested QoS, and QoS 3, end the connection",
            r#"
                a connect
                a> 82 [ 0001 "t" 03 ]
                a< closed
                b connect
                b> 82 [ 0001 "t" 04 ]
                b< closed
                c connect
                c> 82 [ 0001 "t" 81 ]
                c< closed
            "#,
        ),
        shown(
            &["3.8.4-1", "3.8.4-2"],
            "SUBSCRIBE is answered, with its packet identifier",
            subscribe::ANSWERED,
        ),
        shown(
            &["3.8.4-3"],
            "a filter that is subscribed again replaces, resends what is retained, and loses nothing",
            subscribe::REPLACED,
        ),
        shown(
            &["3.8.4-4"],
            "several filters are as good as several SUBSCRIBE packets with one answer",
            subscribe::SEVERAL_FILTERS,
        ),
        shown(
            &["3.8.4-5"],
            "SUBACK has the granted QoS or 0x80 for each filter",
            r#"
                a connect
                a> 82 [ 0001 "t" 00 "t/#/u" 01 "u" 02 ]
                a< 90 [ 0001 00 80 02 ]
            "#,
        ),
        shown(
            &["3.8.4-6"],
            "the lower of published and granted QoS is sent",
            subscribe::LOWER_OF_BOTH_QOS,
        ),
        shown(
            &["3.9.3-1"],
            "return codes stand in the order of the filters",
            r#"
                a connect
                a> 82 [ 0001 "a" 02 "b" 00 "c" 01 "" 00 "d" 00 ]
                a< 90 [ 0001 02 00 01 80 00 ]
            "#,
        ),
        shown(
            &["3.9.3-2"],
            "no other return code than 0x00, 0x01, 0x02 and 0x80, whatever is wrong",
            r##"
                config max_subscriptions = 3
                a connect
                a> 82 [ 0001 "a" 00 "b" 01 "c" 02 "one/too/many" 00 "$share/+/t" 00 "#/t" 00 ]
                a< 90 [ 0001 00 01 02 80 80 80 ]
            "##,
        ),
        shown(
            &["3.10.1-1"],
            "UNSUBSCRIBE with other flags ends the connection",
            subscribe::UNSUBSCRIBE_FLAGS,
        ),
        shown(
            &["3.10.3-1"],
            "filters to unsubscribe must be UTF-8",
            subscribe::UNSUBSCRIBE_NOT_UTF8,
        ),
        shown(
            &["3.10.3-2"],
            "UNSUBSCRIBE without a filter ends the connection",
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
            "UNSUBSCRIBE is answered, with its packet identifier",
            subscribe::ANSWERED,
        ),
        shown(
            &["3.10.4-5"],
            "also when there was nothing to remove",
            subscribe::NOTHING_TO_UNSUBSCRIBE,
        ),
        shown(
            &["3.10.4-6"],
            "several filters have one answer",
            subscribe::SEVERAL_UNSUBSCRIBED,
        ),
        shown(&["3.12.4-1"], "PINGREQ is answered", connect::PING),
        shown(
            &["3.14.1-1"],
            "DISCONNECT with other flags ends the connection",
            connect::DISCONNECT_FLAGS,
        ),
        exempt(&["3.14.4-1"], "a client closes after DISCONNECT", CLIENT),
        exempt(
            &["3.14.4-2"],
            "a client sends nothing after DISCONNECT",
            CLIENT,
        ),
        shown(
            &["3.14.4-3"],
            "DISCONNECT discards the will",
            connect::WILL_DISCARDED,
        ),
    ],
};
