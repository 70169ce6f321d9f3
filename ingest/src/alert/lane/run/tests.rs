use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use store::{AlertChanges, AlertStateRow};

use super::super::super::rules::Severity;
use super::super::super::testing::{FakeClock, FakeJournal, FakeOutlet, FakeSource, SECOND, line};
use super::super::super::{Config, Event, EventState};
use super::super::{Clock as _, spawn};
use super::*;

const RULES: &str = r#"
    [[rule]]
    name = "hot"
    metric = "t*"
    above = 90
    clear = 85
    severity = "critical"
    [[rule]]
    name = "steady"
    metric = "t"
    outside = [20, 95]
    clear = [30, 90]
    for = "20s"
    severity = "info"
"#;

const SILENT: &str = r#"
    [[rule]]
    name = "silent"
    silent_for = "60s"
"#;

/// What a database keeps.
#[derive(Default)]
struct Database {
    position: Position,
    states: BTreeMap<(String, String, String), String>,
    events: BTreeMap<String, Event>,
}

impl Database {
    fn commit(&mut self, changes: &AlertChanges) {
        if let Some(position) = changes.position {
            assert!(position >= self.position, "the position never goes back");
            self.position = position;
        }
        for row in changes.states.clone() {
            let key = (row.rule, row.device, row.metric);
            match row.state {
                Some(state) => self.states.insert(key, state),
                None => self.states.remove(&key),
            };
        }
        for row in &changes.events {
            let event: Event = serde_json::from_str(&row.payload).unwrap();
            assert_eq!((&row.id, row.time), (&event.id, event.updated_at));
            assert_eq!(row.state, event.state.as_str());
            self.events.entry(row.id.clone()).or_insert(event);
        }
    }

    fn checkpoint(&self) -> AlertCheckpoint {
        let states = self.states.iter();
        AlertCheckpoint {
            position: self.position,
            states: states
                .map(|((rule, device, metric), state)| AlertStateRow {
                    rule: rule.clone(),
                    device: device.clone(),
                    metric: metric.clone(),
                    state: Some(state.clone()),
                })
                .collect(),
        }
    }
}

/// Everything that outlives a process, and the process.
pub(super) struct World {
    folder: tempfile::TempDir,
    rules: Arc<Rules>,
    pub(super) journal: FakeJournal,
    outlet: FakeOutlet,
    pub(super) clock: FakeClock,
    database: Database,
    pending: Pending,
    lane: Option<(Lane, Box<dyn Reader>)>,
    /// Records before it survive a crash.
    pub(super) durable: Position,
}

impl World {
    pub(super) fn new(rules: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        World {
            rules: Arc::new(Rules::of_text(rules)),
            journal: FakeJournal::new(),
            outlet: FakeOutlet::default(),
            clock: FakeClock::at(0),
            database: Database::default(),
            pending: Pending::open(folder.path(), 1000),
            folder,
            lane: None,
            durable: Position::ZERO,
        }
    }

    fn parts(&self) -> Parts {
        Parts {
            journal: Arc::new(self.journal.clone()),
            rules: Arc::clone(&self.rules),
            config: Config::default(),
            source: Box::new(FakeSource::default()),
            outlet: Box::new(self.outlet.clone()),
            pending: self.pending.clone(),
            clock: Box::new(self.clock.clone()),
        }
    }

    /// A process starts, on this thread.
    pub(super) fn start(&mut self) {
        self.begin();
        self.run();
    }

    /// It knows what the database knows, and has read nothing yet.
    pub(super) fn begin(&mut self) {
        self.pending = Pending::open(self.folder.path(), 1000);
        let mut lane = Lane::new(self.parts(), Arc::default(), Arc::default());
        let flow = lane.begin(&self.database.checkpoint());
        assert!(flow.is_continue());
        let reader = self.journal.reader(lane.next).unwrap();
        self.lane = Some((lane, reader));
    }

    /// Lets the lane read what is there, and look at the clock once.
    pub(super) fn run(&mut self) {
        let (lane, reader) = self.lane.as_mut().unwrap();
        let mut chunks = Vec::new();
        loop {
            let flow = lane.read_within(Duration::ZERO, reader.as_mut(), &mut chunks);
            assert!(flow.unwrap().is_continue());
            if lane.next >= self.journal.end() {
                return;
            }
        }
    }

