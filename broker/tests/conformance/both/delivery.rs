//! Section 4: the three delivery protocols, redelivery, order, topics and filters.

pub(crate) const QOS_0: &str = r#"
    s connect
    s subscribe "t" 00
    a connect
    a> 34 [ "t" 0001 {} 'x' ]
    a< 50 [ 0001 ]
    s< 30 [ "t" {} 'x' ]
    s served
"#;

/// A new message has a new id and no DUP; without PUBACK it comes again, with it it does not.
pub(crate) const QOS_1_SENDER: &str = r#"
    s kept
    s subscribe "t" 01
    a connect
    a> 32 [ "t" 0001 {} '1' ] 32 [ "t" 0002 {} '2' ]
    s< 32 [ "t" $one {} '1' ]
    s< 32 [ "t" $two {} '2' ]
    differ one two
    s> 40 [ $one ]
    s served
    s drop
    s resume
    s< 3A [ "t" $two {} '2' ]
    s> 40 [ $two ]
    s served
    s drop
    s resume
    s served
"#;

/// The id is free again after PUBACK: the same with or without DUP is a new message.
pub(crate) const QOS_1_RECEIVER: &str = r#"
    s connect
    s subscribe "t" 00
    a connect
    a> 32 [ "t" 0007 {} '1' ]
    a< 40 [ 0007 ]
    s< 30 [ "t" {} '1' ]
    a> 3A [ "t" 0007 {} '1' ]
    a< 40 [ 0007 ]
    s< 30 [ "t" {} '1' ]
    a> 32 [ "t" 0007 {} '2' ]
    a< 40 [ 0007 ]
    s< 30 [ "t" {} '2' ]
"#;

/// Each of the three answers is lost once; every step is repeated from where it stood.
pub(crate) const QOS_2_SENDER: &str = r#"
    s kept
    s subscribe "t" 02
    a connect
    a> 34 [ "t" 0001 {} 'x' ]
    a< 50 [ 0001 ]
    s< 34 [ "t" $id {} 'x' ]
    # PUBREC is lost: the PUBLISH comes again.
    s drop
    s resume
    s< 3C [ "t" $id {} 'x' ]
    s> 50 [ $id ]
    s< 62 [ $id ]
    # PUBCOMP is lost: the PUBREL comes again, and the PUBLISH never.
    s drop
    s resume
    s< 62 [ $id ]
    s served
    s> 70 [ $id ]
    s served
    s drop
    s resume
    s served
"#;

/// One copy of a message with one id goes on, however often it is sent; after PUBCOMP the id is
/// free.
pub(crate) const QOS_2_RECEIVER: &str = r#"
    s connect
    s subscribe "t" 00
    a kept
    a> 34 [ "t" 0009 {} 'x' ]
    a< 50 [ 0009 ]
    s< 30 [ "t" {} 'x' ]
    a> 3C [ "t" 0009 {} 'x' ]
    a< 50 [ 0009 ]
    a drop
    a resume
    a> 3C [ "t" 0009 {} 'x' ]
    a< 50 [ 0009 ]
    a> 62 [ 0009 ]
    a< 70 [ 0009 ]
    # PUBCOMP was lost: PUBREL is answered again.
    a drop
    a resume
    a> 62 [ 0009 ]
    a< 70 [ 0009 <92> ]
    a> 34 [ "t" 0009 {} 'y' ]
    a< 50 [ 0009 ]
    s< 30 [ "t" {} 'y' ]
"#;

/// Telemetry too, whose acknowledgement waits for the disk.
pub(crate) const QOS_2_TELEMETRY: &str = r#"
    s connect
    s subscribe "devices/#" 00
    a kept
    a> 34 [ "devices/a" 0009 {} 'x' ] 3C [ "devices/a" 0009 {} 'x' ]
    a< 50 [ 0009 ]
    a< 50 [ 0009 ]
    a drop
    a resume
    a> 3C [ "devices/a" 0009 {} 'x' ]
    a< 50 [ 0009 ]
    a> 62 [ 0009 ]
    a< 70 [ 0009 ]
    a> 30 [ "devices/a" {} 'marker' ]
    s< 30 [ "devices/a" {} 'x' ]
    s< 30 [ "devices/a" {} 'marker' ]
"#;

