//! Wills: sections 3.1.2.5 and 3.1.3.2.

use super::*;

/// A client with a will on `status/a`, and a session that is kept for a minute.
fn device(bench: &Bench, delay_seconds: u32) -> Line {
    bench.arrives(Version::V5, "device", &|arrival| {
        arrival.expiry_seconds = 60;
        arrival.will = Some(Box::new(will("status/a", delay_seconds)));
    })
}

fn console(bench: &Bench) -> Line {
    let mut console = bench.client(Version::V5);
    console.subscribes("status/a", Qos::AtMostOnce);
    console
}

#[tokio::test]
async fn a_will_waits_for_its_delay_unless_the_client_comes_back() {
    let bench = Bench::new();
    let mut console = console(&bench);
    device(&bench, 10).loses_connection();
    bench.skip(9);
    assert_eq!(console.waits(), nothing());
    device(&bench, 10).loses_connection();
    bench.skip(9);
    assert_eq!(console.waits(), nothing(), "the first was cancelled");
    bench.skip(2);
    assert_eq!(console.waits(), ["publish status/a x qos 0"]);
    bench.skip(100);
    assert_eq!(console.waits(), nothing(), "once");
}

#[tokio::test]
async fn the_end_of_the_session_publishes_a_will_that_still_waits() {
    let bench = Bench::new();
    let mut console = console(&bench);
    device(&bench, 1_000).loses_connection();
    bench.skip(61);
    assert_eq!(console.waits().len(), 1, "the session expired");
    device(&bench, 1_000).loses_connection();
    let clean = |arrival: &mut Arrival| arrival.clean_start = true;
    let newcomer = bench.arrives(Version::V5, "device", &clean);
    assert_eq!(console.waits().len(), 1, "the session was given up");
    drop(newcomer);
    let mut brief = bench.arrives(Version::V5, "device", &|arrival| {
        arrival.will = Some(Box::new(will("status/a", 1_000)));
    });
    brief.client.finish(&End::Closed, &mut Vec::new());
    drop(brief);
    assert_eq!(console.waits().len(), 1, "it ended with its connection");
}

#[tokio::test]
async fn without_a_delay_it_is_published_at_once_and_the_session_stays() {
    let bench = Bench::new();
    let mut console = console(&bench);
    device(&bench, 0).loses_connection();
    assert_eq!(console.waits().len(), 1);
    assert!(device(&bench, 0).present);
}

#[tokio::test]
async fn a_goodbye_takes_it_back_and_an_end_by_the_gate_does_not() {
    let bench = Bench::new();
    let mut console = console(&bench);
    device(&bench, 0).says_goodbye(None);
    assert_eq!(console.waits(), nothing());
    let ends = [
        ReasonCode::SessionTakenOver,
        ReasonCode::KeepAliveTimeout,
        ReasonCode::ServerShuttingDown,
        ReasonCode::ProtocolError,
    ];
    for reason in ends {
        let mut device = device(&bench, 0);
        device.client.finish(&End::Refused(reason), &mut Vec::new());
        drop(device);
        assert_eq!(console.waits().len(), 1, "{}", reason.name());
    }
}

#[tokio::test]
async fn a_will_is_judged_like_a_publish_and_journalled_like_one() {
    let bench = Bench::new();
    for topic in ["alerts/critical/a/hot", "devices/a/telemetry"] {
        let device = bench.arrives(Version::V5, "device", &|arrival| {
            arrival.will = Some(Box::new(will(topic, 0)));
        });
        device.loses_connection();
    }
    let stats = &bench.gate.stats;
    assert_eq!((stats.denied.get(), stats.journalled.get()), (1, 1));
}

impl Bench {
    /// Moves the clock to where a whole second has nearly passed.
    fn skip_to_the_end_of_a_second(&self) {
        let before = self.gate.clock.seconds();
        (0..)
            .take_while(|_| self.gate.clock.seconds() == before)
            .for_each(|_| self.skip_millis(1));
        self.skip_millis(990);
    }
}

#[tokio::test]
async fn a_delay_is_not_shortened_by_the_second_that_has_begun() {
    let bench = Bench::new();
    let mut console = console(&bench);
    bench.skip_to_the_end_of_a_second();
    device(&bench, 10).loses_connection();
    bench.skip_millis(9_100);
    assert_eq!(console.waits(), nothing());
    bench.skip_millis(2_000);
    assert_eq!(console.waits(), ["publish status/a x qos 0"]);
}

#[tokio::test]
async fn nor_is_the_time_that_a_session_is_kept() {
    let bench = Bench::new();
    bench.skip_to_the_end_of_a_second();
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    console.loses_connection();
    bench.client(Version::V5).publishes("room/a", 1);
    bench.skip_millis(59_100);
    let mut console = bench.kept(Version::V5, "console");
    assert!(console.present);
    assert_eq!(console.waits(), ["publish room/a x qos 1"]);
    console.loses_connection();
    bench.skip_millis(61_000);
    assert!(!bench.kept(Version::V5, "console").present);
}
