//! Chapters 6 and 7: WebSocket, and what conforms.

use mqtt::Version;

use crate::both::websocket;
use crate::table::{CLIENT, Proof, Section, exempt, shown};

pub(crate) const TRANSPORT: Section = Section {
    version: Version::V311,
    name: "3.1.1: transport and conformance",
    rows: &[
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
        exempt(
            &["7.0.0-1"],
            "a server that connects to others is a conforming client too",
            Proof::Exempt("this broker connects to nobody"),
        ),
        exempt(
            &["7.0.0-2"],
            "no extension is needed to interoperate",
            Proof::Exempt("every case of these tables does without"),
        ),
        shown(
            &["7.1.1-1"],
            "a stream of bytes, however it is cut",
            r#"
                a open
                a> 10
                a> 0D 00 04 'MQ'
                a> 'TT' 04 02 00 00 00 01 'a'
                a< 20 [ 00 00 ]
                a> C0
                a> 00 C0 00 C0
                a< D0 []
                a< D0 []
                a> 00
                a< D0 []
            "#,
        ),
        exempt(&["7.1.2-1"], "a client uses such a transport", CLIENT),
    ],
};
