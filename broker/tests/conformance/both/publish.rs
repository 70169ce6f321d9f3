//! PUBLISH: flags, topics, retained messages.

pub(crate) const BOTH_QOS_BITS: &str = r#"
    a connect
    a> 36 [ "t" 0001 {} 'x' ]
    a fails 81
"#;

pub(crate) const DUP_AT_QOS_0: &str = r#"
    s connect
    s subscribe "t" 02
    a connect
    a> 30 [ "t" {} 'x' ]
    s< 30 [ "t" {} 'x' ]
    # The broker's own QoS 0 never has DUP, and a client's is malformed.
    a> 38 [ "t" {} 'x' ]
    a fails 81
"#;

pub(crate) const DUP_IS_NOT_PASSED_ON: &str = r#"
    s connect
    s subscribe "t" 01
    a connect
    a> 3A [ "t" 0001 {} 'x' ]
    a< 40 [ 0001 ]
    s< 32 [ "t" $id {} 'x' ]
"#;

pub(crate) const DUP_ON_REDELIVERY: &str = r#"
    a kept
    a subscribe "t" 01
    b connect
    b> 32 [ "t" 0001 {} 'x' ]
    b< 40 [ 0001 ]
    a< 32 [ "t" $id {} 'x' ]
    a drop
    a resume
    a< 3A [ "t" $id {} 'x' ]
    a> 40 [ $id ]
    a served
"#;

pub(crate) const RETAINED_IS_STORED: &str = r#"
    a connect
    a> 33 [ "t" 0001 {} 'old' ]
    a< 40 [ 0001 ]
    a> 33 [ "t" 0002 {} 'new' ]
    a< 40 [ 0002 ]
    b connect
    b subscribe "t" 01
    b< 33 [ "t" $id {} 'new' ]
    b served
"#;

pub(crate) const RETAINED_QOS_0_REPLACES: &str = r#"
    a connect
    a> 33 [ "t" 0001 {} 'old' ]
    a< 40 [ 0001 ]
    a> 31 [ "t" {} 'new' ]
    a served
    b connect
    b subscribe "t" 01
    b< 31 [ "t" {} 'new' ]
    b served
"#;

pub(crate) const RETAINED_FOR_EACH_TOPIC: &str = r#"
    a connect
    a> 31 [ "t/a" {} '1' ] 31 [ "t/b" {} '2' ] 31 [ "u" {} '3' ]
    a served
    b connect
    b subscribe "t/+" 00
    b gathers 31 [ "t/a" {} '1' ] | 31 [ "t/b" {} '2' ]
    b served
"#;

pub(crate) const RETAIN_FLAG_OF_LIVE_MESSAGES: &str = r#"
    s connect
    s subscribe "t" 00
    a connect
    a> 31 [ "t" {} 'x' ]
    s< 30 [ "t" {} 'x' ]
"#;

pub(crate) const RETAINED_IS_CLEARED: &str = r#"
    a connect
    a> 31 [ "t" {} 'x' ]
    a served
    s connect
    s subscribe "t" 00
    s< 31 [ "t" {} 'x' ]
    # It is passed on as any other …
    a> 31 [ "t" {} ]
    s< 30 [ "t" {} ]
    # … and later subscribers get nothing, not even the empty one.
    b connect
    b subscribe "t" 00
    b served
"#;

pub(crate) const WITHOUT_RETAIN_NOTHING_CHANGES: &str = r#"
    a connect
    a> 31 [ "t" {} 'kept' ] 30 [ "t" {} 'passing' ] 30 [ "u" {} 'passing' ] 30 [ "t" {} ]
    a served
    b connect
    b subscribe "t" 00
    b< 31 [ "t" {} 'kept' ]
    b subscribe "u" 00
    b served
"#;

pub(crate) const RETAINED_OUTLIVES_SESSIONS: &str = r#"
    a connect
    a> 31 [ "t" {} 'x' ]
    a disconnect
    b connect
    b subscribe "t" 00
    b< 31 [ "t" {} 'x' ]
"#;

pub(crate) const TOPIC_NOT_UTF8: &str = r#"
    a connect
    a> 30 [ 0002 C328 {} 'x' ]
    a fails 81
"#;

pub(crate) const WILDCARD_IN_TOPIC: &str = r#"
    a connect
    a> 30 [ "t/+" {} 'x' ]
    a fails 90
    b connect
    b> 30 [ "t/#" {} 'x' ]
    b fails 90
"#;

/// The name arrives as it was published, whatever filter let it through.
pub(crate) const TOPIC_MATCHES_THE_FILTER: &str = r#"
    s connect
    s subscribe "t/+/c" 00
    a connect
    a> 30 [ "t/b/d" {} '1' ] 30 [ "t/b" {} '2' ] 30 [ "t/b/c" {} '3' ]
    s< 30 [ "t/b/c" {} '3' ]
"#;