    pub(super) fn send(&mut self, second: i64, device: &str, payload: &str) {
        if self.clock.now() < second * SECOND {
            self.clock.set(second);
        }
        self.journal.push(second * SECOND, device, payload);
        self.run();
    }

    pub(super) fn tick(&mut self, second: i64) {
        self.clock.set(second);
        self.run();
    }

    /// What the store's writer does: everything that is waiting, in one transaction.
    pub(super) fn commit(&mut self) {
        let changes = self.pending.take();
        self.database.commit(&changes);
        self.durable = self.durable.max(self.database.position);
        self.pending.committed(&changes);
    }

    /// Blocks until the lane's thread has handed over so many events.
    #[track_caller]
    fn wait_for_pending(&self, count: usize) {
        let deadline = deadline();
        while self.pending.events_len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.lines());
            thread::yield_now();
        }
    }

    /// kill -9: takes along what is not durable, and what is not committed.
    pub(super) fn crash(&mut self) {
        self.lane = None;
        self.journal.truncate(self.durable);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.outlet.lines()
    }

    /// The retained messages must show the alerts that fire.
    fn check_active(&self) {
        let (lane, _) = self.lane.as_ref().unwrap();
        let firing: BTreeSet<(String, String)> = lane
            .engine
            .active()
            .map(|event| (event.device.clone(), event.rule.clone()))
            .collect();
        let firing: Vec<String> = firing
            .into_iter()
            .map(|(device, rule)| format!("{device}/{rule}"))
            .collect();
        let shown = self.outlet.active();
        let shown: Vec<&str> = shown
            .iter()
            .map(|line| line.split_once(' ').unwrap().0)
            .collect();
        assert_eq!(shown, firing);
    }
}

#[test]
fn events_leave_on_their_topics_and_active_alerts_are_retained() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a/b", "t=91");
    assert_eq!(world.outlet.active(), ["a%2Fb/hot t"]);
    world.send(2, "a/b", "t=50");
    assert_eq!(world.outlet.active(), [""; 0]);
    let events = world.outlet.events();
    let topics: Vec<&str> = events.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["alerts/critical/a%2Fb/hot"; 2]);
    assert_eq!(
        world.lines(),
        ["1 hot a/b t firing", "2 hot a/b t resolved"]
    );

    world.commit();
    assert_eq!(world.database.position, Position(2));
    let stored: Vec<String> = world.database.events.values().map(line).collect();
    assert_eq!(stored.len(), 2);
}

#[test]
fn metrics_under_one_rule_share_the_retained_topic() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t1=91 t2=0 t3=0");
    world.send(2, "a", "t2=92");
    assert_eq!(world.outlet.active(), ["a/hot t2"]);
    world.send(3, "a", "t3=93");
    world.send(4, "a", "t2=0");
    assert_eq!(world.outlet.active(), ["a/hot t3"]);
    world.send(5, "a", "t3=0");
    assert_eq!(world.outlet.active(), ["a/hot t1"]);
    world.send(6, "a", "t1=0");
    assert_eq!(world.outlet.active(), [""; 0]);
}

#[test]
fn records_are_counted_and_skipped_when_no_rule_needs_them() {
    let mut world = World::new(&RULES.replace("metric", "device = \"a\"\nmetric"));
    world.start();
    world.send(1, "a", "t=91");
    world.send(2, "b", "t=91");
    world.send(3, "a", "t=91@2 t=92@1");
    let (lane, _) = world.lane.as_ref().unwrap();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let stats = &lane.stats;
    assert_eq!(
        (
            read(&stats.records),
            read(&stats.decoded),
            read(&stats.skipped)
        ),
        (3, 2, 1)
    );
    assert_eq!((read(&stats.position), read(&stats.lag)), (3, 0));
    // Three samples under two rules, one of them late.
    assert_eq!((read(&stats.evaluated), read(&stats.out_of_order)), (6, 2));
    assert_eq!(stats.events(Severity::Critical, EventState::Firing), 1);
    assert_eq!(stats.active(Severity::Critical), 1);
    assert_eq!(stats.active(Severity::Info), 0);
}

