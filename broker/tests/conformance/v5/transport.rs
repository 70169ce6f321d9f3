//! Network connections (4.2) and WebSocket (6).

use broker::packet::Version;

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
        exempt(
            &["6.0.0-3"],
            "a client offers the sub-protocol `mqtt`",
            CLIENT,
        ),
    ],
};
