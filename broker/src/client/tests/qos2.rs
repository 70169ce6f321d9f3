//! QoS 2 in both directions: section 4.3.3.

use super::*;

const SUCCESS: ReasonCode = ReasonCode::Success;

#[tokio::test]
async fn telemetry_is_journalled_once_however_often_it_is_sent() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let before = bench.journal.end().0;
        let mut device = bench.client(version);
        assert_eq!(
            device.publishes_once("devices/a/telemetry", 5, "x"),
            nothing()
        );
        assert_eq!(
            device.publishes_once("devices/a/telemetry", 5, "x"),
            nothing()
        );
        bench.journal.sync();
        assert_eq!(device.waits(), ["pubrec 5", "pubrec 5"]);
        assert_eq!(
            device.publishes_once("devices/a/telemetry", 5, "x"),
            ["pubrec 5"]
        );
        assert_eq!(bench.journal.end().0, before + 1);
        assert_eq!(device.answers(encode::pubrel, 5, SUCCESS), ["pubcomp 5"]);
        assert_eq!(
            device.publishes_once("devices/a/telemetry", 5, "y"),
            nothing()
        );
        assert_eq!(bench.journal.end().0, before + 2, "a new message");
    }
}

#[tokio::test]
async fn two_of_one_id_in_one_read_are_one_record() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V311);
    let mut bytes = publish(Version::V311, "devices/a/telemetry", 5);
    bytes[0] = 0x34;
    let twice = [bytes.clone(), bytes].concat();
    assert_eq!(device.says(&twice), nothing());
    bench.journal.sync();
    assert_eq!(device.waits(), ["pubrec 5", "pubrec 5"]);
    assert_eq!(bench.journal.end().0, 1);
}

#[tokio::test]
async fn a_publish_resent_after_a_reconnect_is_the_same_one() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("devices/#", Qos::AtMostOnce);
    let mut device = bench.kept(Version::V5, "device");
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 5, "x"),
        nothing()
    );
    device.loses_connection();
    let mut device = bench.kept(Version::V311, "device");
    bench.journal.sync();
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 5, "x"),
        ["pubrec 5"]
    );
    device.loses_connection();
    let mut device = bench.kept(Version::V5, "device");
    assert_eq!(device.answers(encode::pubrel, 5, SUCCESS), ["pubcomp 5"]);
    assert_eq!(bench.journal.end().0, 1);
    assert_eq!(
        console.gets(1).await,
        ["publish devices/a/telemetry x qos 0"]
    );
}

#[tokio::test]
async fn a_release_of_nothing_is_answered() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    assert_eq!(
        new.answers(encode::pubrel, 7, SUCCESS),
        ["pubcomp 7 packet identifier not found"]
    );
    assert_eq!(old.answers(encode::pubrel, 7, SUCCESS), ["pubcomp 7"]);
    assert_eq!(
        new.answers(encode::pubrec, 7, SUCCESS),
        ["pubrel 7 packet identifier not found"]
    );
    assert_eq!(new.answers(encode::pubcomp, 7, SUCCESS), nothing());
    assert_eq!(new.answers(encode::puback, 7, SUCCESS), nothing());
}

#[tokio::test]
async fn a_refused_publish_was_never_received() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V5);
    bench.journal.refuse(Some(AppendError::Full));
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 5, "x"),
        ["pubrec 5 quota exceeded"]
    );
    bench.journal.refuse(None);
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 5, "y"),
        nothing()
    );
    assert_eq!(bench.journal.end().0, 1);
    assert_eq!(
        device.publishes_once("alerts/critical/a/hot", 6, "z"),
        nothing(),
        "behind the first"
    );
    bench.journal.sync();
    assert_eq!(device.waits(), ["pubrec 5", "pubrec 6 not authorized"]);
    assert_eq!(
        device.answers(encode::pubrel, 6, SUCCESS),
        ["pubcomp 6 packet identifier not found"]
    );
}