#[test]
fn a_crash_before_the_commit_publishes_nothing_twice() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91");
    world.send(2, "a", "t=50");
    world.send(3, "a", "t=92");
    world.durable = Position(3);
    world.crash();
    world.start();
    let expected = ["1 hot a t firing", "2 hot a t resolved", "3 hot a t firing"];
    assert_eq!(world.lines(), expected);
    assert_eq!(world.outlet.active(), ["a/hot t"]);
    world.commit();
    assert_eq!(world.database.events.len(), 3);
    // Nothing is left to remember.
    world.crash();
    world.start();
    assert!(
        Pending::open(world.folder.path(), 1)
            .take_restored()
            .is_empty()
    );
    assert_eq!(world.lines(), expected);
}

#[test]
fn a_replay_does_not_touch_what_is_retained_and_right() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91");
    world.send(2, "b", "t=91");
    world.durable = Position(2);
    let before = world.outlet.retained_publishes();
    world.crash();
    world.start();
    assert_eq!(world.outlet.retained_publishes(), before);
    world.check_active();
}

#[test]
fn the_retained_messages_are_put_right_after_a_start() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91");
    world.commit();
    world.crash();
    world.outlet.forget_retained();
    world.outlet.retain("alerts/active/gone/hot", "{}");
    world
        .outlet
        .retain("alerts/active/older/rule", "what is this");
    world.start();
    assert_eq!(world.outlet.active(), ["a/hot t"]);
    // An outdated one is replaced.
    world.crash();
    world.outlet.retain("alerts/active/a/hot", "{}");
    world.start();
    assert_eq!(world.outlet.active(), ["a/hot t"]);
    assert_eq!(world.lines(), ["1 hot a t firing"]);
}

#[test]
fn alerts_of_removed_rules_end_after_a_start() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91");
    world.commit();
    world.crash();
    world.rules = Arc::default();
    world.clock.set(9);
    world.start();
    assert_eq!(world.lines(), ["1 hot a t firing", "9 hot a t resolved"]);
    assert_eq!(world.outlet.active(), [""; 0]);
    world.crash();
    world.start();
    assert_eq!(world.lines().len(), 2);
    world.commit();
    assert!(world.database.states.is_empty());
    assert_eq!(world.database.events.len(), 2);
}

#[test]
fn a_message_sent_again_after_a_crash_is_no_second_alert() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91@1");
    world.send(2, "b", "t=91");
    assert_eq!(world.lines().len(), 2);
    // Neither record was durable. Another device comes first this time, so the positions are
    // others, too.
    world.crash();
    world.start();
    assert_eq!(world.outlet.active(), [""; 0]);
    world.send(3, "c", "t=0");
    world.send(4, "a", "t=91@1");
    world.send(5, "b", "t=91");
    assert_eq!(world.lines().len(), 2);
    world.check_active();
    world.commit();
    assert_eq!(world.database.events.len(), 2);
    assert!(
        Pending::open(world.folder.path(), 1)
            .take_restored()
            .is_empty()
    );
}

#[test]
fn a_device_that_reconnects_before_the_lane_starts_raises_no_second_alert() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91@1");
    world.crash();
    world.pending = Pending::open(world.folder.path(), 1000);
    world.pending.note_journal_end(world.journal.end());
    world.journal.push(2 * SECOND, "c", "t=0");
    world.journal.push(2 * SECOND, "a", "t=91@1");
    let mut lane = Lane::new(world.parts(), Arc::default(), Arc::default());
    assert!(lane.begin(&world.database.checkpoint()).is_continue());
    let reader = world.journal.reader(lane.next).unwrap();
    world.lane = Some((lane, reader));
    world.run();
    assert_eq!(world.lines(), ["1 hot a t firing"]);
    world.check_active();
}

#[test]
fn another_record_in_the_place_of_a_lost_one_is_its_own_alert() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91@1");
    world.crash();
    world.start();
    world.send(2, "a", "t=99@2");
    assert_eq!(world.lines(), ["1 hot a t firing", "2 hot a t firing"]);
}

