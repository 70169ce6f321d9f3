use super::*;

/// A log that is always read at one moment.
struct Log {
    state: State,
    hasher: RandomState,
    now: Instant,
}

impl Log {
    fn new() -> Log {
        Log {
            state: State::default(),
            hasher: RandomState::new(),
            now: Instant::now(),
        }
    }

    fn publish(&mut self, topic: &str, payload: &str, is_retained: bool) -> Option<String> {
        let publish = Publish {
            topic,
            payload: payload.as_bytes(),
            is_retained,
            client_id: "client",
            user: "",
        };
        let hash = self.hasher.hash_one(topic);
        let told = self.state.look(&publish, hash, self.now);
        told.map(|told| told.template)
    }

    fn told(&mut self, topic: &str, payload: &str) -> Option<String> {
        self.publish(topic, payload, false)
    }
}

#[test]
fn each_shape_is_told_of_once() {
    let mut log = Log::new();
    let first = log.told("sensors/a", r#"{"t":1}"#);
    assert_eq!(first.as_deref(), Some("sensors/{device}"));
    for topic in ["sensors/a", "sensors/b", "sensors/c9"] {
        for _ in 0..2 {
            assert_eq!(log.told(topic, r#"{"t":1}"#), None, "{topic}");
        }
    }
    let other = log.told("home/kitchen/temperature", "21.5");
    assert_eq!(other.as_deref(), Some("home/{device}/{metric}"));
    assert_eq!(log.told("home/hall/humidity", "40"), None);
}

#[test]
fn levels_that_vary_become_parts() {
    let mut log = Log::new();
    let mut told = |topic| log.told(topic, r#"{"t":1}"#);
    assert_eq!(
        told("north/press/data").as_deref(),
        Some("north/{device}/data")
    );
    assert_eq!(
        told("south/press/data").as_deref(),
        Some("south/{device}/data")
    );
    let third = told("west/press/data");
    assert_eq!(third.as_deref(), Some("{level1}/{device}/data"));
    assert_eq!(told("east/press/data"), None);
    assert_eq!(told("north/press/data"), None);
    assert_eq!(log.state.shapes.len(), 1);
}

#[test]
fn what_holds_no_reading_is_not_told() {
    let mut log = Log::new();
    let page = "x".repeat(1_000);
    for (topic, payload) in [
        ("a/b/empty", ""),
        ("a/c", "not json"),
        ("d/e/f", page.as_str()),
        ("g/h", "{}"),
    ] {
        for _ in 0..5 {
            assert_eq!(log.told(topic, payload), None, "{topic} {payload}");
        }
    }
    // A message of birth or death, which is retained.
    assert_eq!(log.publish("tele/lamp/LWT", "Online", true), None);
    // A shape is given up after a few.
    assert_eq!(log.told("g/h", r#"{"t":1}"#), None);
    // Before that the first reading is told.
    assert_eq!(log.told("i/j/k", ""), None);
    let state = log.told("i/j/k", "ON");
    assert_eq!(state.as_deref(), Some("i/{device}/{metric}"));
    // Retained readings make no rows either.
    let retained = log.publish("l/m/power", "3", true);
    assert_eq!(retained.as_deref(), Some("l/{device}/{metric}"));
}

#[test]
fn lines_and_memory_are_bounded() {
    let mut log = Log::new();
    let mut lines = 0;
    let topic = |number: usize| format!("{}/x/state", word(number));
    for number in 0..1_000 {
        lines += usize::from(log.told(&topic(number), "{\"t\":1}").is_some());
    }
    assert!(lines <= LineBudget::BURST as usize);
    // Shapes that have nothing in common, over a long time.
    for number in 0..2_000 {
        log.now += LineBudget::INTERVAL;
        let topic = format!(
            "{}/{}/state/{}",
            word(number),
            word(number + 7),
            word(number)
        );
        lines += usize::from(log.told(&topic, "{\"t\":1}").is_some());
    }
    assert!(log.state.shapes.len() <= SHAPES_MAX);
    assert!(lines <= SHAPES_MAX + LineBudget::BURST as usize, "{lines}");
    for number in 0..3 * SETTLED_MAX {
        log.told(&format!("a/b/c/d/{number}"), "1");
        assert!(log.state.settled.len() <= SETTLED_MAX);
    }
}

/// A word of letters alone.
fn word(number: usize) -> String {
    let letters = number.to_string();
    letters
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect()
}

#[test]
fn what_is_not_telemetry_is_left_alone() {
    let untaken = Untaken::default();
    for topic in ["alerts/command/x", "$SYS/x"] {
        untaken.look(&Publish {
            topic,
            payload: b"1",
            is_retained: false,
            client_id: "c",
            user: "",
        });
    }
    assert!(untaken.lock().shapes.is_empty());
}
