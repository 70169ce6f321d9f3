use super::super::testing::{FakeSource, SECOND, labels, line};
use super::*;

/// An engine with a world around it; times are seconds, positions count by themselves.
struct World {
    engine: Engine,
    source: FakeSource,
    rules: Arc<Rules>,
    effects: Effects,
    /// What a database would hold.
    states: std::collections::BTreeMap<(String, String, String), String>,
    position: u64,
}

impl World {
    fn new(rules: &str) -> World {
        World::with(rules, &Config::default())
    }

    fn with(rules: &str, config: &Config) -> World {
        let rules = Arc::new(Rules::of_text(rules));
        World {
            engine: Engine::new(Arc::clone(&rules), config, 0),
            source: FakeSource::default(),
            rules,
            effects: Effects::default(),
            states: std::collections::BTreeMap::new(),
            position: 0,
        }
    }

    fn send(&mut self, second: i64, device: &str, metric: &str, value: f64) {
        self.send_late(second, second, device, metric, value);
    }

    fn send_late(&mut self, received: i64, second: i64, device: &str, metric: &str, value: f64) {
        let origin = Origin {
            position: Position(self.position),
            received_at: received * SECOND,
        };
        self.position += 1;
        let sample = Sample {
            series: self.source.series(device, metric),
            device,
            metric,
            unit: "°C",
            labels: &labels(device),
            time: second * SECOND,
            has_device_time: true,
            value: Value::Number(value),
        };
        let wanted = self
            .engine
            .report(origin, device, || labels(device), &mut self.effects);
        if wanted {
            self.engine.sample(origin, &sample, &mut self.effects);
        }
        self.store();
    }

    fn tick(&mut self, second: i64) {
        while self.engine.tick(second * SECOND, 2, &mut self.effects) {}
        self.store();
    }

    fn store(&mut self) {
        for row in self.effects.states.drain(..) {
            let key = (row.rule, row.device, row.metric);
            match row.state {
                Some(state) => self.states.insert(key, state),
                None => self.states.remove(&key),
            };
        }
    }

    fn rows(&self) -> Vec<AlertStateRow> {
        let rows = self.states.iter();
        rows.map(|((rule, device, metric), state)| AlertStateRow {
            rule: rule.clone(),
            device: device.clone(),
            metric: metric.clone(),
            state: Some(state.clone()),
        })
        .collect()
    }

    /// The process ends and starts again at this second, perhaps with other rules. Everything had
    /// been stored.
    fn restart(&mut self, second: i64, rules: Option<&str>) {
        if let Some(rules) = rules {
            self.rules = Arc::new(Rules::of_text(rules));
        }
        let now = second * SECOND;
        self.engine = Engine::new(Arc::clone(&self.rules), &Config::default(), now);
        self.source = FakeSource::default();
        self.engine
            .restore(&self.rows(), Restored::default(), now, &mut self.effects);
        self.store();
    }

    /// The transitions so far.
    fn lines(&self) -> Vec<String> {
        let transitions = self.effects.transitions.iter();
        transitions.map(|one| line(&one.event)).collect()
    }

    fn last(&self) -> &Event {
        &self.effects.transitions.last().unwrap().event
    }
}

const HOT: &str = r#"
    [[rule]]
    name = "hot"
    device = "boiler-*"
    metric = "temperature"
    above = 90
    clear = 85
    for = "30s"
    severity = "critical"
"#;

const SILENT: &str = r#"
    [[rule]]
    name = "silent"
    device = "boiler-*"
    silent_for = "60s"
"#;

