use std::time::Duration;

use super::System;
use super::load::{Loads, RATES};
use super::values::{Facts, Values};
use crate::stats::Stats;

fn payloads(system: &System, filter: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    system.matching(filter, &mut |message| {
        let payload = String::from_utf8_lossy(&message.payload).into_owned();
        found.push((message.topic.to_string(), payload));
    });
    found
}

#[test]
fn a_value_is_published_when_it_has_changed() {
    let system = System::default();
    let first = system.update("uptime", "1 seconds".into(), 0);
    assert_eq!(
        first.map(|message| message.payload.clone()),
        Some("1 seconds".into())
    );
    assert!(system.update("uptime", "1 seconds".into(), 0).is_none());
    assert!(system.update("uptime", "2 seconds".into(), 0).is_some());
    assert_eq!(
        payloads(&system, "$SYS/broker/uptime"),
        [("$SYS/broker/uptime".to_owned(), "2 seconds".to_owned())]
    );
}

#[test]
fn only_filters_that_name_the_tree_see_it() {
    let system = System::default();
    system.update("clients/connected", "1".into(), 0);
    system.update("uptime", "1 seconds".into(), 0);
    for filter in ["#", "+/broker/uptime", "$other/#", "$SYS/broker/nothing"] {
        assert_eq!(payloads(&system, filter), [], "{filter}");
    }
    assert_eq!(payloads(&system, "$SYS/#").len(), 2);
    assert_eq!(payloads(&system, "$SYS/broker/clients/+").len(), 1);
}

#[test]
fn every_topic_stands_once() {
    let mut names = Vec::new();
    let values = Values::of(&Stats::default(), &Facts::default());
    let averages = Loads::new(Duration::from_secs(10)).update(values.totals());
    values.each(&averages, &mut |name, _| names.push(name.to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for known in [
        "version",
        "uptime",
        "clients/connected",
        "load/publish/received/15min",
    ] {
        assert!(names.iter().any(|name| name == known), "{known}");
    }
}

#[test]
fn averages_near_a_steady_rate_and_the_shorter_window_faster() {
    let mut loads = Loads::new(Duration::from_secs(10));
    let mut totals = [0; RATES.len()];
    let mut averages = loads.update(&totals);
    for _ in 0..60 {
        totals[0] += 100;
        averages = loads.update(&totals);
    }
    let [one, five, fifteen] = averages[0];
    assert!((599.0..=600.0).contains(&one), "{one}");
    assert!(
        one > five && five > fifteen && fifteen > 250.0,
        "{averages:?}"
    );
    assert_eq!(averages[1], [0.0; 3]);
}
