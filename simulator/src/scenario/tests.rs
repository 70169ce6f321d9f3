use super::*;
use crate::wire::MqttVersion;

fn resolve(text: &str) -> Result<Settings, Error> {
    let scenario = Scenario::parse(text, Path::new("s.toml"));
    scenario.expect("a scenario").resolve()
}

fn fleets(settings: &Settings) -> &[Fleet] {
    match &settings.load {
        Load::Fleets(fleets) => fleets,
        Load::Replay(_) => panic!("a replay"),
    }
}

#[test]
fn nothing_written_is_ten_thermostats() {
    let settings = resolve("").unwrap();
    let [fleet] = fleets(&settings) else {
        panic!("one fleet")
    };
    assert_eq!(
        (fleet.devices, fleet.connections, fleet.qos, fleet.inflight),
        (10, 10, 1, 64)
    );
    assert_eq!(fleet.pace, Pace::Every(Duration::from_secs(1)));
    assert_eq!(fleet.device_name(0), "thermostat-0001");
    assert_eq!(fleet.client_name(9), "thermostat-0010");
    assert_eq!(settings.broker.address(), "127.0.0.1:1883");
    assert!(settings.broker.clean);
}

#[test]
fn keys_of_a_file_are_those_of_the_flags() {
    let settings = resolve(
        r#"
        host = "::1"
        mqtt-version = 5
        keepalive = 30
        duration = "1m"
        drain = "2s"
        seed = 9
        start-time = "2025-01-01T00:00:00Z"
        expect = "out.csv"
        alerts = "alerts/#"
        workers = 2

        [[profile]]
        name = "pump"
        [[profile.metric]]
        name = "pressure"
        unit = "bar"
        signal = { waveform = "sine", base = 4, amplitude = 0.5, period = "2m", noise = 0.01 }

        [[fleet]]
        profile = "pump"
        count = 20
        connections = 4
        rate = 100
        ramp-up = "2s"
        payload = "batch"
        batch-size = 5
        fault = ["spike:0.1", "stuck:every=1m"]

        [[fleet]]
        profile = ["boiler", "gps"]
        device = "unit-%i"
        client-id = "c-{device}"
        interval-of-connecting = 50
        qos = 2
    "#,
    )
    .unwrap();
    assert_eq!(settings.broker.address(), "[::1]:1883");
    assert_eq!(settings.broker.version, MqttVersion::V5);
    assert_eq!((settings.seed, settings.workers), (9, 2));
    let [pumps, units] = fleets(&settings) else {
        panic!("two fleets")
    };
    assert_eq!(
        pumps.profiles[0].metrics[0].signal.period,
        Duration::from_secs(120)
    );
    assert_eq!(pumps.pace, Pace::Every(Duration::from_millis(200)));
    assert_eq!((pumps.batch_size, pumps.faults.len()), (5, 2));
    assert_eq!(pumps.connect_interval, Duration::from_millis(500));
    assert_eq!(pumps.limit.duration, Some(Duration::from_secs(60)));
    assert!(pumps.client_name(3).starts_with("simulate-"));
    assert_eq!(units.client_name(1), "c-unit-2");
    assert_eq!(units.profiles[1].name, "gps");
    assert_eq!(units.connect_interval, Duration::from_millis(50));
}

