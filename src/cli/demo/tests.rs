use super::*;
use crate::diagnostics::tests::plain;

#[test]
fn files_are_written_once_and_then_belong_to_the_user() {
    let folder = tempfile::tempdir().expect("temp folder");
    let data = folder.path().join("demo");
    write_files(&data).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    let rules = data.join(ALERTS_FILE);
    assert_eq!(fs::read_to_string(&rules).expect("written"), FILES[0].1);
    fs::write(&rules, "# mine\n").expect("changed");
    write_files(&data).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    assert_eq!(fs::read_to_string(&rules).expect("kept"), "# mine\n");
}

#[test]
fn the_shipped_fleet_speaks_to_the_demo() {
    let scenario = Scenario::parse(FILES[1].1, Path::new(SCENARIO_FILE)).expect("a scenario");
    let settings = fleet_settings(scenario, "127.0.0.1:4711".parse().expect("an address"))
        .unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    assert_eq!(settings.broker.address(), "127.0.0.1:4711");
}

#[test]
fn durations_are_written_as_people_do() {
    assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
    for wrong in ["", "0s", "-5s", "soon"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_the_flags_of_the_demo_count() {
    let folder = tempfile::tempdir().expect("temp folder");
    write_files(folder.path()).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    let args = Args {
        duration: None,
        data: folder.path().into(),
        listen: "127.0.0.1:0".into(),
        store: "sqlite".into(),
        log: "warn".into(),
        json: false,
    };
    let settings =
        config::load(&sources(&args)).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    assert_eq!(settings.data, folder.path());
    assert_eq!(settings.file, None);
    assert!(!settings.rules.is_empty());
}