pub(crate) const RESENT_IN_ORDER: &str = r#"
    s kept
    s subscribe "t" 02
    a connect
    a> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ] 32 [ "t" 0003 {} '3' ] 34 [ "t" 0004 {} '4' ]
    s< 32 [ "t" $one {} '1' ]
    s< 34 [ "t" $two {} '2' ]
    s< 32 [ "t" $three {} '3' ]
    s< 34 [ "t" $four {} '4' ]
    s drop
    # Published while it is away: behind what was sent before.
    a> 32 [ "t" 0005 {} '5' ]
    a< 40 [ 0001 ]
    a< 50 [ 0002 ]
    a< 40 [ 0003 ]
    a< 50 [ 0004 ]
    a< 40 [ 0005 ]
    s resume
    s< 3A [ "t" $one {} '1' ]
    s< 3C [ "t" $two {} '2' ]
    s< 3A [ "t" $three {} '3' ]
    s< 3C [ "t" $four {} '4' ]
    s< 32 [ "t" $five {} '5' ]
"#;

/// While a connection lasts nothing is sent twice, however long an answer takes.
pub(crate) const RESENT_ONLY_ON_RECONNECT: &str = r#"
    s kept
    s subscribe "t" 02
    a connect
    a> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ]
    s< 32 [ "t" $one {} '1' ]
    s< 34 [ "t" $two {} '2' ]
    pass 2200
    s served
    s drop
    s resume
    s< 3A [ "t" $one {} '1' ]
    s< 3C [ "t" $two {} '2' ]
    s> 40 [ $one ] 50 [ $two ]
    s< 62 [ $two ]
    s> 70 [ $two ]
    s drop
    s resume
    s served
"#;

pub(crate) const ADDED_TO_EVERY_SESSION: &str = r#"
    a connect
    a subscribe "t/#" 01
    b kept
    b subscribe "t/+" 02
    b disconnect
    c connect
    c subscribe "t/x" 00
    d connect
    d subscribe "u/#" 01
    p connect
    p> 34 [ "t/x" 0001 {} '1' ]
    p< 50 [ 0001 ]
    a< 32 [ "t/x" $a {} '1' ]
    c< 30 [ "t/x" {} '1' ]
    b resume
    b< 34 [ "t/x" $b {} '1' ]
    d served
"#;

/// From one publisher, of one QoS and one topic.
pub(crate) const ORDERED: &str = r#"
    s connect
    s subscribe "t/#" 02
    s subscribe "marker" 00
    a connect
    a> 30 [ "t/a" {} '1' ] 30 [ "t/a" {} '2' ] 30 [ "t/a" {} '3' ] 30 [ "t/a" {} '4' ]
    s< 30 [ "t/a" {} '1' ]
    s< 30 [ "t/a" {} '2' ]
    s< 30 [ "t/a" {} '3' ]
    s< 30 [ "t/a" {} '4' ]
    a> 32 [ "t/a" 0001 {} '1' ] 32 [ "t/a" 0002 {} '2' ] 32 [ "t/a" 0003 {} '3' ]
    s< 32 [ "t/a" $one {} '1' ]
    s< 32 [ "t/a" $two {} '2' ]
    s< 32 [ "t/a" $three {} '3' ]
    a< 40 [ 0001 ]
    a< 40 [ 0002 ]
    a< 40 [ 0003 ]
    a> 34 [ "t/a" 0001 {} '1' ] 34 [ "t/a" 0002 {} '2' ] 34 [ "t/a" 0003 {} '3' ]
    s< 34 [ "t/a" $four {} '1' ]
    s< 34 [ "t/a" $five {} '2' ]
    s< 34 [ "t/a" $six {} '3' ]
"#;

pub(crate) const HASH_IN_FILTERS: &str = r##"
    a connect
    a subscribe "#" 00
    a subscribe "t/#" 00
    a> 82 [ 0001 {} "t#" 00 "t/#/u" 00 "#/t" 00 ]
    a< 90 [ 0001 {} !8F !8F !8F ]
    p connect
    p> 30 [ "t" {} '1' ]
    a gathers 30 [ "t" {} '1' ] | 30 [ "t" {} '1' ]
    p> 30 [ "t/u/v" {} '2' ]
    a gathers 30 [ "t/u/v" {} '2' ] | 30 [ "t/u/v" {} '2' ]
    p> 30 [ "tu" {} '3' ]
    a< 30 [ "tu" {} '3' ]