#[test]
fn what_cannot_be_used_is_named() {
    let table = [
        ("[[fleet]]\ncount = 0", "`count` is 0"),
        ("[[fleet]]\nconnections = 0", "`connections` must be"),
        (
            "[[fleet]]\nprofile = \"toaster\"",
            "`toaster` is not a profile",
        ),
        ("[[fleet]]\nrate = 5\ninterval = 5", "exclude each other"),
        ("[[fleet]]\nbatch-size = 5", "`batch-size` needs"),
        (
            "[[fleet]]\npayload = \"batch\"\nbatch-size = 0",
            "`batch-size` is 0",
        ),
        ("[[fleet]]\ntopic = \"a/#\"", "contains `#`"),
        ("[[fleet]]\ndevice = \"one\"", "`device` needs `{index}`"),
        ("[[fleet]]\nclient-id = \"one\"", "`client-id` needs"),
        ("[[fleet]]\nqos = 3", "`qos` is 3"),
        ("[[fleet]]\ninflight = 0", "`inflight` must be"),
        (
            "[[fleet]]\n[[fleet]]",
            "two fleets have a device `thermostat-0001`",
        ),
        (
            "[[profile]]\nname = \"a/b\"\nmetric = []",
            "`a/b` cannot stand in a topic",
        ),
        ("password = \"x\"", "`password` needs a `username`"),
        (
            "keepalive = \"1500ms\"",
            "`keepalive` must be whole seconds",
        ),
        ("workers = 0", "`workers` is 0"),
    ];
    for (text, message) in table {
        let error = resolve(text).unwrap_err();
        assert!(matches!(error, Error::Settings(_)), "{text}: {error:?}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_read_shows_the_line() {
    let table = [
        ("seed = 1\nsed = 2", "unknown key `sed`"),
        ("[[fleet]]\ncolour = 1", "unknown key `colour`"),
        ("[[fleet]]\nfault = \"spikes\"", "`spikes` is not a fault"),
        (
            "[[fleet]]\nfault = [\"spike\", \"stuck:9\"]",
            "`9` is not a probability",
        ),
        ("duration = \"soon\"", "`soon` is not a duration"),
        ("mqtt-version = 6", "`6` is not a version of MQTT"),
        (
            "[[profile]]\nname = \"p\"\nmetrics = []",
            "unknown key `metrics`",
        ),
    ];
    for (text, message) in table {
        let error = Scenario::parse(text, Path::new("s.toml")).unwrap_err();
        let documents::FileError::Wrong { problems, .. } = &error else {
            panic!("{error}")
        };
        let line = text.lines().count();
        let is_told = problems.iter().any(|problem| {
            let place = problem.place.as_ref().expect("a place");
            problem.message.contains(message) && place.line() == line
        });
        assert!(is_told, "{text}: {problems:?}");
        assert!(error.to_string().contains("`s.toml`"), "{error}");
    }
    let missing = Scenario::read(Path::new("/nowhere/s.toml")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot read the scenario `/nowhere/s.toml`"
    );
}

#[test]
fn flags_lie_over_the_file() {
    let file = Scenario::parse(
        "port = 1\nseed = 5\n[[fleet]]\ncount = 3\nrate = 10\nramp-up = \"1s\"",
        Path::new("s.toml"),
    )
    .unwrap();
    let flags = Scenario {
        run: RunKeys {
            port: Some(2),
            ..RunKeys::default()
        },
        fleet: FleetKeys {
            interval: Some(Duration::from_millis(20)),
            interval_of_connecting: Some(Duration::from_millis(5)),
            ..FleetKeys::default()
        },
        replay: ReplayKeys::default(),
    };
    let settings = file.under(flags).resolve().unwrap();
    assert_eq!((settings.broker.port, settings.seed), (2, 5));
    let [fleet] = fleets(&settings) else {
        panic!("one fleet")
    };
    assert_eq!(
        (fleet.devices, fleet.pace),
        (3, Pace::Every(Duration::from_millis(20)))
    );
    assert_eq!(fleet.connect_interval, Duration::from_millis(5));
}

#[test]
fn the_shipped_scenarios_can_be_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let settings = Scenario::read(&path).unwrap().resolve().unwrap();
        assert!(!fleets(&settings).is_empty());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["demo.toml", "load.toml", "outages.toml"]);
}

#[test]
fn a_replay_takes_its_own_keys_and_no_others() {
    let replay = |replay: ReplayKeys, fleet: FleetKeys| {
        let replay = ReplayKeys {
            replay: Some("dir/machine.csv".into()),
            ..replay
        };
        Scenario {
            run: RunKeys::default(),
            fleet,
            replay,
        }
        .resolve()
    };
    let settings = replay(
        ReplayKeys {
            map: vec!["value=temperature".into()],
            speed: Some("60x".into()),
            ..ReplayKeys::default()
        },
        FleetKeys::default(),
    )
    .unwrap();
    let Load::Replay(settled) = settings.load else {
        panic!("no replay")
    };
    assert_eq!(
        (settled.device.as_str(), settled.client_id.as_str()),
        ("machine", "machine")
    );
    assert_eq!((settled.speed, settled.qos), (Some(60.0), 1));
    assert_eq!(
        settled.columns.map,
        [("value".to_owned(), "temperature".to_owned())]
    );

    let bad_map = ReplayKeys {
        map: vec!["value".into()],
        ..ReplayKeys::default()
    };
    let bad_speed = ReplayKeys {
        speed: Some("fast".into()),
        ..ReplayKeys::default()
    };
    let count = FleetKeys {
        count: Some(2),
        ..FleetKeys::default()
    };
    let batch = FleetKeys {
        payload: Some(PayloadShape::Batch),
        ..FleetKeys::default()
    };
    let table = [
        (bad_map, FleetKeys::default(), "`value` is not a map"),
        (bad_speed, FleetKeys::default(), "`fast` is not a speed"),
        (
            ReplayKeys::default(),
            count,
            "`count` does not go with `replay`",
        ),
        (ReplayKeys::default(), batch, "`payload` cannot be `batch`"),
    ];
    for (keys, fleet, message) in table {
        let error = replay(keys, fleet).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