pub(crate) const ANSWER_BY_QOS: &str = r#"
    a connect
    a> 30 [ "t" {} '0' ]
    a served
    a> 32 [ "t" 0001 {} '1' ]
    a< 40 [ 0001 <10> ]
    a> 34 [ "t" 0002 {} '2' ]
    a< 50 [ 0002 <10> ]
    a> 62 [ 0002 ]
    a< 70 [ 0002 ]
    # Telemetry goes another way to the same answers.
    a> 32 [ "devices/a/t" 0003 {} '1' ]
    a< 40 [ 0003 ]
    a> 34 [ "devices/a/t" 0004 {} '2' ]
    a< 50 [ 0004 ]
    a> 62 [ 0004 ]
    a< 70 [ 0004 ]
"#;

/// One filter or another may match; each subscription's copy keeps its QoS, so the highest is among
/// them.
pub(crate) const OVERLAPPING_QOS: &str = r#"
    s connect
    s subscribe "t/a" 00
    s subscribe "t/#" 02
    s subscribe "+/a" 01
    a connect
    a> 34 [ "t/a" 0001 {} 'x' ]
    a< 50 [ 0001 ]
    s gathers 30 [ "t/a" {} 'x' ] | 34 [ "t/a" $one {} 'x' ] | 32 [ "t/a" $two {} 'x' ]
    differ one two
"#;

pub(crate) const PUBREL_FLAGS: &str = r#"
    a connect
    a> 60 [ 0001 ]
    a fails 81
    b connect
    b> 66 [ 0001 ]
    b fails 81
"#;

pub(crate) const ZERO_PACKET_ID: &str = r#"
    a connect
    a> 32 [ "t" 0000 {} 'x' ]
    a fails 82
    b connect
    b> 82 [ 0000 {} "t" 00 ]
    b fails 82
    c connect
    c> A2 [ 0000 {} "t" ]
    c fails 82
"#;

pub(crate) const QOS_0_HAS_NO_PACKET_ID: &str = r#"
    s connect
    s subscribe "t" 02
    a connect
    a> 30 [ "t" {} 0001 'x' ]
    # The two bytes are payload.
    s< 30 [ "t" {} 0001 'x' ]
"#;

pub(crate) const PACKET_IDS_ARE_UNUSED: &str = r#"
    a kept
    a subscribe "t" 02
    b connect
    b> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ] 32 [ "t" 0003 {} '3' ]
    a< 32 [ "t" $one {} '1' ]
    a< 34 [ "t" $two {} '2' ]
    a< 32 [ "t" $three {} '3' ]
    differ one two
    differ two three
    differ one three
    # The middle one is done with; those that are not keep theirs to themselves.
    a> 50 [ $two ]
    a< 62 [ $two ]
    a> 70 [ $two ]
    b> 32 [ "t" 0004 {} '4' ]
    a< 32 [ "t" $four {} '4' ]
    differ one four
    differ three four
    a drop
    a resume
    a< 3A [ "t" $one {} '1' ]
    a< 3A [ "t" $three {} '3' ]
    a< 3A [ "t" $four {} '4' ]
"#;

pub(crate) const ACK_HAS_THE_PACKET_ID: &str = r#"
    a connect
    a> 32 [ "t" FFFF {} 'x' ]
    a< 40 [ FFFF <10> ]
    a> 34 [ "t" 1234 {} 'x' ]
    a< 50 [ 1234 <10> ]
    a> 62 [ 1234 ]
    a< 70 [ 1234 ]
    a subscribe "t" 02
    b connect
    b> 34 [ "t" 0001 {} 'y' ]
    a< 34 [ "t" $id {} 'y' ]
    a> 50 [ $id ]
    a< 62 [ $id ]
    a> 70 [ $id ]
    a served
"#;

pub(crate) const ILL_FORMED_UTF8: &str = r#"
    # Not UTF-8; a surrogate; one more than Unicode has; a sequence longer than needed.
    a connect
    a> 30 [ 0002 C328 {} 'x' ]
    a fails 81
    b connect
    b> 30 [ 0003 EDA080 {} 'x' ]
    b fails 81
    c connect
    c> 82 [ 0001 {} 0004 F4908080 00 ]
    c fails 81
    d connect
    d> A2 [ 0001 {} 0002 C0AF ]
    d fails 81
"#;

pub(crate) const NULL_CHARACTER: &str = r#"
    a connect
    a> 30 [ 0003 610062 {} 'x' ]
    a fails 81
    b connect
    b> 82 [ 0001 {} 0003 610062 00 ]
    b fails 81
    c open
    c> 10 [ "MQTT" % 02 0000 {} 0001 00 ]
    c refused 81
"#;

pub(crate) const BYTE_ORDER_MARK: &str = "
    s connect
    s subscribe \"\u{FEFF}t\" 00
    a connect
    a> 30 [ \"t\" {} 'without' ] 30 [ \"\u{FEFF}t\" {} 'with' ]
    s< 30 [ \"\u{FEFF}t\" {} 'with' ]
";

pub(crate) const RESERVED_FLAGS: &str = r#"
    a connect
    a> 80 [ 0001 {} "t" 00 ]
    a fails 81
    b connect
    b> A0 [ 0001 {} "t" ]
    b fails 81
    c connect
    c> C1 []
    c fails 81
    d connect
    d> 41 [ 0001 ]
    d fails 81
    e connect
    e> 00 []
    e fails 81
    f open
    f> 11 [ "MQTT" % 02 0000 {} "f" ]
    f< closed
"#;
