//! Alerts while somebody sets the clock, in the world of the lane's tests.

use super::tests::World;
use super::*;
use crate::alert::testing::SECOND;

/// One rule for a value that stays high, one for a device that says nothing.
const TIMED: &str = r#"
    [[rule]]
    name = "hot"
    metric = "t"
    above = 90
    for = "20s"
    [[rule]]
    name = "silent"
    silent_for = "60s"
"#;

#[test]
fn a_clock_that_is_put_back_stops_no_alert() {
    let mut world = World::new(TIMED);
    world.clock.set(10_000);
    world.start();
    // A device without a time of its own, seen by a clock that is an hour ahead.
    world.send(10_001, "a", "t=20");
    world.clock.step(-3_600);
    world.send(6_402, "a", "t=91");
    world.send(6_421, "a", "t=92");
    assert_eq!(world.lines(), [""; 0], "19 seconds");
    world.send(6_422, "a", "t=93");
    world.tick(6_482);
    assert_eq!(world.lines(), ["6422 hot a t firing"]);
    world.tick(6_483);
    assert_eq!(world.lines()[1..], ["6482 silent a firing"]);
}

#[test]
fn times_of_receipt_in_the_future_are_not_believed_over_a_restart() {
    for is_committed in [false, true] {
        let mut world = World::new(TIMED);
        world.clock.set(10_000);
        world.start();
        world.send(10_001, "a", "t=95");
        world.durable = Position(1);
        if is_committed {
            world.commit();
        }
        world.crash();
        // The clock is put right while Millrace is down.
        world.clock.step(-3_600);
        world.clock.set(6_410);
        world.start();
        world.send(6_411, "a", "t=95");
        world.send(6_431, "a", "t=95");
        assert_eq!(world.lines(), ["6431 hot a t firing"], "{is_committed}");
        world.tick(6_492);
        assert_eq!(
            world.lines()[1..],
            ["6491 silent a firing"],
            "{is_committed}"
        );
    }
}

#[test]
fn a_step_forward_calls_nobody_silent_and_holds_nothing_longer() {
    let mut world = World::new(TIMED);
    world.clock.set(100);
    world.start();
    world.send(101, "a", "t=20");
    world.send(101, "b", "t=95");
    // One whose record was stamped before the step and is read behind it.
    world.clock.set(150);
    world.journal.push(150 * SECOND, "a", "t=20");
    world.clock.step(3_600);
    world.run();
    world.send(3_751, "b", "t=95");
    assert_eq!(
        world.lines(),
        ["3751 hot b t firing"],
        "it was beyond for 50 s"
    );
    world.clock.step(3_600);
    world.send(7_352, "c", "t=95");
    world.clock.step(3_600);
    world.send(10_954, "c", "t=95");
    assert_eq!(world.lines().len(), 1, "2 s, and not an hour");
    world.tick(10_800 + 211);
    assert_eq!(world.lines()[1..], ["11010 silent a firing"]);
}

#[test]
fn the_times_of_devices_do_not_move_with_the_clock() {
    let mut world = World::new(TIMED);
    world.clock.set(10_000);
    world.start();
    world.send(10_001, "a", "t=95@9000");
    world.clock.step(-3_600);
    // Late, whatever the clock shows.
    world.send(6_402, "a", "t=20@8999");
    world.send(6_403, "a", "t=95@9020");
    assert_eq!(world.lines(), ["9020 hot a t firing"]);
}

/// A replay gives the events that were published already, whatever the clock shows by then.
#[test]
fn what_fired_under_a_clock_that_was_ahead_is_not_published_again() {
    for is_committed in [false, true] {
        let mut world = World::new(TIMED);
        world.clock.set(10_000);
        world.start();
        world.send(10_001, "a", "t=95");
        world.send(10_001, "b", "t=95");
        if is_committed {
            world.commit();
        }
        world.send(10_015, "b", "t=95");
        world.send(10_021, "a", "t=95");
        assert_eq!(world.lines(), ["10021 hot a t firing"]);
        world.durable = Position(4);
        world.crash();
        world.clock.step(-3_600);
        world.clock.set(6_430);
        world.start();
        world.send(6_431, "a", "t=95");
        world.send(6_461, "a", "t=95");
        assert_eq!(world.lines().len(), 1, "{is_committed}: it fires already");
        // Beyond for 14 s and more before the crash.
        world.send(6_462, "b", "t=95");
        let lines = world.lines();
        assert_eq!(lines[1..], ["6462 hot b t firing"], "{is_committed}");
        world.send(6_463, "a", "t=20");
        let lines = world.lines();
        assert_eq!(lines[2..], ["6463 hot a t resolved"], "{is_committed}");
    }
}

/// As after a boot: the time comes from the network while the journal is being read.
#[test]
fn a_step_during_a_replay_shortens_and_lengthens_nothing() {
    for by in [-3_600, 3_600] {
        let mut world = World::new(TIMED);
        world.clock.set(10_100);
        world.start();
        world.send(10_101, "a", "t=95");
        world.send(10_111, "a", "t=95");
        world.durable = Position(2);
        world.crash();
        world.clock.set(10_115);
        world.begin();
        world.clock.step(by);
        world.run();
        world.send(10_119 + by, "a", "t=95");
        assert_eq!(world.lines(), [""; 0], "{by}: 18 seconds");
        world.send(10_122 + by, "a", "t=95");
        let fired = format!("{} hot a t firing", 10_122 + by);
        assert_eq!(world.lines(), [fired.as_str()]);
        world.tick(10_181 + by);
        assert_eq!(world.lines().len(), 1, "{by}: heard 59 seconds ago");
        world.tick(10_183 + by);
        assert_eq!(world.lines().len(), 2, "{by}");
    }
}
