//! Wills: when they are published, and with what.

use super::{both, v5};

#[test]
fn a_will_waits_for_its_delay() {
    v5(r#"
        s connect
        s subscribe "w" 00
        a open
        a> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "a" [ 18 00000002 ] "w" "late" ]
        a accepted
        a drop
        s served
        s< 30 [ "w" [] 'late' ]
        # A new connection of a clean start ends the session, and with it the wait.
        b open
        b> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "b" [ 18 000000FF ] "w" "session ended" ]
        b accepted
        b drop
        b connect
        s< 30 [ "w" [] 'session ended' ]
        # Resumed in time: nothing is published, then or later.
        c open
        c> 10 [ "MQTT" 05 06 0000 [ 11 00000064 ] "c" [ 18 00000002 ] "w" "cancelled" ]
        c accepted
        c drop
        c resume
        pass 3300
        p connect
        p> 30 [ "w" [] 'marker' ]
        s< 30 [ "w" [] 'marker' ]
        c served
    "#);
}

#[test]
fn a_take_over_publishes_the_will_of_who_is_gone() {
    both(
        r#"
        s connect
        s subscribe "w" 00
        a open
        a> 10 [ "MQTT" % 06 0000 {} "a" {} "w" "taken over" ]
        a accepted
        a' connect
        a fails 8E
        s< 30 [ "w" {} 'taken over' ]
        a' served
        "#,
    );
}

#[test]
fn a_will_has_the_properties_of_a_message() {
    v5(r#"
        s connect
        s subscribe "w" 00
        a open
        a> 10 [ "MQTT" 05 06 0000 [] "a" [ 01 01 03 "text" 08 "r" 09 0001 FF 26 "k" "v" ] "w" "bye" ]
        a accepted
        a drop
        s< 30 [ "w" [ 01 01 03 "text" 08 "r" 09 0001 FF 26 "k" "v" ] 'bye' ]
        # Its own are not passed on: the delay says when, not what.
        b open
        b> 10 [ "MQTT" 05 06 0000 [] "b" [ 18 00000005 26 "k" "v" 02 00000064 ] "w" "bye" ]
        b accepted
        b drop
        s< 30 [ "w" [ 02 00000060~64 26 "k" "v" ] 'bye' ]
    "#);
}

#[test]
fn a_will_waits_for_kept_sessions_as_any_message() {
    both(
        r#"
        s kept
        s subscribe "w" 02
        s disconnect
        a open
        a> 10 [ "MQTT" % 0E 0000 {} "a" {} "w" "one" ]
        a accepted
        a drop
        b open
        b> 10 [ "MQTT" % 16 0000 {} "b" {} "w" "two" ]
        b accepted
        b drop
        s resume
        s< 32 [ "w" $one {} 'one' ]
        s< 34 [ "w" $two {} 'two' ]
        "#,
    );
}

#[test]
fn an_empty_retained_will_clears() {
    both(
        r#"
        p connect
        p> 31 [ "w" {} 'online' ]
        p served
        s connect
        s subscribe "w" 00
        s< 31 [ "w" {} 'online' ]
        a open
        a> 10 [ "MQTT" % 26 0000 {} "a" {} "w" "" ]
        a accepted
        a drop
        s< 30 [ "w" {} ]
        b connect
        b subscribe "w" 00
        b served
        "#,
    );
}

/// Whoever speaks for a device must be allowed to, also after its death.
#[test]
fn a_will_where_nobody_may_publish_is_refused_at_once() {
    both(
        r#"
        a open
        a> 10 [ "MQTT" % 06 0000 {} "a" {} "alerts/active/x" "bye" ]
        a refused 87 05
        "#,
    );
}

#[test]
fn a_disconnect_may_ask_for_the_will() {
    v5(r#"
        s connect
        s subscribe "w" 00
        a open
        a> 10 [ "MQTT" 05 06 0000 [] "a" [] "w" "asked for" ]
        a accepted
        a> E0 [ 04 ]
        a< closed
        s< 30 [ "w" [] 'asked for' ]
        # With any error of the client's, too.
        b open
        b> 10 [ "MQTT" 05 06 0000 [] "b" [] "w" "in trouble" ]
        b accepted
        b> E0 [ 83 ]
        b< closed
        s< 30 [ "w" [] 'in trouble' ]
    "#);
}
