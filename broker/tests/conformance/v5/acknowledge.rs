//! PUBACK (3.4), PUBREC (3.5), PUBREL (3.6), PUBCOMP (3.7).

use mqtt::Version;

use crate::both::publish;
use crate::table::{Proof, Section, exempt, shown};

/// No acknowledgement has either property, so none can make it too large.
const NO_WORDS: Proof = Proof::Exempt("the broker's acknowledgements have no properties");

pub(crate) const ACKNOWLEDGE: Section = Section {
    version: Version::V5,
    name: "5.0: PUBACK, PUBREC, PUBREL, PUBCOMP",
    rows: &[
        shown(
            &["3.4.2-1"],
            "PUBACK has a reason code of its table, in both directions",
            r#"
                a connect
                a> 32 [ "t" 0001 [] 'x' ]
                a< 40 [ 0001 10 ]
                a> 32 [ "alerts/active/x" 0002 [] 'x' ]
                a< 40 [ 0002 87 ]
                a subscribe "t" 01
                b connect
                b> 32 [ "t" 0001 [] 'y' ]
                a< 32 [ "t" $id [] 'y' ]
                a> 40 [ $id 92 ]
                a fails 82
            "#,
        ),
        exempt(&["3.4.2-2", "3.4.2-3"], "PUBACK's size", NO_WORDS),
        shown(
            &["3.5.2-1"],
            "PUBREC has a reason code of its table, in both directions",
            r#"
                a connect
                a> 34 [ "t" 0001 [] 'x' ]
                a< 50 [ 0001 10 ]
                a> 34 [ "alerts/active/x" 0002 [] 'x' ]
                a< 50 [ 0002 87 ]
                a subscribe "t" 02
                b connect
                b> 34 [ "t" 0001 [] 'y' ]
                a< 34 [ "t" $id [] 'y' ]
                a> 50 [ $id 92 ]
                a fails 82
            "#,
        ),
        exempt(&["3.5.2-2", "3.5.2-3"], "PUBREC's size", NO_WORDS),
        shown(
            &["3.6.1-1"],
            "PUBREL with other flags is malformed",
            publish::PUBREL_FLAGS,
        ),
        shown(
            &["3.6.2-1"],
            "PUBREL has a reason code of its table: 0x92 for an unknown PUBREC, and no other from a client",
            r#"
                a connect
                a> 50 [ 1234 ]
                a< 62 [ 1234 92 ]
                a> 62 [ 0001 87 ]
                a fails 82
            "#,
        ),
        exempt(&["3.6.2-2", "3.6.2-3"], "PUBREL's size", NO_WORDS),
        shown(
            &["3.7.2-1"],
            "PUBCOMP has a reason code of its table: 0x92 for an unknown PUBREL, and no other from a client",
            r#"
                a connect
                a> 34 [ "t" 0001 [] 'x' ]
                a< 50 [ 0001 10 ]
                a> 62 [ 0001 00 [] ]
                a< 70 [ 0001 ]
                a> 62 [ 0001 ]
                a< 70 [ 0001 92 ]
                a> 70 [ 0001 87 ]
                a fails 82
            "#,
        ),
        exempt(&["3.7.2-2", "3.7.2-3"], "PUBCOMP's size", NO_WORDS),
    ],
};
