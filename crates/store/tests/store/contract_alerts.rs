//! Alert states, events and their position.

use journal::Position;
use store::{AlertChanges, AlertEventRow, AlertStateRow};

use crate::backend::{Backend, count};
use crate::batches::{NOON, batch, journal};

pub(crate) fn states_are_replaced_and_deleted(backend: &dyn Backend) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let mut commit = |position: u64, states: &[AlertStateRow]| {
        let mut empty = batch(0).build();
        empty.alerts.position = Some(Position(position));
        empty.alerts.states = states.to_vec();
        store.commit(journal(1), &empty).expect("committed");
        let checkpoint = store.load(journal(1)).expect("loaded");
        assert_eq!(checkpoint.alerts, Position(position));
        checkpoint.alert_states
    };
    let hot = state(
        "hot",
        "boiler",
        "temperature",
        Some(r#"{"state":"firing"}"#),
    );
    let silent = state("silent", "boiler ü", "", Some(r#"{"armed":"\u0000"}"#));
    assert_eq!(
        commit(3, &[silent.clone(), hot.clone()]),
        [hot.clone(), silent.clone()]
    );
    let cooler = state("hot", "boiler", "temperature", Some("{}"));
    assert_eq!(
        commit(5, std::slice::from_ref(&cooler)),
        [cooler, silent.clone()]
    );
    let gone = state("hot", "boiler", "temperature", None);
    let never_there = state("hot", "other", "temperature", None);
    assert_eq!(commit(9, &[gone, never_there]), [silent]);
}

pub(crate) fn the_last_word_on_an_instance_counts(backend: &dyn Backend) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let mut twice = batch(0).build();
    twice.alerts.states = vec![
        state("hot", "a", "m", Some("1")),
        state("hot", "b", "m", Some("2")),
        state("hot", "a", "m", Some("3")),
        state("hot", "b", "m", None),
    ];
    store.commit(journal(1), &twice).expect("committed");
    let states = store.load(journal(1)).expect("loaded").alert_states;
    assert_eq!(states, [state("hot", "a", "m", Some("3"))]);
}

pub(crate) fn a_repeated_event_is_ignored(backend: &dyn Backend) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let commit = |store: &mut dyn store::Store, events: Vec<AlertEventRow>| {
        let mut empty = batch(0).build();
        empty.alerts = AlertChanges {
            events,
            ..AlertChanges::default()
        };
        store.commit(journal(1), &empty).expect("committed");
    };
    commit(&mut *store, vec![event("1", Some(97.25)), event("2", None)]);
    commit(
        &mut *store,
        vec![event("2", Some(1.0)), event("3", None), event("3", None)],
    );
    let micros = backend.micros("time");
    let rows = backend.query(&format!(
        "SELECT id, {micros}, rule, device, metric, severity, state, value FROM alert_events ORDER BY id",
    ));
    let row = |id: &str, value: &str| {
        let noon = NOON.to_string();
        [
            id,
            &noon,
            "hot",
            "boiler",
            "temperature",
            "critical",
            "firing",
            value,
        ]
        .map(str::to_owned)
    };
    assert_eq!(rows, [row("1", "97.25"), row("2", ""), row("3", "")]);
    let payloads = backend.query("SELECT payload FROM alert_events WHERE id = '1'");
    assert_eq!(payloads, [[r#"{"id":"1"}"#]]);
}

pub(crate) fn changes_come_without_records(backend: &dyn Backend) {
    let mut store = backend.store();
    store.load(journal(1)).expect("loaded");
    let rows = batch(0).filtered().filtered().build();
    store.commit(journal(1), &rows).expect("committed");
    let mut alerts = batch(2).build();
    alerts.alerts.position = Some(Position(1));
    store.commit(journal(1), &alerts).expect("committed");
    // No position: it stays where it was.
    let rows = batch(2).filtered().build();
    store.commit(journal(1), &rows).expect("committed");
    let checkpoint = store.load(journal(1)).expect("loaded");
    assert_eq!(checkpoint.rows, Position(3));
    assert_eq!(checkpoint.alerts, Position(1));
    assert_eq!(checkpoint.totals.filtered, 3);
}

pub(crate) fn journals_do_not_share_alerts(backend: &dyn Backend) {
    let mut store = backend.store();
    for number in [1, 2] {
        store.load(journal(number)).expect("loaded");
        let mut changes = batch(0).build();
        changes.alerts.position = Some(Position(number as u64));
        changes.alerts.states = vec![state("hot", "a", "m", Some(&number.to_string()))];
        changes.alerts.events = vec![event("same", None)];
        store.commit(journal(number), &changes).expect("committed");
    }
    for number in [1, 2] {
        let checkpoint = store.load(journal(number)).expect("loaded");
        assert_eq!(checkpoint.alerts, Position(number as u64));
        let expected = state("hot", "a", "m", Some(&number.to_string()));
        assert_eq!(checkpoint.alert_states, [expected]);
    }
    assert_eq!(count(backend, "alert_events"), 2);
}

fn state(rule: &str, device: &str, metric: &str, state: Option<&str>) -> AlertStateRow {
    AlertStateRow {
        rule: rule.into(),
        device: device.into(),
        metric: metric.into(),
        state: state.map(str::to_owned),
    }
}

fn event(id: &str, value: Option<f64>) -> AlertEventRow {
    AlertEventRow {
        id: id.into(),
        time: NOON,
        rule: "hot".into(),
        device: "boiler".into(),
        metric: "temperature".into(),
        severity: "critical".into(),
        state: "firing".into(),
        value,
        payload: format!(r#"{{"id":"{id}"}}"#),
    }
}
