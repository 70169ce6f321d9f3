//! MQTT in WebSocket frames (chapter 6 of both versions).

pub(crate) const BINARY_FRAMES: &str = r#"
    config [[listener]]
    config kind = "ws"
    config address = "127.0.0.1:0"
    a websocket
    a> 10 [ "MQTT" % 02 0000 {} "a" ]
    a accepted
    a served
    a text C0 00
    a< closed
"#;

/// Several packets in a frame, and a packet in several frames.
pub(crate) const NOT_ALIGNED: &str = r#"
    config [[listener]]
    config kind = "ws"
    config address = "127.0.0.1:0"
    a websocket
    a> 10 [ "MQTT" % 02 0000 {} "a" ] 82 [ 0001 {} "t" 01 ] C0
    a accepted
    a< 90 [ 0001 {} 01 ]
    a> 00 32
    a< D0 []
    a> [ "t" 0001 {} 'x' ] C0 [] C0
    a gathers 40 [ 0001 ] | 32 [ "t" $id {} 'x' ] | D0 []
    a> 00
    a< D0 []
"#;

pub(crate) const SUB_PROTOCOL: &str = r#"
    config [[listener]]
    config kind = "ws"
    config address = "127.0.0.1:0"
    # Checked in the answer to the upgrade.
    a websocket
    a> 10 [ "MQTT" % 02 0000 {} "a" ]
    a accepted
"#;
