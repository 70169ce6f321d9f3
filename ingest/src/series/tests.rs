use super::*;

fn enrichment(unit: &str) -> Enrichment {
    Enrichment {
        unit: unit.into(),
        labels: BTreeMap::from([("b".into(), "2".into()), ("a".into(), "\"1\"".into())]),
        scale: 2.0,
        offset: 1.0,
    }
}

fn add(table: &mut SeriesTable, device: &str, metric: &str, unit: &str) -> SeriesKey {
    table
        .add(
            device,
            metric,
            enrichment(unit),
            RuleSet::default(),
            Origin::default(),
        )
        .unwrap()
}

#[test]
fn series_are_found_by_device_and_metric() {
    let mut table = SeriesTable::new(10);
    assert_eq!(table.find_device("a"), None);
    let keys = [
        add(&mut table, "a", "x", "K"),
        add(&mut table, "a", "y", "K"),
        add(&mut table, "b", "x", "bar"),
    ];
    assert_eq!(keys, [SeriesKey(0), SeriesKey(1), SeriesKey(2)]);
    let (a, b) = (
        table.find_device("a").unwrap(),
        table.find_device("b").unwrap(),
    );
    assert_eq!(table.find(a, "x"), Some(keys[0]));
    assert_eq!(table.find(a, "y"), Some(keys[1]));
    assert_eq!(table.find(b, "x"), Some(keys[2]));
    assert_eq!(table.find(b, "y"), None);
    let series = table.get(keys[2]);
    assert_eq!(
        (series.device, series.metric, series.unit),
        ("b", "x", "bar")
    );
    assert_eq!(series.labels, r#"{"a":"\"1\"","b":"2"}"#);
    assert_eq!(series.announce(SeriesKey(9)).key, SeriesKey(9));
    // Two units, two enrichments; three series.
    assert_eq!((table.enrichments.len(), table.len()), (2, 3));
}

#[test]
fn the_number_of_series_is_bounded() {
    let mut table = SeriesTable::new(2);
    add(&mut table, "a", "x", "");
    add(&mut table, "a", "y", "");
    let refused = table.add(
        "b",
        "x",
        enrichment(""),
        RuleSet::default(),
        Origin::default(),
    );
    assert_eq!(refused, Err(TooManySeries));
    assert_eq!((table.len(), table.find_device("b")), (2, None));
}

#[test]
fn a_hundred_thousand_series_keep_their_keys_through_growth() {
    let mut table = SeriesTable::new(1_000_000);
    for device in 0..1_000 {
        for metric in 0..100 {
            add(&mut table, &format!("d{device}"), &format!("m{metric}"), "");
        }
    }
    for device in (0..1_000).step_by(7) {
        let found = table.find_device(&format!("d{device}")).unwrap();
        for metric in 0..100 {
            let key = table.find(found, &format!("m{metric}"));
            assert_eq!(key, Some(SeriesKey(device * 100 + metric)));
        }
    }
    assert_eq!(table.enrichments.len(), 1);
}
