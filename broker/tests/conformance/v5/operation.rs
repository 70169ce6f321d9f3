//! Topic names and filters (4.7), shared subscriptions (4.8).

use mqtt::Version;

use crate::both::{delivery, publish};
use crate::table::{Section, shown};

/// A QoS 2 message in delivery stays with its member, also when that comes back, and when it does
/// not.
const QOS_2_STAYS: &str = r#"
    a kept
    a subscribe "$share/g/t" 02
    p connect
    p> 34 [ "t" 0001 [] 'x' ]
    p< 50 [ 0001 ]
    a< 34 [ "t" $id [] 'x' ]
    b connect
    b subscribe "$share/g/t" 02
    a drop
    b served
    a resume
    a< 3C [ "t" $id [] 'x' ]
    a> 50 [ $id ]
    a< 62 [ $id ]
    a> 70 [ $id ]
    a served
    b served
"#;

const QOS_2_ENDS_WITH_ITS_SESSION: &str = r#"
    a connect
    a subscribe "$share/g/t" 02
    p connect
    p> 34 [ "t" 0001 [] 'x' ]
    p< 50 [ 0001 ]
    a< 34 [ "t" $id [] 'x' ]
    b connect
    b subscribe "$share/g/t" 02
    a drop
    p> 62 [ 0001 ]
    p< 70 [ 0001 ]
    p> 30 [ "t" [] 'marker' ]
    b< 30 [ "t" [] 'marker' ]
"#;

const REFUSED_GOES_TO_NOBODY: &str = r#"
    a connect
    a subscribe "$share/g/t" 02
    p connect
    p> 32 [ "t" 0001 [] '1' ] 34 [ "t" 0002 [] '2' ]
    a< 32 [ "t" $one [] '1' ]
    a< 34 [ "t" $two [] '2' ]
    b connect
    b subscribe "$share/g/t" 02
    a> 40 [ $one 83 ] 50 [ $two 97 ]
    a served
    a disconnect
    p< 40 [ 0001 ]
    p< 50 [ 0002 ]
    p> 30 [ "t" [] 'marker' ]
    b< 30 [ "t" [] 'marker' ]
"#;

pub(crate) const OPERATION: Section = Section {
    version: Version::V5,
    name: "5.0: topics and shared subscriptions",
    rows: &[
        shown(
            &["4.7.0-1"],
            "wildcards are for filters, not for topic names",
            publish::WILDCARD_IN_TOPIC,
        ),
        shown(
            &["4.7.1-1"],
            "`#` is a whole level and the last one; it matches its parent too",
            delivery::HASH_IN_FILTERS,
        ),
        shown(
            &["4.7.1-2"],
            "`+` is a whole level, anywhere",
            delivery::PLUS_IN_FILTERS,
        ),
        shown(
            &["4.7.2-1"],
            "a leading wildcard does not match topics that begin with `$`",
            delivery::DOLLAR_TOPICS,
        ),
        shown(
            &["4.7.3-1"],
            "names and filters have one character at least",
            delivery::EMPTY_FILTER,
        ),
        shown(
            &["4.7.3-2"],
            "names and filters have no U+0000",
            delivery::NULL_IN_TOPICS,
        ),
        shown(
            &["4.7.3-3"],
            "65,535 bytes is the longest: more cannot be written in two bytes of length",
            delivery::LONGEST_TOPIC,
        ),
        shown(
            &["4.7.3-4"],
            "nothing is normalised",
            delivery::NOTHING_IS_NORMALISED,
        ),
        shown(
            &["4.8.2-1", "4.8.2-2"],
            "`$share/`, a name without wildcards, a slash and a filter; everything else is refused",
            r##"
                a connect
                a> 82 [ 0001 [] "$share/g/t" 00 "$share//t" 00 "$share/g" 00 "$share/g/" 00 "$share/+/t" 00 ]
                a< 90 [ 0001 [] 00 8F 8F 8F 8F ]
                a> 82 [ 0002 [] "$share/g#/t" 00 "$share/g/t/#/u" 00 "$share/g//" 00 "$share/g/#" 00 ]
                a< 90 [ 0002 [] 8F 8F 00 00 ]
                a> A2 [ 0003 [] "$share/g/#" "$share/g/t" ]
                a< B0 [ 0003 [] 00 00 ]
                p connect
                p> 30 [ "t" [] 'gone' ] 30 [ "/" [] 'x' ]
                a< 30 [ "/" [] 'x' ]
            "##,
        ),
        shown(
            &["4.8.2-3"],
            "each member gets the message at the QoS it was granted",
            r#"
                a connect
                a subscribe "$share/g/t" 00
                p connect
                p> 34 [ "t" 0001 [] 'x' ]
                p< 50 [ 0001 ]
                a< 30 [ "t" [] 'x' ]
                b connect
                b subscribe "$share/h/t" 01
                p> 34 [ "t" 0002 [] 'y' ]
                p< 50 [ 0002 ]
                a< 30 [ "t" [] 'y' ]
                b< 32 [ "t" $id [] 'y' ]
            "#,
        ),
        shown(
            &["4.8.2-4"],
            "a QoS 2 message in delivery is completed with the same member",
            QOS_2_STAYS,
        ),
        shown(
            &["4.8.2-5"],
            "and when that member's session ends, it goes to nobody else",
            QOS_2_ENDS_WITH_ITS_SESSION,
        ),
        shown(
            &["4.8.2-6"],
            "a message that a member refuses goes to nobody else",
            REFUSED_GOES_TO_NOBODY,
        ),
    ],
};
