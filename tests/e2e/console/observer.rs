//! A subscriber that is there the whole time: `mosquitto_sub`, which connects again by itself.

use std::collections::{HashMap, HashSet};

use testkit::{ChildGuard, wait_until};

use crate::server::{PATIENCE, Setup, mosquitto_sub};

/// Device, rule and state.
pub(super) type Change = (String, String, String);

pub(super) struct Observer {
    process: ChildGuard,
}

impl Observer {
    /// Subscribes to each change and to what is active, and waits until that is so.
    pub(super) fn start(setup: &Setup) -> Observer {
        let mut command = mosquitto_sub(setup, "mqttv311", "alerts/+/+/+", "%r %t %p");
        // It says when it is subscribed.
        command.arg("-d");
        let mut process = ChildGuard::spawn(&mut command);
        process.wait_for_line("Subscribed (mid:", PATIENCE);
        Observer { process }
    }

    pub(super) fn wait_for(&self, device: &str, rule: &str, state: &str) {
        let change = (device.to_owned(), rule.to_owned(), state.to_owned());
        wait_until(
            &format!("{device}/{rule} to be {state}"),
            PATIENCE,
            || self.process.lines(),
            |lines| events(lines).iter().any(|(_, seen)| *seen == change),
        );
    }

    /// Waits for the retained alert of `device`, which a subscriber gets when it connects: the
    /// proof that this one is connected again.
    pub(super) fn wait_for_retained(&self, device: &str) {
        let start = format!("1 alerts/active/{device}/");
        wait_until(
            &format!("the retained alert of {device}"),
            PATIENCE,
            || self.process.lines(),
            |lines| lines.iter().any(|line| line.starts_with(&start)),
        );
    }

    /// How often each change was seen; no event id may have come twice either.
    #[track_caller]
    pub(super) fn assert_counts(&self, expected: &[((&str, &str, &str), usize)]) {
        let mut counts: HashMap<Change, usize> = HashMap::new();
        let mut ids = HashSet::new();
        for (id, change) in events(&self.process.lines()) {
            assert!(ids.insert(id.clone()), "{id} of {change:?} came twice");
            *counts.entry(change).or_default() += 1;
        }
        assert_eq!(counts, owned(expected));
    }
}

pub(super) fn owned(expected: &[((&str, &str, &str), usize)]) -> HashMap<Change, usize> {
    expected
        .iter()
        .map(|((device, rule, state), count)| {
            (
                (device.to_string(), rule.to_string(), state.to_string()),
                *count,
            )
        })
        .collect()
}

/// The id and the change of each line that is an event, not the retained state of one.
fn events(lines: &[String]) -> Vec<(String, Change)> {
    lines
        .iter()
        .filter_map(|line| {
            let (topic, payload) = line.strip_prefix("0 alerts/")?.split_once(' ')?;
            if topic.starts_with("active/") {
                return None;
            }
            let event: serde_json::Value = serde_json::from_str(payload).expect("JSON");
            let [id, device, rule, state] = ["id", "device", "rule", "state"]
                .map(|key| event[key].as_str().expect("a text").to_owned());
            Some((id, (device, rule, state)))
        })
        .collect()
}
