//! What clients find again when the broker was restarted.

use super::{both, v5};

#[test]
fn a_kept_session_survives_a_restart() {
    both(
        r#"
        a kept
        a subscribe "t" 02
        b connect
        b> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ] 34 [ "t" 0003 {} 'over' ]
        a< 32 [ "t" $one {} '1' ]
        a< 34 [ "t" $two {} '2' ]
        a< 34 [ "t" $over {} 'over' ]
        a> 50 [ $two ] 50 [ $over ]
        a< 62 [ $two ]
        a< 62 [ $over ]
        a> 70 [ $over ]
        a served
        a drop
        b> 32 [ "t" 0004 {} '3' ] 30 [ "t" {} 'does not wait' ]
        b< 40 [ 0001 ]
        b< 50 [ 0002 ]
        b< 50 [ 0003 ]
        b< 40 [ 0004 ]
        stop
        start
        c connect
        c> 32 [ "t" 0001 {} '4' ]
        c< 40 [ 0001 ]
        a resume
        a< 3A [ "t" $one {} '1' ]
        a< 62 [ $two ]
        a< 32 [ "t" $three {} '3' ]
        a< 32 [ "t" $four {} '4' ]
        a served
        "#,
    );
}

#[test]
fn the_server_says_when_it_ends() {
    both(
        r#"
        a connect
        b kept
        stop
        a fails 8B
        b fails 8B
        start
        b resume
        "#,
    );
}

/// A publish that was received stays received: sent again after the restart it is no second
/// message.
#[test]
fn qos_2_exchanges_go_on_after_a_restart() {
    both(
        r##"
        p kept
        p> 34 [ "t" 0001 {} 'x' ] 34 [ "devices/a/t" 0002 {} 'y' ]
        p< 50 [ 0001 <10> ]
        p< 50 [ 0002 ]
        p drop
        stop
        start
        s connect
        s subscribe "#" 00
        p resume
        p> 3C [ "t" 0001 {} 'x' ] 3C [ "devices/a/t" 0002 {} 'y' ]
        p< 50 [ 0001 ]
        p< 50 [ 0002 ]
        p> 62 [ 0001 ] 62 [ 0002 ]
        p< 70 [ 0001 ]
        p< 70 [ 0002 ]
        p> 34 [ "t" 0001 {} 'marker' ]
        p< 50 [ 0001 ]
        s< 30 [ "t" {} 'marker' ]
        "##,
    );
}

#[test]
fn subscriptions_keep_their_options_over_a_restart() {
    v5(r##"
        s kept
        s> 82 [ 0001 [ 0B 11 ] "t/#" 09 ]
        s< 90 [ 0001 [] 01 ]
        s> 82 [ 0002 [] "own" 05 ]
        s< 90 [ 0002 [] 01 ]
        s disconnect
        stop
        start
        p connect
        p> 33 [ "t/a" 0001 [ 26 "k" "v" ] '1' ]
        p< 40 [ 0001 ]
        s resume
        s< 33 [ "t/a" $one [ 0B 11 26 "k" "v" ] '1' ]
        s> 30 [ "own" [] 'not for itself' ]
        p> 32 [ "own" 0002 [] '2' ]
        s< 32 [ "own" $two [] '2' ]
    "##);
}

/// What was clean leaves nothing behind.
#[test]
fn sessions_that_were_not_to_be_kept_are_gone_after_a_restart() {
    both(
        r#"
        a connect
        a subscribe "t" 01
        b kept
        b subscribe "t" 01
        b disconnect
        b connect
        stop
        start
        a kept
        b kept
        a served
        b served
        "#,
    );
}
