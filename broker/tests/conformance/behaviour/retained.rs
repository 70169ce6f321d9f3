//! Retained messages, topics, and the properties of a message on its way.

use super::{both, v5};

#[test]
fn retain_handling_decides_what_a_subscribe_brings() {
    v5(r##"
        p connect
        p> 31 [ "t/a" [] '1' ] 31 [ "t/b" [] '2' ]
        p served
        a connect
        # 0 each time, 1 when new, 2 never: for filters of one packet, each its own.
        a> 82 [ 0001 [] "t/a" 00 "t/b" 20 "t/+" 10 ]
        a< 90 [ 0001 [] 00 00 00 ]
        a gathers 31 [ "t/a" [] '1' ] | 31 [ "t/a" [] '1' ] | 31 [ "t/b" [] '2' ]
        a> 82 [ 0002 [] "t/a" 00 "t/b" 20 "t/+" 10 ]
        a< 90 [ 0002 [] 00 00 00 ]
        a< 31 [ "t/a" [] '1' ]
        a served
    "##);
}

/// What comes because of a subscribe has RETAIN 1 whatever the option; the rest as the option says.
#[test]
fn retain_as_published_is_for_what_is_forwarded() {
    v5(r#"
        p connect
        p> 31 [ "t" [] 'old' ]
        p served
        a connect
        a subscribe "t" 00
        a< 31 [ "t" [] 'old' ]
        b connect
        b subscribe "t" 08
        b< 31 [ "t" [] 'old' ]
        p> 31 [ "t" [] 'new' ] 30 [ "t" [] 'passing' ]
        a< 30 [ "t" [] 'new' ]
        a< 30 [ "t" [] 'passing' ]
        b< 31 [ "t" [] 'new' ]
        b< 30 [ "t" [] 'passing' ]
    "#);
}

#[test]
fn retained_messages_survive_a_restart() {
    both(
        r#"
        p connect
        p> 33 [ "t" 0001 {} 'x' ] 33 [ "cleared" 0002 {} 'x' ] 33 [ "cleared" 0003 {} ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        p< 40 [ 0003 ]
        stop
        start
        a connect
        a subscribe "+" 01
        a< 33 [ "t" $id {} 'x' ]
        a served
        "#,
    );
}

#[test]
fn no_local_is_by_client_and_not_by_connection() {
    v5(r#"
        a kept
        a subscribe "t" 05
        a> 32 [ "t" 0001 [] 'own' ]
        a< 40 [ 0001 ]
        a disconnect
        a resume
        a> 32 [ "t" 0002 [] 'own' ]
        a< 40 [ 0002 ]
        p connect
        p> 32 [ "t" 0001 [] 'other' ]
        a< 32 [ "t" $id [] 'other' ]
    "#);
}

#[test]
fn a_client_may_hear_itself() {
    both(
        r#"
        a connect
        a subscribe "t" 01
        a> 30 [ "t" {} 'x' ]
        a< 30 [ "t" {} 'x' ]
        "#,
    );
}

#[test]
fn overlapping_subscriptions_bring_a_copy_each_with_its_own_identifier() {
    both(crate::both::publish::OVERLAPPING_QOS);
    v5(r##"
        s connect
        s> 82 [ 0001 [ 0B 07 ] "t/#" 00 ]
        s< 90 [ 0001 [] 00 ]
        s> 82 [ 0002 [ 0B 8001 ] "t/+" 01 ]
        s< 90 [ 0002 [] 01 ]
        p connect
        p> 32 [ "t/a" 0001 [] 'x' ]
        s gathers 30 [ "t/a" [ 0B 07 ] 'x' ] | 32 [ "t/a" $id [ 0B 8001 ] 'x' ]
        # Subscribed again without one: it has none any more.
        s> 82 [ 0003 [] "t/#" 00 ]
        s< 90 [ 0003 [] 00 ]
        p> 32 [ "t/a" 0002 [] 'y' ]
        s gathers 30 [ "t/a" [] 'y' ] | 32 [ "t/a" $next [ 0B 8001 ] 'y' ]
        s> 82 [ 0004 [ 0B 00 ] "t/#" 00 ]
        s fails 82
    "##);
}

#[test]
fn a_retained_message_has_the_identifier_of_the_subscription_it_answers() {
    v5(r#"
        p connect
        p> 31 [ "t" [ 26 "k" "v" ] 'x' ]
        p served
        s connect
        s> 82 [ 0001 [ 0B 05 ] "t" 00 ]
        s< 90 [ 0001 [] 00 ]
        s< 31 [ "t" [ 0B 05 26 "k" "v" ] 'x' ]
    "#);
}

#[test]
fn what_is_too_large_for_one_client_reaches_the_others() {
    v5(r#"
        config max_packet_size = "2KB"
        s connect 27 00000028
        s subscribe "t" 01
        b connect
        b subscribe "t" 01
        p connect
        p> 32 [ "t" 0001 [] 'x'*200 ] 32 [ "t" 0002 [] 'small' ]
        b< 32 [ "t" $one [] 'x'*200 ]
        b< 32 [ "t" $two [] 'small' ]
        s< 32 [ "t" $three [] 'small' ]
        p> 30 [ "t" [] 'x'*3000 ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        p fails 95
    "#);
}

#[test]
fn aliases_stand_for_topics_of_their_connection() {
    v5(r#"
        s connect
        s subscribe "sensor/one/temperature" 01
        a connect
        a> 32 [ "sensor/one/temperature" 0001 [ 23 0001 ] '1' ] 32 [ "" 0002 [ 23 0001 ] '2' ]
        a< 40 [ 0001 ]
        a< 40 [ 0002 ]
        s< 32 [ "sensor/one/temperature" $one [] '1' ]
        s< 32 [ "sensor/one/temperature" $two [] '2' ]
        # Another client's alias of that number is another.
        b connect
        b> 30 [ "" [ 23 0001 ] '3' ]
        b fails 82
        a served
        # No topic and no alias.
        a> 30 [ "" [] '4' ]
        a fails 82
    "#);
}

#[test]
fn a_request_finds_its_answer() {
    v5(r#"
        asker open
        asker> 10 [ "MQTT" 05 02 0000 [ 19 01 ] "asker" ]
        # Response information is optional, and this broker has none to give.
        asker accepted without 1A
        asker subscribe "answers/asker" 01
        worker connect
        worker subscribe "work" 01
        asker> 32 [ "work" 0001 [ 08 "answers/asker" 09 0004 00FF1234 ] 'question' ]
        asker< 40 [ 0001 ]
        worker< 32 [ "work" $id [ 08 "answers/asker" 09 0004 00FF1234 ] 'question' ]
        worker> 40 [ $id ] 32 [ "answers/asker" 0001 [ 09 0004 00FF1234 ] 'answer' ]
        worker< 40 [ 0001 ]
        asker< 32 [ "answers/asker" $answer [ 09 0004 00FF1234 ] 'answer' ]
    "#);
}

#[test]
fn user_properties_pass_in_order_and_twice_if_twice() {
    v5(r#"
        s connect
        s subscribe "t" 00
        v connect
        v subscribe "+" 02
        a connect
        a> 34 [ "t" 0001 [ 26 "b" "1" 26 "a" "2" 26 "b" "1" 26 "" "" ] 'x' ]
        a< 50 [ 0001 ]
        s< 30 [ "t" [ 26 "b" "1" 26 "a" "2" 26 "b" "1" 26 "" "" ] 'x' ]
        v< 34 [ "t" $id [ 26 "b" "1" 26 "a" "2" 26 "b" "1" 26 "" "" ] 'x' ]
    "#);
}

#[test]
fn payload_format_and_content_type_pass() {
    v5(r#"
        s connect
        s subscribe "t" 00
        a connect
        a> 30 [ "t" [ 01 00 03 "application/octet-stream" ] FF00 ]
        a> 30 [ "t" [ 01 01 03 "text/plain; charset=utf-8" ] "é" ]
        s< 30 [ "t" [ 01 00 03 "application/octet-stream" ] FF00 ]
        s< 30 [ "t" [ 01 01 03 "text/plain; charset=utf-8" ] "é" ]
        # Said twice, or neither yes nor no.
        a> 30 [ "t" [ 01 00 01 00 ] 'x' ]
        a fails 82
        b connect
        b> 30 [ "t" [ 01 02 ] 'x' ]
        b fails 82
    "#);
}

#[test]
fn message_expiry_counts_down_in_queues_and_in_the_retained_store() {
    v5(r#"
        s kept
        s subscribe "t" 01
        s disconnect
        p connect
        p> 33 [ "t" 0001 [ 02 00000064 ] 'long' ] 32 [ "t" 0002 [ 02 00000001 ] 'short' ]
        p< 40 [ 0001 ]
        p< 40 [ 0002 ]
        pass 1300
        s resume
        s< 32 [ "t" $id [ 02 00000050~63 ] 'long' ]
        s served
        b connect
        b subscribe "t" 00
        b< 31 [ "t" [ 02 00000050~63 ] 'long' ]
    "#);
}

#[test]
fn a_3_1_1_subscriber_gets_the_message_without_its_properties() {
    v5(r#"
        old open
        old> 10 [ "MQTT" 04 02 0000 "old" ]
        old< 20 [ 00 00 ]
        old> 82 [ 0001 "t" 01 ]
        old< 90 [ 0001 01 ]
        p connect
        p> 32 [ "t" 0001 [ 02 00000064 26 "k" "v" 03 "text" ] 'x' ]
        old< 32 [ "t" $id 'x' ]
        # And the other way round.
        s connect
        s subscribe "u" 00
        old> 30 [ "u" 'y' ]
        s< 30 [ "u" [] 'y' ]
    "#);
}

#[test]
fn unsuback_says_what_there_was() {
    v5(r##"
        a connect
        a> 82 [ 0001 [] "t" 00 "t/#" 01 ]
        a< 90 [ 0001 [] 00 01 ]
        a> A2 [ 0002 [] "t/+" "t/#" "t/#" "#/bad" "t" ]
        a< B0 [ 0002 [] 11 00 11 ? 00 ]
    "##);
}

#[test]
fn topics_of_many_bytes_a_character_match_as_any_other() {
    both(
        "
        a connect
        a subscribe \"数据/+/温度\" 00
        a subscribe \"\u{1F4E1}/#\" 00
        p connect
        p> 30 [ \"数据/é\u{1F600}/温度\" {} '1' ] 30 [ \"数据/温度\" {} 'no' ] 30 [ \"\u{1F4E1}\" {} '2' ]
        p> 30 [ \"\u{1F4E0}/x\" {} 'no' ] 30 [ \"\u{1F4E1}/ß\" {} '3' ]
        a gathers 30 [ \"数据/é\u{1F600}/温度\" {} '1' ] | 30 [ \"\u{1F4E1}\" {} '2' ] | 30 [ \"\u{1F4E1}/ß\" {} '3' ]
        p> 31 [ \"数据/x/温度\" {} 'kept' ]
        a< 30 [ \"数据/x/温度\" {} 'kept' ]
        b connect
        b subscribe \"数据/#\" 00
        b< 31 [ \"数据/x/温度\" {} 'kept' ]
        ",
    );
}

/// A client id may be any text, and is one's own however it is written.
#[test]
fn client_ids_are_any_text() {
    both(
        "
        a open
        a> 10 [ \"MQTT\" % 02 0000 {} \"Gerät/+/#/\u{1F321} $x\" ]
        a accepted
        b open
        b> 10 [ \"MQTT\" % 02 0000 {} \"gerät/+/#/\u{1F321} $x\" ]
        b accepted
        a served
        c open
        c> 10 [ \"MQTT\" % 02 0000 {} 'x'*0 \"x\"*65535 ]
        c accepted
        ",
    );
}

#[test]
fn wildcards_leave_dollar_topics_alone_and_their_own_filter_does_not() {
    both(
        r##"
        all connect
        all subscribe "#" 00
        all subscribe "+/broker/version" 00
        all subscribe "+/+/+" 00
        # Published by the broker: retained, or live when it has just begun.
        sys connect
        sys subscribe "$SYS/broker/version" 00
        sys< 30~31 [ "$SYS/broker/version" {} * ]
        under connect
        under subscribe "$SYS/broker/+" 00
        under< 30~31 [ * ]
        p connect
        p> 30 [ "a/b/c" {} 'x' ]
        all gathers 30 [ "a/b/c" {} 'x' ] | 30 [ "a/b/c" {} 'x' ]
        all served
        "##,
    );
}