#[test]
fn an_event_tells_what_happened() {
    let mut world = World::new(HOT);
    world.send(10, "boiler-1", "temperature", 95.0);
    assert_eq!(world.lines(), [""; 0]);
    world.send(45, "boiler-1", "temperature", 96.5);
    let firing = world.last().clone();
    assert_eq!(
        firing,
        Event {
            id: firing.id.clone(),
            rule: "hot".into(),
            device: "boiler-1".into(),
            metric: "temperature".into(),
            severity: super::super::Severity::Critical,
            state: EventState::Firing,
            value: Some(96.5),
            threshold: 90.0,
            message: "temperature of boiler-1 is 96.5 °C, above 90".into(),
            labels: Labels::from_json(r#"{"kind":"boiler"}"#),
            started_at: 10 * SECOND,
            updated_at: 45 * SECOND,
            count: 1,
        }
    );
    world.send(50, "boiler-1", "temperature", 85.0);
    let resolved = world.last().clone();
    assert_ne!(resolved.id, firing.id);
    assert_eq!(
        resolved,
        Event {
            id: resolved.id.clone(),
            state: EventState::Resolved,
            value: Some(85.0),
            message: "temperature of boiler-1 is 85 °C, back to normal, limit 90".into(),
            updated_at: 50 * SECOND,
            ..firing
        }
    );
    world.send(60, "boiler-1", "temperature", 99.0);
    world.send(90, "boiler-1", "temperature", 99.0);
    assert_eq!(world.last().count, 2);
    assert_eq!(world.lines().len(), 3);
}

#[test]
fn what_no_rule_covers_leads_nowhere() {
    let mut world = World::new(&(HOT.to_owned() + SILENT));
    for second in [0, 100] {
        world.send(second, "pump-1", "temperature", 99.0);
        world.send(second, "boiler-1", "pressure", 99.0);
    }
    assert_eq!(world.lines(), [""; 0]);
    assert_eq!(world.engine.counters().evaluated, 0);
    // Of all this, only the silence of the boiler is watched.
    assert_eq!(world.engine.instances_len(), 1);
}

#[test]
fn labels_narrow_both_kinds_of_rules() {
    let rule = |name: &str, lines: &str| {
        format!("[[rule]]\nname = \"{name}\"\nlabels = {{ kind = \"pump\" }}\n{lines}\n")
    };
    let mut world = World::new(
        &(rule("high", "metric = \"level\"\nabove = 1") + &rule("quiet", "silent_for = \"60s\"")),
    );
    world.send(0, "pump-1", "level", 2.0);
    world.send(0, "tank-1", "level", 2.0);
    world.tick(60);
    assert_eq!(
        world.lines(),
        ["0 high pump-1 level firing", "60 quiet pump-1 firing"]
    );
}

#[test]
fn each_series_has_its_own_state_and_late_samples_are_counted() {
    let mut world = World::new("[[rule]]\nname = \"high\"\nmetric = \"*\"\nabove = 1\n");
    world.send(10, "a", "x", 2.0);
    world.send(10, "a", "y", 0.0);
    world.send(10, "b", "x", 0.0);
    world.send(5, "a", "x", 0.0);
    world.send(5, "b", "x", 9.0);
    world.send(11, "a", "x", 1.0);
    assert_eq!(
        world.lines(),
        ["10 high a x firing", "11 high a x resolved"]
    );
    let counters = world.engine.counters();
    assert_eq!((counters.evaluated, counters.out_of_order), (6, 2));
}

#[test]
fn texts_are_not_compared_but_are_signs_of_life() {
    let text = r#"
        [[rule]]
        name = "high"
        metric = "mode"
        above = 1
        [[rule]]
        name = "mode-missing"
        metric = "mode"
        silent_for = "60s"
    "#;
    let mut world = World::new(text);
    let series = world.source.series("a", "mode");
    for second in [0, 50] {
        let origin = Origin {
            position: Position(second as u64),
            received_at: second * SECOND,
        };
        let sample = Sample {
            series,
            device: "a",
            metric: "mode",
            unit: "",
            labels: "{}",
            time: 0,
            has_device_time: false,
            value: Value::Text("auto"),
        };
        assert!(
            world
                .engine
                .report(origin, "a", String::new, &mut world.effects)
        );
        world.engine.sample(origin, &sample, &mut world.effects);
    }
    world.tick(109);
    assert_eq!(world.lines(), [""; 0]);
    // Another metric does not count.
    world.send(109, "a", "other", 1.0);
    world.tick(110);
    assert_eq!(world.lines(), ["110 mode-missing a mode firing"]);
    assert_eq!(world.engine.counters().evaluated, 0);
}

#[test]
fn a_device_falls_silent_and_is_heard_again() {
    let mut world = World::new(SILENT);
    world.send(0, "boiler-1", "temperature", 1.0);
    world.send(30, "boiler-2", "temperature", 1.0);
    world.send(50, "boiler-1", "temperature", 1.0);
    world.tick(89);
    assert_eq!(world.lines(), [""; 0]);
    world.tick(95);
    assert_eq!(world.lines(), ["90 silent boiler-2 firing"]);
    let event = world.last();
    assert_eq!(event.started_at, 30 * SECOND);
    assert_eq!((event.value, event.threshold), (None, 60.0));
    assert_eq!(event.message, "boiler-2 has been silent for 1m");
    world.tick(1000);
    world.send(1001, "boiler-2", "anything", 1.0);
    world.tick(1060);
    world.tick(1061);
    assert_eq!(
        world.lines(),
        [
            "90 silent boiler-2 firing",
            "110 silent boiler-1 firing",
            "1001 silent boiler-2 resolved",
            "1061 silent boiler-2 firing",
        ]
    );
    assert_eq!(world.last().count, 2);
}

#[test]
fn the_time_a_device_claims_does_not_matter_for_silence() {
    let mut world = World::new(SILENT);
    world.send_late(0, 9_999_999, "boiler-1", "temperature", 1.0);
    world.send_late(10, 5, "boiler-1", "temperature", 1.0);
    world.tick(69);
    assert_eq!(world.lines(), [""; 0]);
    world.tick(70);
    assert_eq!(world.lines(), ["70 silent boiler-1 firing"]);
}

#[test]
fn a_restart_gives_silence_the_whole_interval_and_keeps_who_is_silent() {
    let mut world = World::new(SILENT);
    world.send(0, "boiler-1", "temperature", 1.0);
    world.send(10, "boiler-2", "temperature", 1.0);
    world.tick(60);
    world.restart(1000, None);
    world.tick(1059);
    assert_eq!(world.lines(), ["60 silent boiler-1 firing"]);
    world.tick(1060);
    world.send(1070, "boiler-1", "temperature", 1.0);
    world.send(1071, "boiler-2", "temperature", 1.0);
    assert_eq!(
        world.lines(),
        [
            "60 silent boiler-1 firing",
            "1060 silent boiler-2 firing",
            "1070 silent boiler-1 resolved",
            "1071 silent boiler-2 resolved",
        ]
    );
}

#[test]
fn a_journal_that_took_nothing_makes_nobody_silent() {
    let mut world = World::new(SILENT);
    world.send(0, "boiler-1", "temperature", 1.0);
    world.engine.listen_since(500 * SECOND);
    world.tick(559);
    assert_eq!(world.lines(), [""; 0]);
    world.tick(560);
    assert_eq!(world.lines(), ["560 silent boiler-1 firing"]);
}

#[test]
fn many_devices_cost_one_timer_each() {
    let mut world = World::new(SILENT);
    for round in 0..5 {
        for device in 0..1000 {
            world.send(round * 50, &format!("boiler-{device}"), "x", 1.0);
        }
        world.tick(round * 50 + 49);
    }
    assert_eq!(world.lines(), [""; 0]);
    assert_eq!(world.engine.silences.timers_len(), 1000);
    world.tick(1000);
    assert_eq!(world.lines().len(), 1000);
    assert_eq!(world.engine.next_deadline(), None);
}

/// The states go to JSON and back at every point, and the events are those of an engine that never
/// stopped.
#[test]
fn a_restart_anywhere_changes_nothing() {
    let values = [50.0, 95.0, 96.0, 88.0, 95.0, 40.0, 95.0, 95.0, 95.0, 20.0];
    let run = |restarts: u32| {
        let mut world = World::new(HOT);
        for (step, value) in (0..).zip(values) {
            world.send(step * 16, "boiler-1", "temperature", value);
            if restarts >> step & 1 == 1 {
                world.restart(step * 16, None);
            }
        }
        let ids = world.effects.transitions.iter().map(|one| one.id);
        (world.lines(), ids.collect::<Vec<_>>())
    };
    let expected = run(0);
    assert_eq!(expected.0.len(), 2, "{:?}", expected.0);
    for restarts in 0..1 << values.len() {
        assert_eq!(run(restarts), expected, "{restarts:010b}");
    }
}

#[test]
fn inactive_instances_that_never_fired_are_not_stored() {
    let mut world = World::new(HOT);
    world.send(0, "boiler-1", "temperature", 50.0);
    assert!(world.states.is_empty());
    world.send(1, "boiler-1", "temperature", 95.0);
    assert_eq!(world.states.len(), 1);
    world.send(2, "boiler-1", "temperature", 50.0);
    assert!(world.states.is_empty());
    world.send(3, "boiler-1", "temperature", 95.0);
    world.send(33, "boiler-1", "temperature", 95.0);
    world.send(34, "boiler-1", "temperature", 50.0);
    let state = world.states.values().next().unwrap();
    assert_eq!(state, r#"{"phase":"inactive","latest":34000000,"fired":1}"#);
}

#[test]
fn alerts_end_when_their_rule_is_gone_or_about_something_else() {
    let fire = |rules: &str| {
        let mut world = World::new(&(HOT.to_owned() + SILENT));
        world.send(0, "boiler-1", "temperature", 95.0);
        world.send(30, "boiler-1", "temperature", 95.0);
        world.tick(90);
        world.effects.transitions.clear();
        world.restart(100, Some(rules));
        let messages = world.effects.transitions.iter();
        let messages: Vec<String> = messages.map(|one| one.event.message.clone()).collect();
        (world.lines(), messages, world.states.len())
    };
    assert_eq!(fire(&(HOT.to_owned() + SILENT)), (vec![], vec![], 2));
    let (lines, messages, states) = fire(HOT);
    assert_eq!(lines, ["100 silent boiler-1 resolved"]);
    assert_eq!(
        messages,
        ["the rule was removed: boiler-1 has been silent for 1m"]
    );
    assert_eq!(states, 1);
    for changed in [
        HOT.replace("boiler-*", "pump-*"),
        HOT.replace("\"temperature\"", "\"pressure\""),
        HOT.replace("for =", "labels = { kind = \"pump\" }\nfor ="),
        SILENT.replace("\"silent\"", "\"hot\""),
    ] {
        let (lines, messages, states) = fire(&(SILENT.to_owned() + &changed));
        assert_eq!(
            lines,
            ["100 hot boiler-1 temperature resolved"],
            "{changed}"
        );
        assert!(
            messages[0].starts_with("the rule is about something else now: "),
            "{messages:?}"
        );
        assert_eq!(states, 1);
    }
}

#[test]
fn the_end_of_a_removed_rule_has_one_id_however_often_it_is_tried() {
    let mut world = World::new(HOT);
    world.send(0, "boiler-1", "temperature", 95.0);
    world.send(30, "boiler-1", "temperature", 95.0);
    let rows = world.rows();
    let end = |second: i64| {
        let mut engine = Engine::new(Arc::default(), &Config::default(), 0);
        let mut effects = Effects::default();
        engine.restore(&rows, Restored::default(), second * SECOND, &mut effects);
        effects.transitions[0].id
    };
    assert_eq!(end(100), end(200));
}

#[test]
fn a_state_that_cannot_be_read_begins_anew() {
    let mut world = World::new(HOT);
    let key = ("hot".into(), "boiler-1".into(), "temperature".into());
    for state in ["", "{}", r#"{"phase":"dancing"}"#] {
        world.states.insert(Clone::clone(&key), state.to_owned());
        world.restart(0, None);
        assert!(world.states.is_empty(), "{state}");
    }
    world.send(0, "boiler-1", "temperature", 95.0);
    world.send(30, "boiler-1", "temperature", 95.0);
    assert_eq!(world.lines().len(), 1);
}

#[test]
fn instances_and_devices_are_bounded() {
    let config = Config {
        max_instances: 3,
        max_devices: 2,
        ..Config::default()
    };
    let mut world = World::with(&(HOT.to_owned() + SILENT), &config);
    for device in ["boiler-1", "boiler-2", "boiler-3"] {
        world.send(0, device, "temperature", 95.0);
        world.send(30, device, "temperature", 95.0);
    }
    // Two silences and one threshold; the third device is not known as one, and its threshold is
    // one too many.
    assert_eq!(world.engine.instances_len(), 3);
    assert_eq!(world.engine.counters().instances_refused, 2);
    assert_eq!(world.lines(), ["30 hot boiler-1 temperature firing"]);
}

#[test]
fn the_warm_up_only_learns_what_is_late() {
    let mut world = World::new(&HOT.replace("for = \"30s\"", ""));
    world.engine.enter(Stage::WarmUp, &mut world.effects);
    world.send(100, "boiler-1", "temperature", 95.0);
    assert_eq!(world.lines(), [""; 0]);
    world.engine.enter(Stage::Live, &mut world.effects);
    world.send(50, "boiler-1", "temperature", 95.0);
    assert_eq!(world.lines(), [""; 0]);
    world.send(101, "boiler-1", "temperature", 95.0);
    assert_eq!(world.lines(), ["101 hot boiler-1 temperature firing"]);
}