#[tokio::test]
async fn what_the_journal_had_not_taken_when_the_connection_ended_is_taken_the_next_time() {
    let bench = Bench::new();
    let mut device = bench.kept(Version::V311, "device");
    bench.journal.refuse(Some(AppendError::Busy));
    assert_eq!(
        device.publishes_once("devices/a/telemetry", 5, "x"),
        nothing()
    );
    device.loses_connection();
    bench.journal.refuse(None);
    let mut device = bench.kept(Version::V311, "device");
    device.publishes_once("devices/a/telemetry", 5, "x");
    assert_eq!(bench.journal.end().0, 1);
    bench.journal.sync();
    assert_eq!(device.waits(), ["pubrec 5"]);
}

#[tokio::test]
async fn a_delivery_is_over_when_it_is_completed() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut console = bench.client(version);
        assert_eq!(
            console.subscribes("room/a", Qos::ExactlyOnce),
            ["suback [2]"]
        );
        let mut publisher = bench.client(Version::V5);
        for (id, text) in [(1, "a"), (2, "b"), (3, "c")] {
            publisher.publishes_once("room/a", id, text);
        }
        let expected = ["publish room/a a qos 2", "publish room/a b qos 2"];
        assert_eq!(console.waits(), expected, "`inflight_max` is 2");
        assert_eq!(console.answers(encode::pubrec, 1, SUCCESS), ["pubrel 1"]);
        assert_eq!(console.answers(encode::pubrec, 1, SUCCESS), ["pubrel 1"]);
        assert_eq!(
            console.answers(encode::pubcomp, 1, SUCCESS),
            ["publish room/a c qos 2"]
        );
    }
}

#[tokio::test]
async fn a_client_may_refuse_a_delivery() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/a", Qos::ExactlyOnce);
    let mut publisher = bench.client(Version::V5);
    (1..=3).for_each(|id| drop(publisher.publishes_once("room/a", id, "x")));
    assert_eq!(console.waits().len(), 2);
    let refused = ReasonCode::ImplementationSpecificError;
    assert_eq!(
        console.answers(encode::pubrec, 1, refused),
        ["publish room/a x qos 2"]
    );
}

#[tokio::test]
async fn an_answer_of_the_other_qos_ends_the_connection() {
    let bench = Bench::new();
    let cases: [(Qos, Encode); 2] = [
        (Qos::ExactlyOnce, encode::puback),
        (Qos::AtLeastOnce, encode::pubrec),
    ];
    for (qos, encode) in cases {
        let mut console = bench.client(Version::V5);
        console.subscribes("room/a", qos);
        bench.client(Version::V5).publishes_once("room/a", 1, "x");
        assert_eq!(console.waits().len(), 1);
        let mut bytes = Vec::new();
        encode(&mut bytes, Version::V5, 1, SUCCESS);
        let end = console.is_refused(&bytes);
        assert!(
            matches!(end, End::Refused(ReasonCode::ProtocolError)),
            "{end}"
        );
    }
}

#[tokio::test]
async fn more_unfinished_publishes_than_allowed_end_an_mqtt_5_connection() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V5);
    for id in 1..=8 {
        let answer = match id % 2 {
            0 => device.publishes_once("devices/a/telemetry", id, "x"),
            _ => device.publishes("devices/a/telemetry", id),
        };
        assert_eq!(answer, nothing(), "`receive_maximum` is 8");
    }
    bench.journal.sync();
    assert_eq!(device.waits().len(), 8);
    // The four of QoS 1 are over, those of QoS 2 are not.
    for id in [1, 3, 5, 7] {
        device.publishes("other", id);
    }
    for id in [1, 3, 5] {
        device.publishes_once("other", id, "x");
    }
    assert_eq!(device.answers(encode::pubrel, 2, SUCCESS), ["pubcomp 2"]);
    device.publishes_once("other", 2, "x");
    device.publishes_once("other", 7, "x");
    let end = device.is_refused(&publish(Version::V5, "other", 9));
    assert!(
        matches!(end, End::Refused(ReasonCode::ReceiveMaximumExceeded)),
        "{end}"
    );
}
