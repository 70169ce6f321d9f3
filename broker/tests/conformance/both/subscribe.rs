//! SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

pub(crate) const SUBSCRIBE_FLAGS: &str = r#"
    a connect
    a> 80 [ 0001 {} "t" 00 ]
    a fails 81
    b connect
    b> 83 [ 0001 {} "t" 00 ]
    b fails 81
"#;

pub(crate) const FILTER_NOT_UTF8: &str = r#"
    a connect
    a> 82 [ 0001 {} 0002 C328 00 ]
    a fails 81
"#;

pub(crate) const NO_FILTER: &str = r#"
    a connect
    a> 82 [ 0001 {} ]
    a fails 82
"#;

pub(crate) const ANSWERED: &str = r#"
    a connect
    a> 82 [ 1234 {} "t" 00 ]
    a< 90 [ 1234 {} 00 ]
    a> A2 [ 4321 {} "t" ]
    a< B0 [ 4321 {} <00> ]
"#;

/// The same filter again: one subscription, with the newer QoS, and the retained message again.
pub(crate) const REPLACED: &str = r#"
    p connect
    p> 31 [ "t" {} 'kept' ]
    p served
    a connect
    a subscribe "t" 00
    a< 31 [ "t" {} 'kept' ]
    a subscribe "t" 01
    a< 31 [ "t" {} 'kept' ]
    p> 32 [ "t" 0001 {} 'live' ]
    a< 32 [ "t" $id {} 'live' ]
    a> 40 [ $id ]
    a served
    p< 40 [ 0001 ]
    a> A2 [ 0002 {} "t" ]
    a< B0 [ 0002 {} <00> ]
    p> 30 [ "t" {} 'gone' ] C0 []
    p< D0 []
    a served
"#;

/// Nothing that is on its way is lost by subscribing again.
pub(crate) const REPLACED_WITHOUT_A_GAP: &str = r#"
    a connect
    a subscribe "t" 01
    p connect
    p> 32 [ "t" 0001 {} '1' ] 32 [ "t" 0002 {} '2' ]
    p< 40 [ 0001 ]
    p< 40 [ 0002 ]
    a> 82 [ 0003 {} "t" 01 ]
    a gathers 90 [ 0003 {} 01 ] | 32 [ "t" $one {} '1' ] | 32 [ "t" $two {} '2' ]
    p> 32 [ "t" 0003 {} '3' ]
    a< 32 [ "t" $three {} '3' ]
"#;

pub(crate) const SEVERAL_FILTERS: &str = r#"
    a connect
    a> 82 [ 0001 {} "t" 00 "u/+" 01 "v/#" 02 ]
    a< 90 [ 0001 {} 00 01 02 ]
    p connect
    p> 34 [ "t" 0001 {} '1' ]
    p< 50 [ 0001 ]
    a< 30 [ "t" {} '1' ]
    p> 34 [ "u/a" 0002 {} '2' ]
    p< 50 [ 0002 ]
    a< 32 [ "u/a" $one {} '2' ]
    p> 34 [ "v/a" 0003 {} '3' ]
    p< 50 [ 0003 ]
    a< 34 [ "v/a" $two {} '3' ]
"#;

pub(crate) const LOWER_OF_BOTH_QOS: &str = r#"
    a connect
    a subscribe "t" 01
    p connect
    p> 30 [ "t" {} '0' ]
    a< 30 [ "t" {} '0' ]
    p> 32 [ "t" 0001 {} '1' ]
    a< 32 [ "t" $one {} '1' ]
    p> 34 [ "t" 0002 {} '2' ]
    a< 32 [ "t" $two {} '2' ]
    differ one two
"#;

pub(crate) const UNSUBSCRIBE_FLAGS: &str = r#"
    a connect
    a> A0 [ 0001 {} "t" ]
    a fails 81
    b connect
    b> A3 [ 0001 {} "t" ]
    b fails 81
"#;

pub(crate) const UNSUBSCRIBE_NOT_UTF8: &str = r#"
    a connect
    a> A2 [ 0001 {} 0002 C328 ]
    a fails 81
"#;

pub(crate) const UNSUBSCRIBE_NO_FILTER: &str = r#"
    a connect
    a> A2 [ 0001 {} ]
    a fails 82
"#;

/// Filters are compared as text: `t/#` is not `t/+`, although both would match.
pub(crate) const COMPARED_BY_CHARACTER: &str = r#"
    a connect
    a subscribe "t/+" 00
    a> A2 [ 0001 {} "t/#" ]
    a< B0 [ 0001 {} <11> ]
    a> A2 [ 0002 {} "t/a" ]
    a< B0 [ 0002 {} <11> ]
    a> A2 [ 0003 {} "T/+" ]
    a< B0 [ 0003 {} <11> ]
    p connect
    p> 30 [ "t/a" {} 'x' ]
    a< 30 [ "t/a" {} 'x' ]
    a> A2 [ 0004 {} "t/+" ]
    a< B0 [ 0004 {} <00> ]
    a subscribe "marker" 00
    p> 30 [ "t/a" {} 'y' ] 30 [ "marker" {} 'z' ]
    a< 30 [ "marker" {} 'z' ]
"#;

pub(crate) const NOTHING_NEW_AFTERWARDS: &str = r#"
    a connect
    a subscribe "t" 01
    a subscribe "marker" 01
    a> A2 [ 0001 {} "t" ]
    a< B0 [ 0001 {} <00> ]
    p connect
    p> 32 [ "t" 0001 {} 'x' ]
    p< 40 [ 0001 <10> ]
    p> 30 [ "marker" {} 'y' ]
    a< 30 [ "marker" {} 'y' ]
"#;

/// What is in delivery when the subscription goes is completed, even by the next connection.
pub(crate) const IN_DELIVERY_IS_COMPLETED: &str = r#"
    a kept
    a subscribe "t" 02
    p connect
    p> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ]
    a< 32 [ "t" $one {} '1' ]
    a< 34 [ "t" $two {} '2' ]
    a> A2 [ 0001 {} "t" ]
    a< B0 [ 0001 {} <00> ]
    a drop
    a resume
    a< 3A [ "t" $one {} '1' ]
    a< 3C [ "t" $two {} '2' ]
    a> 40 [ $one ] 50 [ $two ]
    a< 62 [ $two ]
    a> 70 [ $two ]
    a served
"#;

pub(crate) const NOTHING_TO_UNSUBSCRIBE: &str = r#"
    a connect
    a> A2 [ 0001 {} "never" ]
    a< B0 [ 0001 {} <11> ]
"#;

pub(crate) const SEVERAL_UNSUBSCRIBED: &str = r#"
    a connect
    a> 82 [ 0001 {} "t" 00 "u" 00 "v" 00 ]
    a< 90 [ 0001 {} 00 00 00 ]
    a> A2 [ 0002 {} "t" "never" "v" ]
    a< B0 [ 0002 {} <00 11 00> ]
"#;
