//! Network connections (4.2) and WebSocket (6).

use mqtt::Version;

use crate::both::websocket;
use crate::table::{CLIENT, Section, exempt, shown};

pub(crate) const TRANSPORT: Section = Section {
    version: Version::V5,
    name: "5.0: transport",
    rows: &[
        shown(
            &["4.2-1"],
            "a stream of bytes, however it is cut",
            r#"
                a open
                a> 10
                a> 0E 00 04 'MQ'
                a> 'TT' 05 02 00 00 00 00 01 'a'
                a< 20 [ 00 00 [ * ] ]
                a> C0
                a> 00 C0 00 C0
                a< D0 []
                a< D0 []
                a> 00
                a< D0 []
            "#,
        ),
        shown(
            &["6.0.0-1"],
            "packets come in binary frames; another kind of data ends the connection",
            websocket::BINARY_FRAMES,
        ),
        shown(
            &["6.0.0-2"],
            "packets need not begin or end where frames do",
            websocket::NOT_ALIGNED,
        ),
        shown(
            &["6.0.0-4"],
            "the sub-protocol chosen is `mqtt`",
            websocket::SUB_PROTOCOL,
        ),
        exempt(
            &["6.0.0-3"],
            "a client offers the sub-protocol `mqtt`",
            CLIENT,
        ),
    ],
};