#[test]
fn devices_have_some_minutes_to_send_again() {
    let mut world = World::new(RULES);
    world.start();
    world.send(1, "a", "t=91@1");
    world.crash();
    world.clock.set(10);
    world.start();
    assert_eq!(
        Pending::open(world.folder.path(), 1).take_restored().len(),
        1
    );
    world.tick(10 + 5 * 60);
    assert!(
        Pending::open(world.folder.path(), 1)
            .take_restored()
            .is_empty()
    );
    world.send(400, "a", "t=91@1");
    assert_eq!(world.lines().len(), 2);
}

#[test]
fn silence_follows_the_clock_when_live_and_the_records_in_a_backlog() {
    let mut world = World::new(SILENT);
    world.start();
    world.send(0, "a", "t=1");
    world.tick(60);
    assert_eq!(world.lines(), [""; 0], "a record may be on its way");
    world.tick(61);
    assert_eq!(world.lines(), ["60 silent a firing"]);
    world.commit();
    world.crash();

    // The next process takes messages for long before the database lets the lane begin.
    world.clock.set(1000);
    let mut lane = Lane::new(world.parts(), Arc::default(), Arc::default());
    for second in (1000..1200).step_by(20) {
        world.journal.push(second * SECOND, "b", "t=1");
        if second < 1100 {
            world.journal.push(second * SECOND, "c", "t=1");
        }
    }
    world.clock.set(1200);
    assert!(lane.begin(&world.database.checkpoint()).is_continue());
    let reader = world.journal.reader(lane.next).unwrap();
    world.lane = Some((lane, reader));
    world.run();
    let backlog = ["60 silent a firing", "1140 silent c firing"];
    assert_eq!(world.lines(), backlog);
    assert_eq!(world.outlet.active(), ["a/silent ", "c/silent "]);
    world.tick(1241);
    assert_eq!(world.lines()[2..], ["1240 silent b firing"]);
}

#[test]
fn a_silence_that_was_published_and_not_committed_is_not_forgotten() {
    let mut world = World::new(SILENT);
    world.start();
    world.send(0, "a", "t=1");
    world.commit();
    world.send(30, "a", "t=1");
    world.durable = Position(2);
    world.tick(100);
    assert_eq!(world.lines(), ["90 silent a firing"]);
    world.crash();
    // The database does not know of it, but the world does: it goes on, and ends with the next
    // message.
    world.clock.set(200);
    world.start();
    assert_eq!(world.outlet.active(), ["a/silent "]);
    world.tick(900);
    world.send(901, "a", "t=1");
    assert_eq!(
        world.lines(),
        ["90 silent a firing", "901 silent a resolved"]
    );
    world.commit();
    assert_eq!(world.database.events.len(), 2);
    let firing = world
        .database
        .events
        .values()
        .min_by_key(|event| event.updated_at);
    assert_eq!(firing.unwrap(), &world.outlet.events()[0].1);
}

#[test]
fn silences_that_came_and_went_before_a_crash_are_repeated_in_their_places() {
    let mut world = World::new(SILENT);
    world.start();
    world.send(0, "a", "t=1");
    world.commit();
    world.tick(70);
    world.send(80, "a", "t=1");
    world.tick(150);
    world.send(160, "a", "t=1");
    world.tick(170);
    let expected = [
        "60 silent a firing",
        "80 silent a resolved",
        "140 silent a firing",
        "160 silent a resolved",
    ];
    assert_eq!(world.lines(), expected);
    world.durable = Position(3);
    world.crash();
    world.start();
    assert_eq!(world.lines(), expected);
    world.commit();
    let events: BTreeSet<String> = world.database.events.into_keys().collect();
    let published = world.outlet.events().into_iter().map(|(_, event)| event.id);
    assert_eq!(events, published.collect());
}

#[test]
fn a_full_journal_makes_nobody_silent() {
    let mut world = World::new(SILENT);
    world.start();
    world.send(0, "a", "t=1");
    world.journal.set_state(State::Full);
    world.tick(100);
    world.tick(200);
    world.journal.set_state(State::Open);
    world.tick(201);
    world.tick(260);
    assert_eq!(world.lines(), [""; 0]);
    world.tick(262);
    assert_eq!(world.lines(), ["261 silent a firing"]);
}

