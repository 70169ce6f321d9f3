//! What the router holds, and what happens when it holds all it may.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::super::Busy;
use super::*;

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn at_the_bound_of_messages_publishers_wait_and_nothing_is_lost() {
    let settings = Settings {
        queued_messages_max: 100,
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    let wakes = Arc::<CountWakes>::default();
    let waker = Waker::from(Arc::clone(&wakes));
    router.wake_when_ready(&waker);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "there is room now");

    recorder.stop();
    router.subscribe(FilterId(1), "#");
    let accepted = (0..1_000)
        .take_while(|n| router.publish(&message("a", *n)).is_ok())
        .count();
    assert_eq!(accepted, 100);
    assert_eq!(router.publish(&message("a", 0)), Err(Busy));
    assert_eq!(router.stats().queued_messages, 100);
    router.wake_when_ready(&waker);
    router.wake_when_ready(&waker);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "there is none now");

    recorder.resume();
    for n in 100..1_000 {
        publish(&router, &message("a", n));
    }
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), (0..1_000).collect::<Vec<_>>());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2, "once for both");
}

#[tokio::test]
async fn at_the_bound_of_bytes_publishers_wait_but_a_large_message_passes_alone() {
    let settings = Settings {
        queued_bytes_max: 10_000,
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    recorder.stop();
    router.subscribe(FilterId(1), "#");
    let large = with_payload("large", &[1; 50_000]);
    assert_eq!(router.publish(&large), Ok(()));
    assert_eq!(router.publish(&large), Err(Busy));
    assert_eq!(router.publish(&message("small", 0)), Err(Busy));
    recorder.resume();
    publish(&router, &message("small", 0));
    recorder.wait_for(FilterId(1), 2);

    recorder.stop();
    let thousand = with_payload("a", &[1; 1_000]);
    let accepted = (0..1_000)
        .take_while(|_| router.publish(&thousand).is_ok())
        .count();
    assert!((5..=9).contains(&accepted), "{accepted}");
    assert!(router.stats().queued_bytes <= 10_000);
    recorder.resume();
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)).len(), 2 + accepted);
    assert_eq!(router.stats().queued_bytes, 0);
}

#[tokio::test]
async fn who_brings_filters_faster_than_the_router_takes_them_up_is_told_and_woken() {
    let settings = Settings {
        queued_filters_max: 10,
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    let wakes = Arc::<CountWakes>::default();
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(router.has_room_for_filters(&waker));

    router.subscribe(FilterId(1), "#");
    recorder.stop();
    publish(&router, &message("a", 1));
    // Its thread may have taken some before it came to the message, and takes no more.
    let brought = (2..10_000).take_while(|id| {
        router.subscribe(FilterId(*id), &format!("{id}/#"));
        !router.is_crowded()
    });
    let brought = brought.count() as u64 + 1;
    assert!(!router.has_room_for_filters(&waker));
    assert!(!router.has_room_for_filters(&waker));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);

    recorder.resume();
    publish(&router, &message("b", 2));
    recorder.wait_for(FilterId(1), 2);
    router.shutdown().await;
    assert!(router.has_room_for_filters(&waker));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "once for both");
    assert_eq!(router.stats().filters, brought + 1);
}

/// A message that nobody wants any more gives its place back too.
#[tokio::test]
async fn messages_without_a_filter_leave_no_trace() {
    let settings = Settings {
        queued_messages_max: 50,
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    for n in 0..500 {
        publish(&router, &message("a", n));
    }
    router.subscribe(FilterId(1), "b/#");
    for n in 0..500 {
        publish(&router, &message("a", n));
    }
    router.unsubscribe(FilterId(1));
    router.shutdown().await;
    let stats = router.stats();
    assert_eq!(
        (stats.accepted, stats.delivered, stats.queued_messages),
        (1_000, 0, 0)
    );
    assert!(recorder.got(FilterId(1)).is_empty());
}

#[tokio::test]
async fn after_the_shutdown_nothing_is_accepted() {
    let (router, recorder) = start();
    router.subscribe(FilterId(1), "#");
    publish(&router, &message("a", 1));
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), [1]);
    assert_eq!(router.publish(&message("a", 2)), Err(Busy));
    router.subscribe(FilterId(2), "#");
    router.shutdown().await;
}

#[test]
fn a_router_that_is_dropped_delivers_what_it_has_accepted() {
    let (router, recorder) = start();
    router.subscribe(FilterId(1), "#");
    (0..100).for_each(|n| publish(&router, &message("a", n)));
    drop(router);
    recorder.wait_for(FilterId(1), 100);
}
