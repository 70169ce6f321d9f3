//! Shared subscriptions, as a group's members see them.

use super::{both, v5};

#[test]
fn each_message_goes_to_one_member_in_turn() {
    both(
        r#"
        a connect
        a subscribe "$share/g/t" 01
        b connect
        b subscribe "$share/g/t" 01
        p connect
        p> 30 [ "t" {} '1' ] 30 [ "t" {} '2' ] 30 [ "t" {} '3' ] 30 [ "t" {} '4' ] C0 []
        p< D0 []
        a gathers 30 [ "t" {} * ] | 30 [ "t" {} * ]
        b gathers 30 [ "t" {} * ] | 30 [ "t" {} * ]
        a served
        b served
        "#,
    );
}

#[test]
fn a_group_is_its_name_and_its_filter() {
    both(
        r##"
        a connect
        a subscribe "$share/g/t/#" 00
        b connect
        b subscribe "$share/h/t/#" 00
        c connect
        c subscribe "$share/g/t/+" 00
        d connect
        d subscribe "t/x" 00
        p connect
        p> 30 [ "t/x" {} '1' ]
        a< 30 [ "t/x" {} '1' ]
        b< 30 [ "t/x" {} '1' ]
        c< 30 [ "t/x" {} '1' ]
        d< 30 [ "t/x" {} '1' ]
        "##,
    );
}

#[test]
fn a_member_that_leaves_takes_nothing_with_it() {
    both(
        r#"
        a connect
        a subscribe "$share/g/t" 01
        p connect
        p> 32 [ "t" 0001 {} '1' ] 32 [ "t" 0002 {} '2' ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        a< 32 [ "t" $one {} '1' ]
        a< 32 [ "t" $two {} '2' ]
        a> 40 [ $one ]
        a served
        b connect
        b subscribe "$share/g/t" 01
        a drop
        b< 32 [ "t" $again {} '2' ]
        b> 40 [ $again ]
        b served
        "#,
    );
}

#[test]
fn retained_messages_are_not_for_groups() {
    v5(r#"
        p connect
        p> 31 [ "t" [] 'kept' ]
        p served
        a connect
        a subscribe "$share/g/t" 00
        a served
        p> 31 [ "t" [] 'new' ]
        a< 30 [ "t" [] 'new' ]
    "#);
}

#[test]
fn each_member_has_its_own_options() {
    v5(r#"
        a connect
        a> 82 [ 0001 [ 0B 05 ] "$share/g/t" 08 ]
        a< 90 [ 0001 [] 00 ]
        p connect
        p> 33 [ "t" 0001 [] '1' ]
        p< 40 [ 0001 ]
        a< 31 [ "t" [ 0B 05 ] '1' ]
        a disconnect
        b connect
        b> 82 [ 0001 [ 0B 06 ] "$share/g/t" 01 ]
        b< 90 [ 0001 [] 01 ]
        p> 33 [ "t" 0002 [] '2' ]
        p< 40 [ 0002 ]
        b< 32 [ "t" $id [ 0B 06 ] '2' ]
    "#);
}

/// A member that is away gets its group's messages while nobody else is there, and not those
/// another can take.
#[test]
fn a_kept_member_is_the_last_resort() {
    both(
        r#"
        a kept
        a subscribe "$share/g/t" 01
        b connect
        b subscribe "$share/g/t" 01
        a disconnect
        p connect
        p> 32 [ "t" 0001 {} '1' ] 32 [ "t" 0002 {} '2' ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        b< 32 [ "t" $one {} '1' ]
        b< 32 [ "t" $two {} '2' ]
        b> 40 [ $one ] 40 [ $two ]
        b served
        b disconnect
        p> 32 [ "t" 0003 {} '3' ]
        p< 40 [ 0003 ]
        a resume
        a< 32 [ "t" $three {} '3' ]
        "#,
    );
}

#[test]
fn shared_subscriptions_are_announced() {
    v5(r#"
        a open
        a> 10 [ "MQTT" 05 02 0000 [] "a" ]
        a accepted without 2A 28 29
    "#);
}