"##;

pub(crate) const PLUS_IN_FILTERS: &str = r#"
    a connect
    a subscribe "+/b" 00
    a subscribe "a/+" 00
    a> 82 [ 0001 {} "a+" 00 "+a/b" 00 "a/b+" 00 ]
    a< 90 [ 0001 {} !8F !8F !8F ]
    p connect
    p> 30 [ "/b" {} '1' ] 30 [ "a/b/c" {} '2' ] 30 [ "a" {} '3' ] 30 [ "a/" {} '4' ]
    a gathers 30 [ "/b" {} '1' ] | 30 [ "a/" {} '4' ]
    b connect
    b subscribe "+/+" 00
    b subscribe "/+" 00
    b subscribe "+" 00
    p> 30 [ "/x" {} '5' ]
    b gathers 30 [ "/x" {} '5' ] | 30 [ "/x" {} '5' ]
    p> 30 [ "x" {} '6' ]
    b< 30 [ "x" {} '6' ]
"#;

/// `$SYS/broker/uptime` is published by the broker itself; whatever it says, it does not come
/// through `#` or `+`.
pub(crate) const DOLLAR_TOPICS: &str = r##"
    a connect
    a subscribe "#" 00
    a subscribe "+/monitor/Clients" 00
    b connect
    # No client may publish there, so nothing can reach anybody through it.
    b> 30 [ "$SYS/monitor/Clients" {} 'x' ]
    b> 30 [ "t" {} 'marker' ]
    a< 30 [ "t" {} 'marker' ]
"##;

pub(crate) const EMPTY_FILTER: &str = r#"
    a connect
    a> 82 [ 0001 {} "" 00 ]
    a< 90 [ 0001 {} !8F ]
    a> 30 [ "" {} 'x' ]
    a fails 82
"#;

pub(crate) const NULL_IN_TOPICS: &str = r#"
    a connect
    a> 30 [ 0003 740074 {} 'x' ]
    a fails 81
    b connect
    b> 82 [ 0001 {} 0003 740074 00 ]
    b fails 81
"#;

/// The longest there can be.
pub(crate) const LONGEST_TOPIC: &str = r#"
    s connect
    s subscribe "t"*65535 00
    a connect
    a> 30 [ "t"*65535 {} 'x' ]
    s< 30 [ "t"*65535 {} 'x' ]
"#;

/// Case, blanks, slashes, accents in two spellings and the two bytes of a surrogate-free emoji: all
/// are what they are.
pub(crate) const NOTHING_IS_NORMALISED: &str = "
    s connect
    s subscribe \"A/b\" 00
    s subscribe \"/t\" 00
    s subscribe \"t /x\" 00
    s subscribe \"caf\u{E9}\" 00
    s subscribe \"温度/+/\u{1F321}\" 00
    s subscribe \"marker\" 00
    a connect
    a> 30 [ \"a/b\" {} '1' ] 30 [ \"t\" {} '2' ] 30 [ \"t/x\" {} '3' ] 30 [ \"//t\" {} '4' ]
    a> 30 [ \"cafe\u{301}\" {} '5' ] 30 [ \"marker\" {} ]
    s< 30 [ \"marker\" {} ]
    a> 30 [ \"A/b\" {} '1' ] 30 [ \"/t\" {} '2' ] 30 [ \"t /x\" {} '3' ] 30 [ \"caf\u{E9}\" {} '4' ]
    s< 30 [ \"A/b\" {} '1' ]
    s< 30 [ \"/t\" {} '2' ]
    s< 30 [ \"t /x\" {} '3' ]
    s< 30 [ \"caf\u{E9}\" {} '4' ]
    a> 30 [ \"温度/é/\u{1F321}\" {} '5' ]
    s< 30 [ \"温度/é/\u{1F321}\" {} '5' ]
";

pub(crate) const VIOLATION_CLOSES: &str = r#"
    # Packets only a server sends, one that does not exist, one too long for its length.
    a connect
    a> 20 [ 00 00 {} ]
    a fails 82
    b connect
    b> 90 [ 0001 {} 00 ]
    b fails 82
    c connect
    c> D0 []
    c fails 82
    d connect
    d> 30 FFFFFFFF7F
    d fails 81
    e connect
    e> 32 [ "t" 00 ]
    e fails 81
"#;
