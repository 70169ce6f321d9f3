//! Several CONNECTs that want one session: [MQTT-3.1.4-3].

use std::future::Future;
use std::pin::Pin;

use super::*;
use crate::registry::Attached;

type Attaching<'a> = Pin<Box<dyn Future<Output = Result<Attached, ReasonCode>> + 'a>>;

impl Bench {
    /// A CONNECT for `device` that was read after all before it; not attached yet.
    fn newcomer(&self, clean_start: bool) -> Attaching<'_> {
        self.newcomer_at(self.gate.connect_order(), clean_start)
    }

    fn newcomer_at(&self, order: u64, clean_start: bool) -> Attaching<'_> {
        let arrival = Arrival {
            order,
            identity: Arc::default(),
            clean_start,
            expiry_seconds: if clean_start { 0 } else { 60 },
            silence_seconds_max: 0,
            visit: Visit::of_a_test(),
            will: None,
        };
        Box::pin(self.gate.registry.attach(&self.gate, "device", arrival))
    }
}

fn polled(attaching: &mut Attaching<'_>, waker: &Waker) -> Option<Result<Attached, ReasonCode>> {
    match attaching.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn is_superseded(attaching: &mut Attaching<'_>) -> bool {
    let result = polled(attaching, Waker::noop());
    matches!(result, Some(Err(ReasonCode::SessionTakenOver)))
}

fn ends_taken_over(line: &mut Line) {
    let end = line.client.resume(Waker::noop()).expect_err("ends");
    assert!(
        matches!(end, End::Refused(ReasonCode::SessionTakenOver)),
        "{end}"
    );
}

#[tokio::test]
async fn of_several_newcomers_the_last_gets_in_and_the_others_do_not_wait() {
    for is_kept in [false, true] {
        for clean_start in [false, true] {
            let bench = Bench::new();
            let mut first = bench.arrives(Version::V5, "device", &|arrival| {
                arrival.expiry_seconds = if is_kept { 60 } else { 0 };
            });
            let (wakes, waker) = Wakes::new();
            let mut earlier = bench.newcomer(!clean_start);
            assert!(polled(&mut earlier, &waker).is_none(), "waits");
            let mut last = bench.newcomer(clean_start);
            let (last_wakes, last_waker) = Wakes::new();
            assert!(polled(&mut last, &last_waker).is_none(), "waits");
            assert_eq!(wakes.count(), 1, "the earlier one is told at once");
            assert!(is_superseded(&mut earlier), "while the first is still here");
            ends_taken_over(&mut first);
            assert_eq!(last_wakes.count(), 0);
            drop(first);
            assert_eq!(last_wakes.count(), 1);
            let attached = polled(&mut last, &last_waker).expect("it is free");
            let attached = attached.expect("the last one gets in");
            assert_eq!(attached.present, is_kept && !clean_start);
        }
    }
}

#[tokio::test]
async fn one_whose_connect_took_longer_to_check_does_not_end_a_later_one() {
    let bench = Bench::new();
    let early = bench.gate.connect_order();
    let mut later = bench.kept(Version::V5, "device");
    assert!(is_superseded(&mut bench.newcomer_at(early, false)));
    later.client.resume(Waker::noop()).expect("goes on");
    drop(later);
    let mut alone = bench.newcomer_at(early, false);
    let attached = polled(&mut alone, Waker::noop()).expect("nobody is here");
    assert!(attached.is_ok());
}

#[tokio::test]
async fn a_newcomer_keeps_its_turn_until_it_is_there() {
    let bench = Bench::new();
    let first = bench.kept(Version::V5, "device");
    let early = bench.gate.connect_order();
    let mut last = bench.newcomer(false);
    assert!(polled(&mut last, Waker::noop()).is_none(), "waits");
    drop(first);
    // It was woken and has not run yet.
    assert!(is_superseded(&mut bench.newcomer_at(early, true)));
    let attached = polled(&mut last, Waker::noop()).expect("it is free");
    assert!(attached.expect("attached").present);
}
