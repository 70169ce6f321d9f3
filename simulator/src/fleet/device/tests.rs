use super::*;

/// 2025-01-01T00:00:00Z.
const START_US: i64 = 1_735_689_600_000_000;

fn device(profile: &str, faults: &[&str], seed: u64, number: usize) -> Device {
    let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
    let model = Model::new(Profile::built_in(profile).unwrap(), &faults, 1);
    Device::new(Arc::new(model), seed, number)
}

/// Times (as seconds since the start) and values of the first metric, one sample a second.
fn run(device: &mut Device, seconds: u64) -> Vec<(f64, f64, Fate)> {
    (0..seconds)
        .map(|second| {
            let fate = device.sample(Duration::from_secs(second), START_US);
            (
                (device.time_us - START_US) as f64 / 1e6,
                device.values[0],
                fate,
            )
        })
        .collect()
}

#[test]
fn a_seed_repeats_a_device_and_tells_devices_apart() {
    let of = |seed, number| run(&mut device("boiler", &["spike:0.1"], seed, number), 200);
    assert_eq!(of(1, 0), of(1, 0));
    assert_ne!(of(1, 0), of(2, 0));
    assert_ne!(of(1, 0), of(1, 1));
}

#[test]
fn a_fault_does_not_shift_what_comes_after_it() {
    let healthy = run(&mut device("boiler", &["spike:at=1000s"], 5, 0), 60);
    let spiked = run(&mut device("boiler", &["spike:at=10s"], 5, 0), 60);
    for (second, (one, other)) in healthy.iter().zip(&spiked).enumerate() {
        let difference = other.1 - one.1;
        // Five times the amplitude of the boiler's temperature.
        let expected = if second == 10 { 30.0 } else { 0.0 };
        assert!(
            (difference - expected).abs() < 1e-9,
            "at {second} s: {difference}"
        );
    }
}

#[test]
fn faults_do_what_they_are_called() {
    let healthy = run(&mut device("boiler", &["dropout:at=1000s"], 5, 0), 20);

    let stuck = run(&mut device("boiler", &["stuck:at=5s,for=10s"], 5, 0), 20);
    assert!((5..=15).all(|second| stuck[second].1 == stuck[5].1));
    assert_eq!(stuck[16].1, healthy[16].1);

    let drift = run(
        &mut device("boiler", &["drift:at=5s,for=10s,by=2"], 5, 0),
        20,
    );
    assert!((drift[15].1 - healthy[15].1 - 12.0).abs() < 1e-9);
    assert!((drift[10].1 - healthy[10].1 - 6.0).abs() < 1e-9);
    assert_eq!(drift[16].1, healthy[16].1);

    let skewed = run(
        &mut device("boiler", &["clock-skew:at=5s,for=1s,by=-60"], 5, 0),
        8,
    );
    let times: Vec<f64> = skewed.iter().map(|sample| sample.0).collect();
    assert_eq!(times, [0.0, 1.0, 2.0, 3.0, 4.0, -55.0, -54.0, 7.0]);

    let fates = run(
        &mut device(
            "boiler",
            &[
                "dropout:at=1s,for=0s",
                "duplicate:at=2s",
                "late-batch:at=3s,for=0s",
            ],
            5,
            0,
        ),
        5,
    );
    let fates: Vec<(bool, bool, bool)> = fates
        .iter()
        .map(|(.., fate)| (fate.dropped, fate.duplicated, fate.held_back))
        .collect();
    let none = (false, false, false);
    assert_eq!(
        fates,
        [
            none,
            (true, false, false),
            (false, true, false),
            (false, false, true),
            none
        ]
    );
}

#[test]
fn a_fault_can_be_aimed_at_a_metric() {
    let mut healthy = device("boiler", &["spike:at=1000s"], 5, 0);
    let mut spiked = device("boiler", &["spike:at=0s,metric=pressure,by=10"], 5, 0);
    healthy.sample(Duration::ZERO, START_US);
    spiked.sample(Duration::ZERO, START_US);
    assert_eq!(healthy.values[0], spiked.values[0]);
    assert!((spiked.values[1] - healthy.values[1] - 2.0).abs() < 1e-9);
}

#[test]
fn times_strictly_increase_even_when_offsets_do_not() {
    let model = Model::new(Profile::built_in("gps").unwrap(), &[], 1_000);
    let mut device = Device::new(Arc::new(model), 1, 0);
    let times: Vec<i64> = [0_u64, 0, 300, 5_400, 5_500]
        .into_iter()
        .map(|micros| {
            device.sample(Duration::from_micros(micros), START_US + 700);
            device.time_us - START_US
        })
        .collect();
    assert_eq!(times, [0, 1_000, 2_000, 6_000, 7_000]);
}
