use super::*;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

#[test]
fn defaults_are_valid_and_survive_the_way_through_toml() {
    let config = Config::default();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(self::config(&text), config);
    assert_eq!(self::config(""), config);
    let meaning = config.meaning(Arc::default()).unwrap();
    assert_eq!(meaning.payloads.time_min, telemetry::decode::TIME_MIN);
    assert_eq!(config.rows().unwrap().batch_rows, 60_000);
}

#[test]
fn bounds_and_files_are_checked() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let config = config(text);
        let meaning = config.meaning(Arc::default()).err();
        let error = meaning.or(config.rows().err()).unwrap();
        assert_eq!(error.to_string(), expected, "{text}");
    }
    check(
        "max_series = 0",
        "`ingest.max_series` is 0; it may be 1 to 4294967295",
    );
    check(
        "batch_rows = 0",
        "`ingest.batch_rows` is 0; it may be 1 to 1000000",
    );
    check(
        "batch_delay = '11s'",
        "`ingest.batch_delay` is 11s; it may be up to 10s",
    );
    check(
        "time_zone = 'Berlin'",
        "`ingest.time_zone` is `Berlin`: no known zone",
    );
    check("min_time = '2000'", "`ingest.min_time` is `2000`: no time");
    check(
        "min_time = '1969-12-31'",
        "`ingest.min_time` is `1969-12-31`: no time",
    );
    check("time_field = ''", "`ingest.time_field` has an empty name");
    let devices = config("devices = '/nowhere/x.csv'").registry();
    assert!(devices.expect_err("no such file").is_missing());
    check(
        "[[filter.rule]]\nrange = {}",
        "filter rule 1: `range` needs `min` or `max`",
    );
    assert!(toml::from_str::<Config>("batch_row = 1").is_err());
}
