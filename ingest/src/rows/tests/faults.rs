//! The store fails: rows once and no more, and the account adds up.

use super::fake_store::Fault;
use super::*;

fn numbered(bench: &mut Bench, from: u32, to: u32) -> Position {
    let payloads: Vec<String> = (from..to)
        .map(|number| format!("{{\"n\":{number}}}"))
        .collect();
    bench.append_all(payloads.iter().map(|payload| ("d", payload.as_str())))
}

#[track_caller]
fn check_numbers(bench: &Bench, expected: impl IntoIterator<Item = u32>) {
    let database = bench.database.lock();
    let found: Vec<u32> = database
        .rows
        .iter()
        .map(|row| row.value.parse().unwrap())
        .collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_lost_connection_neither_loses_nor_doubles() {
    for fault in [Fault::AwayBefore, Fault::AwayAfter] {
        let mut bench = Bench::new();
        let lane = bench.spawn();
        assert!(matches!(lane.wait_until_started(PATIENCE), State::Running));
        {
            let mut database = bench.database.lock();
            database.on_commit.extend([fault, fault]);
            database.on_load.push_back(Fault::AwayBefore);
        }
        let end = numbered(&mut bench, 0, 10);
        bench.database.wait_for_rows(end);
        let end = numbered(&mut bench, 10, 20);
        bench.database.wait_for_rows(end);
        let stopped = stop(lane);
        check_account(stopped.account, 20, 0, 0);
        check_numbers(&bench, 0..20);
        assert_eq!(bench.database.lock().failures, 3);
    }
}

/// Faults at random from a seed, in commits and in the loads between.
#[test]
fn faults_at_random() {
    for seed in 1..=3_u64 {
        let mut bench = Bench::new();
        bench.config.batch_rows = 7;
        let mut random = seed;
        let mut next = |bound: u64| {
            // A linear congruential generator (Knuth, MMIX): the high bits are good enough here.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed * 2 + 1);
            (random >> 33) % bound
        };
        {
            let mut database = bench.database.lock();
            database.refused_value = Some("77".into());
            // Most commits succeed: the lane gets a script of which some entries are faults.
            let faults = (0..5).map(|_| [Fault::AwayBefore, Fault::AwayAfter][next(2) as usize]);
            database.on_commit.extend(faults);
        }
        let lane = bench.spawn();
        let mut written = 0;
        for round in 0..12 {
            let more = 1 + next(30) as u32;
            let end = numbered(&mut bench, written, written + more);
            written += more;
            check_balance(&lane.stats());
            if round % 4 == 3 {
                bench.database.wait_for_rows(end);
                let fault = [Fault::AwayBefore, Fault::AwayAfter][next(2) as usize];
                bench.database.lock().on_commit.push_back(fault);
            }
        }
        bench.database.wait_for_rows(Position(u64::from(written)));
        let observer = lane.observer();
        let stopped = stop(lane);
        let stats = observer.stats();
        let refused = u64::from(written > 77);
        check_account(stopped.account, u64::from(written) - refused, 0, refused);
        check_numbers(&bench, (0..written).filter(|number| *number != 77));
        check_balance(&stats);
        assert_eq!(stats.samples_refused, refused);
    }
}

#[test]
fn a_record_the_store_refuses_becomes_a_dead_letter_and_nothing_else_does() {
    let mut bench = Bench::new();
    bench.database.lock().refused_value = Some("13".into());
    bench.append_all([("x", "{}"), ("x", "{broken")]);
    numbered(&mut bench, 0, 50);
    bench.append_all([
        ("y", r#"{"a":1,"b":13,"s":"text"}"#),
        ("y", r#"{"a":2,"c":3}"#),
    ]);
    let lane = bench.spawn();
    bench.database.wait_for_rows(Position(54));
    let observer = lane.observer();
    let stopped = stop(lane);
    let stats = observer.stats();
    check_account(stopped.account, 50, 1, 3);
    check_balance(&stats);
    assert_eq!(
        stats.dead_letters,
        [("not_json", 1), ("store_rejected", 2)].into()
    );
    assert_eq!((stats.samples_refused, stats.samples_stored), (4, 51));

    let database = bench.database.lock();
    let payloads: Vec<_> = database
        .dead_letters
        .iter()
        .filter(|letter| letter.reason == "store_rejected")
        .map(|letter| {
            (
                String::from_utf8_lossy(&letter.payload),
                letter.detail.as_str(),
            )
        })
        .collect();
    let detail = "the database refuses a value: no such value here";
    assert_eq!(
        payloads,
        [
            (r#"{"n":13}"#.into(), detail),
            (r#"{"a":1,"b":13,"s":"text"}"#.into(), detail),
        ]
    );
    // The series that the refused record announced first is known to the record behind it.
    let last: Vec<_> = database.rows.iter().rev().take(2).collect();
    assert_eq!(
        (last[0].metric.as_str(), last[1].metric.as_str()),
        ("c", "a")
    );
}

#[test]
fn a_store_that_refuses_for_a_while_is_asked_again_and_nothing_is_dropped() {
    let mut bench = Bench::new();
    let lane = bench.spawn();
    let end = numbered(&mut bench, 0, 5);
    bench.database.wait_for_rows(end);
    bench.database.lock().always = Some(Fault::Fatal);
    numbered(&mut bench, 5, 10);
    bench.database.wait(|tables| tables.failures == 1);
    assert!(matches!(lane.state(), State::Running));
    testkit::wait_until(
        "the lane to say that the store is away",
        PATIENCE,
        || lane.stats().store_is_away,
        |away| *away,
    );
    // Ending does not wait for a store that will not have it.
    let stopped = lane.stop(soon());
    assert!(!stopped.drained);
    check_account(stopped.account, 5, 0, 0);
    assert_eq!(stopped.account.unwrap().pending, 5);

    bench.database.lock().always = None;
    assert!(bench.run().drained);
    check_numbers(&bench, 0..10);
}

#[test]
fn a_database_that_went_back_ends_the_lane() {
    let mut bench = Bench::new();
    let lane = bench.spawn();
    let end = numbered(&mut bench, 0, 5);
    bench.database.wait_for_rows(end);
    {
        let mut database = bench.database.lock();
        database.checkpoint.rows = Position(2);
        database.checkpoint.alerts = Position(2);
        database.checkpoint.totals.stored = 2;
        database.rows.truncate(2);
        database.on_commit.push_back(Fault::AwayBefore);
    }
    numbered(&mut bench, 5, 8);
    let ended = lane.ended.recv_timeout(PATIENCE);
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    let State::Failed(failure) = lane.state() else {
        panic!("{:?}", lane.state());
    };
    assert_eq!(
        failure.message,
        "the database `memory` went back from position 5 to 2"
    );
    drop(lane);
    // A restart writes again what the journal still holds.
    assert!(bench.run().drained);
    check_numbers(&bench, 0..8);
}

#[test]
fn a_full_journal_gets_room_when_rows_are_committed() {
    let mut bench = Bench::with_journal(&journal::Config {
        max_size: bytesize::ByteSize::mib(1),
        segment_size: bytesize::ByteSize::kib(64),
        ..journal::Config::default()
    });
    bench.database.lock().always = Some(Fault::AwayBefore);
    let lane = bench.spawn();
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(10_000));
    let mut appended = 0;
    let mut batch = loop {
        let mut batch = bench.batch([("d", text.as_str())]);
        match bench.journal.append(&mut batch, Waker::noop()) {
            Ok(end) => appended = end.0,
            Err(journal::AppendError::Full) => break batch,
            Err(journal::AppendError::Busy) => {
                bench
                    .journal
                    .wait_durable(Position(appended), PATIENCE)
                    .unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(appended < 1_000, "the journal is never full");
    };
    bench.database.lock().always = None;
    bench.database.wait_for_rows(Position(appended));
    // The space comes back with the writer's next look around.
    let deadline = Instant::now() + PATIENCE;
    while bench.journal.append(&mut batch, Waker::noop()).is_err() {
        assert!(Instant::now() < deadline, "{:?}", bench.journal.status());
        std::thread::yield_now();
    }
    bench.database.wait_for_rows(Position(appended + 1));
    check_account(stop(lane).account, appended + 1, 0, 0);
}
