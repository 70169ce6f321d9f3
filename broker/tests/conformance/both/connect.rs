//! CONNECT, CONNACK, sessions and wills, PINGREQ, DISCONNECT.

pub(crate) const FIRST_PACKET: &str = r#"
    a open
    a> C0 []
    a< closed
    b open
    b> 30 [ "t" {} 'x' ]
    b< closed
"#;

pub(crate) const SECOND_CONNECT: &str = r#"
    a connect
    a> 10 [ "MQTT" % 02 0000 {} "a" ]
    a fails 82
"#;

pub(crate) const PROTOCOL_NAME: &str = r#"
    a open
    a> 10 [ "MQTX" % 02 0000 {} "a" ]
    a< closed
    b open
    b> 10 [ "mqtt" % 02 0000 {} "b" ]
    b< closed
"#;

pub(crate) const RESERVED_FLAG: &str = r#"
    a open
    a> 10 [ "MQTT" % 03 0000 {} "a" ]
    a refused 81
"#;

pub(crate) const FIELDS_IN_ORDER: &str = r#"
    # All of them, each where it belongs.
    a open
    a> 10 [ "MQTT" % C6 0000 {} "a" {} "w" "bye" "user" "secret" ]
    a accepted
    a served
    # The will's topic and payload are missing.
    b open
    b> 10 [ "MQTT" % 06 0000 {} "b" ]
    b refused 81
"#;

pub(crate) const WILL_FIELDS_MISSING: &str = r#"
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} ]
    a refused 81
    b open
    b> 10 [ "MQTT" % 06 0000 {} "b" {} "w" ]
    b refused 81
"#;

pub(crate) const WILL_FIELDS_WITHOUT_FLAG: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} "a" {} "w" "bye" ]
    a refused 81
"#;

pub(crate) const WILL_QOS_WITHOUT_WILL: &str = r#"
    a open
    a> 10 [ "MQTT" % 0A 0000 {} "a" ]
    a refused 81
    b open
    b> 10 [ "MQTT" % 12 0000 {} "b" ]
    b refused 81
"#;

pub(crate) const WILL_RETAIN_WITHOUT_WILL: &str = r#"
    a open
    a> 10 [ "MQTT" % 22 0000 {} "a" ]
    a refused 81
"#;

pub(crate) const WILL_QOS: &str = r#"
    s connect
    s subscribe "w" 02
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "0" ]
    a accepted
    a drop
    s< 30 [ "w" {} '0' ]
    b open
    b> 10 [ "MQTT" % 0E 0000 {} "b" {} "w" "1" ]
    b accepted
    b drop
    s< 32 [ "w" $one {} '1' ]
    c open
    c> 10 [ "MQTT" % 16 0000 {} "c" {} "w" "2" ]
    c accepted
    c drop
    s< 34 [ "w" $two {} '2' ]
    d open
    d> 10 [ "MQTT" % 1E 0000 {} "d" {} "w" "3" ]
    d refused 81
"#;

pub(crate) const WILL_PUBLISHED: &str = r#"
    s connect
    s subscribe "w" 00
    # Stored while the client is there …
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "bye" ]
    a accepted
    a served
    s served
    # … published when the network fails …
    a drop
    s< 30 [ "w" {} 'bye' ]
    # … and when the client breaks the protocol.
    b open
    b> 10 [ "MQTT" % 06 0000 {} "b" {} "w" "broken" ]
    b accepted
    b> F1 []
    b fails 81
    s< 30 [ "w" {} 'broken' ]
"#;

/// The marker shows that nothing was published in between.
pub(crate) const WILL_DISCARDED: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "bye" ]
    a accepted
    a disconnect
    b connect
    b> 30 [ "w" {} 'marker' ]
    s< 30 [ "w" {} 'marker' ]
"#;

pub(crate) const WILL_ONCE: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "bye" ]
    a accepted
    a drop
    s< 30 [ "w" {} 'bye' ]
    # The next connection of the same client has none.
    a connect
    a drop
    b connect
    b> 30 [ "w" {} 'marker' ]
    s< 30 [ "w" {} 'marker' ]
"#;

pub(crate) const WILL_NOT_RETAINED: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "bye" ]
    a accepted
    a drop
    s< 30 [ "w" {} 'bye' ]
    b connect
    b subscribe "w" 00
    b served
"#;

pub(crate) const WILL_RETAINED: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" % 26 0000 {} "a" {} "w" "bye" ]
    a accepted
    a drop
    s< 30 [ "w" {} 'bye' ]
    b connect
    b subscribe "w" 00
    b< 31 [ "w" {} 'bye' ]
"#;

pub(crate) const USER_WITHOUT_FLAG: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} "a" "user" ]
    a refused 81
"#;

pub(crate) const USER_MISSING: &str = r#"
    a open
    a> 10 [ "MQTT" % 82 0000 {} "a" ]
    a refused 81
"#;

pub(crate) const PASSWORD_WITHOUT_FLAG: &str = r#"
    a open
    a> 10 [ "MQTT" % 82 0000 {} "a" "user" "secret" ]
    a refused 81
"#;

pub(crate) const PASSWORD_MISSING: &str = r#"
    a open
    a> 10 [ "MQTT" % C2 0000 {} "a" "user" ]
    a refused 81
"#;

/// One second of keep-alive: silence ends the connection, and the will is published.
pub(crate) const KEEP_ALIVE: &str = r#"
    s connect
    s subscribe "w" 00
    a open
    a> 10 [ "MQTT" % 06 0001 {} "a" {} "w" "silent" ]
    a accepted
    a fails 8D
    s< 30 [ "w" {} 'silent' ]
