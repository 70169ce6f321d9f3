//! Sessions and flow control: what lasts longer than a packet.

use super::{both, v5};
use crate::both::{connect, delivery};

#[test]
fn what_is_published_while_a_client_is_away_waits_for_it() {
    both(connect::QUEUED_WHILE_AWAY);
    // QoS 0 does not wait; what waits keeps its order, over several filters too.
    both(
        r##"
        a kept
        a subscribe "t/#" 01
        a subscribe "u" 02
        a disconnect
        p connect
        p> 32 [ "t/1" 0001 {} '1' ] 30 [ "u" {} 'lost' ] 34 [ "u" 0002 {} '2' ]
        p< 40 [ 0001 ]
        p< 50 [ 0002 ]
        p> 62 [ 0002 ]
        p< 70 [ 0002 ]
        p> 32 [ "t/2" 0003 {} '3' ]
        p< 40 [ 0003 ]
        a resume
        a gathers 32 [ "t/1" $one {} '1' ] | 34 [ "u" $two {} '2' ] | 32 [ "t/2" $three {} '3' ]
        a served
        "##,
    );
}

#[test]
fn a_session_of_one_version_is_resumed_in_the_other() {
    v5(r#"
        a kept
        a subscribe "t" 01
        a disconnect
        p connect
        p> 32 [ "t" 0001 [ 26 "k" "v" ] '1' ]
        p< 40 [ 0001 ]
        # The properties stay behind; a 3.1.1 client has no place for them.
        a open
        a> 10 [ "MQTT" 04 00 0000 "a" ]
        a< 20 [ 01 00 ]
        a< 32 [ "t" $one '1' ]
        a> 40 [ $one ]
        a> E0 []
        a< closed
        p> 32 [ "t" 0002 [ 26 "k" "v" ] '2' ]
        p< 40 [ 0002 ]
        a resume
        a< 32 [ "t" $two [ 26 "k" "v" ] '2' ]
    "#);
}

#[test]
fn a_zero_length_client_id_is_given_one() {
    v5(r#"
        a open
        a> 10 [ "MQTT" 05 02 0000 [] "" ]
        a< 20 [ 00 00 [ * 12 00 ? 'millrace-' * ] ]
        a served
        # Without clean start too: it is new, so there is nothing to resume.
        b open
        b> 10 [ "MQTT" 05 00 0000 [ 11 00000064 ] "" ]
        b< 20 [ 00 00 [ * 12 00 ? 'millrace-' * ] ]
        b served
        # Who brings one is not told another.
        c open
        c> 10 [ "MQTT" 05 02 0000 [] "c" ]
        c accepted without 12
    "#);
}

#[test]
fn a_session_ends_when_its_expiry_has_passed_and_not_before() {
    v5(r#"
        a open
        a> 10 [ "MQTT" 05 02 0000 [ 11 0000000A ] "a" ]
        a accepted
        a subscribe "t" 01
        a disconnect
        a resume
        # This connection asked for 100 seconds; DISCONNECT makes it one.
        a> E0 [ 00 [ 11 00000001 ] ]
        a< closed
        pass 3200
        a kept
        a served
        # 0 with DISCONNECT: at once.
        a> E0 [ 00 [ 11 00000000 ] ]
        a< closed
        a kept
    "#);
}

#[test]
fn an_expiry_of_zero_cannot_be_raised_at_the_end() {
    v5(r#"
        a connect
        a> E0 [ 00 [ 11 00000001 ] ]
        a fails 82
    "#);
}

#[test]
fn a_take_over_hands_the_session_on() {
    both(
        r#"
        a kept
        a subscribe "t" 02
        p connect
        p> 32 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ]
        a< 32 [ "t" $one {} '1' ]
        a< 34 [ "t" $two {} '2' ]
        a> 50 [ $two ]
        a< 62 [ $two ]
        a' resume
        a fails 8E
        a'< 3A [ "t" $one {} '1' ]
        a'< 62 [ $two ]
        a'> 40 [ $one ] 70 [ $two ]
        a' served
        "#,
    );
}

#[test]
fn every_acknowledgement_may_be_lost() {
    both(delivery::QOS_1_SENDER);
    both(delivery::QOS_2_SENDER);
    both(delivery::QOS_2_RECEIVER);
    both(delivery::QOS_2_TELEMETRY);
}

/// Order over all states: PUBREL for what is past PUBREC, PUBLISH for the rest, then what is new.
#[test]
fn redelivery_keeps_the_order_of_the_first_delivery() {
    both(delivery::RESENT_IN_ORDER);
    both(
        r#"
        s kept
        s subscribe "t" 02
        a connect
        a> 34 [ "t" 0001 {} '1' ] 34 [ "t" 0002 {} '2' ] 34 [ "t" 0003 {} '3' ]
        s< 34 [ "t" $one {} '1' ]
        s< 34 [ "t" $two {} '2' ]
        s< 34 [ "t" $three {} '3' ]
        s> 50 [ $one ]
        s< 62 [ $one ]
        s drop
        a> 34 [ "t" 0004 {} '4' ]
        a< 50 [ 0001 ]
        a< 50 [ 0002 ]
        a< 50 [ 0003 ]
        a< 50 [ 0004 ]
        s resume
        s< 62 [ $one ]
        s< 3C [ "t" $two {} '2' ]
        s< 3C [ "t" $three {} '3' ]
        s< 34 [ "t" $four {} '4' ]
        s> 70 [ $one ] 50 [ $two ] 50 [ $three ] 50 [ $four ]
        s< 62 [ $two ]
        s< 62 [ $three ]
        s< 62 [ $four ]
        s> 70 [ $two ] 70 [ $three ] 70 [ $four ]
        s served
        "#,
    );
}

#[test]
fn a_client_gets_no_more_than_it_takes_at_a_time() {
    v5(r#"
        s open
        s> 10 [ "MQTT" 05 00 0000 [ 11 00000064 21 0001 ] "s" ]
        s accepted
        s subscribe "t" 02
        p connect
        p> 34 [ "t" 0001 [] '1' ] 32 [ "t" 0002 [] '2' ] 30 [ "t" [] '0' ]
        s< 34 [ "t" $one [] '1' ]
        s served
        # After a reconnect the quota counts what is in flight already.
        s drop
        s open
        s> 10 [ "MQTT" 05 00 0000 [ 11 00000064 21 0001 ] "s" ]
        s< 20 [ 01 00 [ * ] ]
        s< 3C [ "t" $one [] '1' ]
        s served
        s> 50 [ $one ]
        s< 62 [ $one ]
        s served
        s> 70 [ $one ]
        s< 32 [ "t" $two [] '2' ]
    "#);
}

#[test]
fn the_server_takes_no_more_than_it_said() {
    v5(r#"
        config receive_maximum = 2
        a open
        a> 10 [ "MQTT" 05 02 0000 [] "a" ]
        a< 20 [ 00 00 [ * 21 0002 * ] ]
        # QoS 1 is acknowledged at once, so any number is fine; open QoS 2 handshakes are what counts.
        a> 32 [ "t" 0001 [] 'x' ] 34 [ "t" 0002 [] 'x' ]
        a< 40 [ 0001 10 ]
        a< 50 [ 0002 10 ]
        a> 34 [ "t" 0003 [] 'x' ]
        a< 50 [ 0003 10 ]
        a> 34 [ "t" 0004 [] 'x' ]
        a fails 93
    "#);
}

/// Told in CONNACK, and enforced instead of what the client asked for.
#[test]
fn the_server_may_shorten_the_keep_alive() {
    v5(r#"
        config max_keep_alive = "1s"
        a open
        a> 10 [ "MQTT" 05 02 003C [] "a" ]
        a< 20 [ 00 00 [ * 13 0001 * ] ]
        b open
        b> 10 [ "MQTT" 05 02 0000 [] "b" ]
        b< 20 [ 00 00 [ * 13 0001 * ] ]
        a fails 8D
        b fails 8D
        c open
        c> 10 [ "MQTT" 05 02 0001 [] "c" ]
        c accepted without 13
    "#);
}

#[test]
fn a_shorter_session_expiry_is_told() {
    v5(r#"
        config max_session_expiry = "1h"
        a open
        a> 10 [ "MQTT" 05 00 0000 [ 11 FFFFFFFF ] "a" ]
        a< 20 [ 00 00 [ * 11 00000E10 * ] ]
        b open
        b> 10 [ "MQTT" 05 00 0000 [ 11 00000064 ] "b" ]
        b accepted without 11
    "#);
}

/// Options and identifiers are the subscription's, so they are the session's.
#[test]
fn subscriptions_are_resumed_with_their_options() {
    v5(r##"
        s kept
        s> 82 [ 0001 [ 0B 11 ] "t/#" 09 ]
        s< 90 [ 0001 [] 01 ]
        s> 82 [ 0002 [ 0B 12 ] "own" 06 ]
        s< 90 [ 0002 [] 02 ]
        s disconnect
        p connect
        p> 33 [ "t/a" 0001 [] '1' ]
        p< 40 [ 0001 ]
        s resume
        s< 33 [ "t/a" $one [ 0B 11 ] '1' ]
        s> 40 [ $one ]
        p> 31 [ "t/b" [] '2' ]
        s< 31 [ "t/b" [ 0B 11 ] '2' ]
        s> 30 [ "own" [] 'not for itself' ]
        p> 34 [ "own" 0002 [] '3' ]
        s< 34 [ "own" $two [ 0B 12 ] '3' ]
    "##);
}

/// What a connection agreed on does not bind the next: a larger window, a larger packet.
#[test]
fn limits_are_those_of_the_connection_and_not_of_the_session() {
    v5(r#"
        s kept 21 0001
        s subscribe "t" 01
        p connect
        p> 32 [ "t" 0001 [] '1' ] 32 [ "t" 0002 [] '2' ] 32 [ "t" 0003 [] '3' ]
        s< 32 [ "t" $one [] '1' ]
        s served
        s drop
        s resume 21 0003
        s< 3A [ "t" $one [] '1' ]
        s< 32 [ "t" $two [] '2' ]
        s< 32 [ "t" $three [] '3' ]
        s> 40 [ $one ] 40 [ $two ] 40 [ $three ]
        s disconnect
        p> 32 [ "t" 0004 [] 'x'*100 ] 32 [ "t" 0005 [] 'small' ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        p< 40 [ 0003 ]
        p< 40 [ 0004 ]
        p< 40 [ 0005 ]
        s resume 27 00000030
        s< 32 [ "t" $four [] 'small' ]
    "#);
}

#[test]
fn a_message_waits_in_each_session_with_its_own_qos() {
    both(
        r##"
        a kept
        a subscribe "t" 00
        b kept
        b subscribe "t" 01
        c kept
        c subscribe "t" 02
        a disconnect
        b disconnect
        c disconnect
        p connect
        p> 34 [ "t" 0001 {} 'x' ]
        p< 50 [ 0001 ]
        p> 62 [ 0001 ]
        p< 70 [ 0001 ]
        a resume
        a served
        b resume
        b< 32 [ "t" $one {} 'x' ]
        c resume
        c< 34 [ "t" $two {} 'x' ]
        "##,
    );
}

/// The same packet identifier in both directions means two exchanges.
#[test]
fn packet_identifiers_of_both_directions_are_apart() {
    both(
        r#"
        a connect
        a subscribe "t" 02
        p connect
        p> 34 [ "t" 0001 {} 'in' ]
        a< 34 [ "t" $id {} 'in' ]
        a> 34 [ "u" $id {} 'out' ]
        a< 50 [ $id <10> ]
        a> 50 [ $id ]
        a< 62 [ $id ]
        a> 62 [ $id ]
        a< 70 [ $id ]
        a> 70 [ $id ]
        a> 62 [ $id ]
        a< 70 [ $id <92> ]
        a served
        "#,
    );
}

/// More than fit are dropped from the newest end and counted; those that fit arrive in order.
#[test]
fn the_queue_of_an_absent_client_is_bounded() {
    both(
        r#"
        config max_queued_messages = 3
        a kept
        a subscribe "t" 01
        a disconnect
        p connect
        p> 32 [ "t" 0001 {} '1' ] 32 [ "t" 0002 {} '2' ] 32 [ "t" 0003 {} '3' ] 32 [ "t" 0004 {} '4' ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        p< 40 [ 0003 ]
        p< 40 [ 0004 ]
        a resume
        a< 32 [ "t" $one {} '1' ]
        a< 32 [ "t" $two {} '2' ]
        a< 32 [ "t" $three {} '3' ]
        a served
        "#,
    );
}