#[test]
fn a_journal_that_begins_later_or_ends_earlier_is_survived() {
    let mut world = World::new(RULES);
    world.journal = FakeJournal::starting_at(100);
    world.database.position = Position(50);
    world.start();
    world.send(1, "a", "t=91");
    world.commit();
    assert_eq!(world.database.position, Position(101));
    world.lane = None;
    world.journal = FakeJournal::new();
    world.start();
    world.send(2, "b", "t=91");
    assert_eq!(world.lines(), ["1 hot a t firing", "2 hot b t firing"]);
}

/// A load of records: several devices and metrics, values that cross the limits often, some of them
/// late or sent twice.
fn load(random: &mut impl Rng) -> Vec<(i64, String, String)> {
    let mut records = Vec::new();
    for second in 0..120 {
        let device = format!("d-{}", random.random_range(0..3));
        let metric = ["t", "t2", "x"][random.random_range(0..3)];
        let value = [10, 50, 87, 92, 99][random.random_range(0..5)];
        let time = second - [0, 0, 0, 1, 30][random.random_range(0..5)];
        records.push((second, device, format!("{metric}={value}@{time}")));
    }
    records
}

/// An event without what depends on the position.
fn content(event: &Event) -> (String, i64, i64, String, u32) {
    let Event {
        message,
        started_at,
        updated_at,
        count,
        ..
    } = event;
    (
        line(event),
        *started_at,
        *updated_at,
        message.clone(),
        *count,
    )
}

/// Crashes at random moments, with commits that were lost, done, or done without the lane knowing;
/// not yet durable records are sent again, between others. The events are those of a run without a
/// crash, each published once and stored once.
#[test]
fn crashes_anywhere_publish_and_store_each_event_exactly_once() {
    for seed in 0..60 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = load(&mut random);
        let mut oracle = World::new(RULES);
        oracle.start();
        for (second, device, payload) in &records {
            oracle.send(*second, device, payload);
        }
        let mut expected: Vec<_> = oracle.outlet.events();
        expected.sort_by_key(|(_, event)| content(event));
        assert!(expected.len() > 10, "seed {seed}: a load without alerts");

        let mut world = World::new(RULES);
        world.start();
        // Records by position, so that lost ones can be sent again; `None` is a stranger's.
        let mut sent: Vec<Option<usize>> = Vec::new();
        let mut next = 0;
        while next < records.len() {
            let (second, device, payload) = &records[next];
            world.clock.set(*second);
            world.send(*second, device, payload);
            sent.push(Some(next));
            next += 1;
            if random.random_bool(0.2) {
                world.durable = world.journal.end();
            }
            if random.random_bool(0.1) {
                let changes = world.pending.take();
                match random.random_range(0..3) {
                    0 => world.pending.restore(changes),
                    outcome => {
                        world.database.commit(&changes);
                        world.durable = world.durable.max(world.database.position);
                        if outcome == 1 {
                            world.pending.committed(&changes);
                        } else {
                            // The process dies before it hears of the success.
                            world.crash();
                        }
                    }
                }
            }
            if world.lane.is_none() || random.random_bool(0.1) {
                world.crash();
                sent.truncate(world.journal.end().0 as usize);
                next = sent.iter().flatten().last().map_or(0, |last| last + 1);
                world.start();
                if random.random_bool(0.5) {
                    world.send(*second, "stranger", "y=1");
                    sent.push(None);
                }
                world.check_active();
            }
        }
        world.commit();
        let mut published = world.outlet.events();
        published.sort_by_key(|(_, event)| content(event));
        let contents = |events: &[(String, Event)]| -> Vec<_> {
            events.iter().map(|(_, event)| content(event)).collect()
        };
        assert_eq!(contents(&published), contents(&expected), "seed {seed}");
        let mut stored: Vec<_> = world.database.events.values().map(content).collect();
        stored.sort();
        assert_eq!(stored, contents(&expected), "seed {seed}");
        world.check_active();
        assert_eq!(world.outlet.active(), oracle.outlet.active(), "seed {seed}");
    }
}