"#;

/// What one client left stays its own.
pub(crate) const CLIENT_ID_IS_THE_SESSION: &str = r#"
    a kept
    a subscribe "t" 01
    a disconnect
    b kept
    b served
    a resume
    p connect
    p> 30 [ "t" {} 'x' ]
    a< 30 [ "t" {} 'x' ]
    p> C0 []
    p< D0 []
    b served
"#;

pub(crate) const CLIENT_ID_MISSING: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} ]
    a refused 81
"#;

pub(crate) const CLIENT_ID_NOT_UTF8: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} 0002 C328 ]
    a refused 81
"#;

pub(crate) const CLIENT_ID_CHARACTERS: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} "0123456789abcdefghijklm" ]
    a accepted
    b open
    b> 10 [ "MQTT" % 02 0000 {} "nopqrstuvwxyzABCDEFGHIJ" ]
    b accepted
    c open
    c> 10 [ "MQTT" % 02 0000 {} "KLMNOPQRSTUVWXYZ" ]
    c accepted
    d open
    d> 10 [ "MQTT" % 02 0000 {} "Z" ]
    d accepted
"#;

pub(crate) const WILL_TOPIC_NOT_UTF8: &str = r#"
    a open
    a> 10 [ "MQTT" % 06 0000 {} "a" {} 0002 C328 "bye" ]
    a refused 81
"#;

pub(crate) const USER_NOT_UTF8: &str = r#"
    a open
    a> 10 [ "MQTT" % 82 0000 {} "a" 0002 C328 ]
    a refused 81
"#;

pub(crate) const MALFORMED: &str = r#"
    # One byte too many behind the last field.
    a open
    a> 10 [ "MQTT" % 02 0000 {} "a" 00 ]
    a refused 81
    # Cut off inside the keep-alive.
    b open
    b> 10 [ "MQTT" % 02 00 ]
    b refused 81
"#;

pub(crate) const TAKE_OVER: &str = r#"
    a connect
    a' connect
    a fails 8E
    a' served
"#;

pub(crate) const ACCEPTED: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 003C {} "a" ]
    a< 20 [ 00 00 {*} ]
    a served
"#;

/// A publish right behind a CONNECT that is refused does nothing.
pub(crate) const NOTHING_AFTER_A_REFUSAL: &str = r#"
    s connect
    s subscribe "t" 00
    a open
    a> 10 [ "MQTT" % 03 0000 {} "a" ] 30 [ "t" {} 'x' ]
    a refused 81
    b connect
    b> 30 [ "t" {} 'marker' ]
    s< 30 [ "t" {} 'marker' ]
"#;

/// Packets sent without waiting are answered after CONNACK.
pub(crate) const CONNACK_FIRST: &str = r#"
    a open
    a> 10 [ "MQTT" % 02 0000 {} "a" ] 82 [ 0001 {} "t" 00 ] C0 []
    a< 20 [ 00 00 {*} ]
    a< 90 [ 0001 {} 00 ]
    a< D0 []
"#;

/// A kept session's queue, too, waits for CONNACK.
pub(crate) const CONNACK_BEFORE_THE_QUEUE: &str = r#"
    a kept
    a subscribe "t" 01
    a disconnect
    b connect
    b> 32 [ "t" 0001 {} 'x' ]
    b< 40 [ 0001 ]
    a resume
    a< 32 [ "t" $id {} 'x' ]
"#;

pub(crate) const CLEAN_START: &str = r#"
    a kept
    a subscribe "t" 01
    a disconnect
    b connect
    b> 32 [ "t" 0001 {} 'old' ]
    b< 40 [ 0001 ]
    # Neither the subscription nor the queue is there any more.
    a connect
    a served
    b> 32 [ "t" 0002 {} 'new' ]
    b< 40 [ 0002 <10> ]
    a served
    a disconnect
    # And it left nothing behind itself.
    a kept
    a served
"#;

pub(crate) const SESSION_RESUMED: &str = r#"
    a kept
    a subscribe "t" 01
    a disconnect
    a resume
    b connect
    b> 32 [ "t" 0001 {} 'x' ]
    b< 40 [ 0001 ]
    a< 32 [ "t" $id {} 'x' ]
"#;

pub(crate) const SESSION_CREATED: &str = r#"
    a kept
    a served
    a disconnect
    a resume
"#;

pub(crate) const QUEUED_WHILE_AWAY: &str = r#"
    a kept
    a subscribe "t" 02
    a disconnect
    b connect
    b> 32 [ "t" 0001 {} '1' ]
    b< 40 [ 0001 ]
    b> 34 [ "t" 0002 {} '2' ]
    b< 50 [ 0002 ]
    b> 62 [ 0002 ]
    b< 70 [ 0002 ]
    a resume
    a< 32 [ "t" $one {} '1' ]
    a< 34 [ "t" $two {} '2' ]
    differ one two
"#;

pub(crate) const SESSION_WHILE_CONNECTED: &str = r#"
    a connect
    a subscribe "t" 01
    b connect
    b> 30 [ "t" {} 'x' ]
    a< 30 [ "t" {} 'x' ]
    pass 1200
    b> 30 [ "t" {} 'y' ]
    a< 30 [ "t" {} 'y' ]
"#;

pub(crate) const PING: &str = r#"
    a connect
    a> C0 [] C0 []
    a< D0 []
    a< D0 []
"#;

pub(crate) const DISCONNECT_FLAGS: &str = r#"
    a connect
    a> E1 []
    a fails 81
"#;