/// With silence a crash may shift events, because a restart gives everybody the whole interval.
/// What must hold: the events of each alert take turns, no id is published twice, everything
/// published is stored, what is retained is what fires.
#[test]
fn silences_take_turns_whatever_crashes() {
    for seed in 0..60 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new(SILENT);
        world.start();
        let mut second = 0;
        for _ in 0..150 {
            second += random.random_range(1..40);
            world.clock.set(second);
            match random.random_range(0..10) {
                0 => {
                    world.crash();
                    world.start();
                    world.check_active();
                }
                1 | 2 => world.commit(),
                3..=6 => {
                    let device = format!("d-{}", random.random_range(0..4));
                    world.send(second, &device, "t=1");
                    world.durable = world.journal.end();
                }
                _ => world.run(),
            }
        }
        world.commit();
        let events = world.outlet.events();
        assert!(events.len() > 10, "seed {seed}");
        let mut firing: BTreeMap<&str, bool> = BTreeMap::new();
        for (_, event) in &events {
            let now = event.state == EventState::Firing;
            let before = firing.insert(&event.device, now).unwrap_or(false);
            assert_ne!(now, before, "seed {seed}: {event:?}");
        }
        let ids: BTreeSet<&String> = events.iter().map(|(_, event)| &event.id).collect();
        assert_eq!(ids.len(), events.len(), "seed {seed}");
        let stored: BTreeSet<&String> = world.database.events.keys().collect();
        assert_eq!(stored, ids, "seed {seed}");
        world.check_active();
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn the_thread_waits_for_the_checkpoint_publishes_and_drains() {
    let world = World::new(RULES);
    world.clock.set(2);
    let lane = spawn(world.parts()).unwrap();
    world.journal.push(SECOND, "a", "t=91");
    assert_eq!(world.lines(), [""; 0]);
    world.pending.deliver_checkpoint(AlertCheckpoint::default());
    world.outlet.wait_for_events(1);
    world.journal.push(2 * SECOND, "a", "t=0");
    assert!(lane.stop(deadline()));
    assert_eq!(world.lines(), ["1 hot a t firing", "2 hot a t resolved"]);
    assert_eq!(world.pending.take().position, Some(Position(2)));
}

#[test]
fn the_thread_stops_while_it_waits_for_the_checkpoint() {
    let world = World::new(RULES);
    let lane = spawn(world.parts()).unwrap();
    assert!(!lane.is_finished());
    assert!(lane.stop(deadline()));
}

#[test]
fn without_rules_the_position_follows_the_journal() {
    let world = World::new("");
    world.pending.deliver_checkpoint(AlertCheckpoint::default());
    world.journal.push(SECOND, "a", "t=91");
    let lane = spawn(world.parts()).unwrap();
    let stats = Arc::clone(lane.stats());
    assert!(lane.stop(deadline()));
    assert_eq!(stats.position.load(Ordering::Relaxed), 1);
    assert_eq!(stats.records.load(Ordering::Relaxed), 0);
    assert_eq!(world.pending.take().position, Some(Position(1)));
}

#[test]
fn the_lane_waits_rather_than_drops_when_the_store_is_away() {
    let mut world = World::new(RULES);
    world.pending = Pending::in_memory(2);
    world.pending.deliver_checkpoint(AlertCheckpoint::default());
    let lane = spawn(world.parts()).unwrap();
    for device in ["a", "b", "c"] {
        world.journal.push(SECOND, device, "t=91");
    }
    world.wait_for_pending(2);
    assert_eq!(world.pending.take().events.len(), 2);
    world.outlet.wait_for_events(3);
    assert!(lane.stop(deadline()));

    // While it waits it can be stopped; what it has not done is done after the next start.
    world.pending = Pending::in_memory(1);
    world.pending.deliver_checkpoint(AlertCheckpoint::default());
    world.outlet = FakeOutlet::default();
    let lane = spawn(world.parts()).unwrap();
    world.wait_for_pending(1);
    assert!(!lane.stop(Instant::now()));
    let changes = world.pending.take();
    assert_eq!(changes.position, Some(Position(1)));
    assert_eq!(changes.events.len(), 1);
}

#[test]
fn a_folder_without_published_log_does_not_stop_alerts() {
    let mut world = World::new(RULES);
    world.pending = Pending::open(Path::new("/nonexistent/folder"), 10);
    world.pending.deliver_checkpoint(AlertCheckpoint::default());
    let lane = spawn(world.parts()).unwrap();
    world.journal.push(SECOND, "a", "t=91");
    world.outlet.wait_for_events(1);
    assert!(lane.stop(deadline()));
}
