use super::*;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The seconds, out of 0 to `until`, at which the fault is active.
fn active(text: &str, until: u64) -> Vec<u64> {
    let fault: Fault = text.parse().unwrap();
    let mut rng = rng();
    let mut state = FaultState::new(&fault, &mut rng);
    (0..until)
        .filter(|second| state.step(&fault, s(*second), &mut rng).is_some())
        .collect()
}

#[test]
fn faults_are_written_as_people_write_them() {
    let spike: Fault = "spike".parse().unwrap();
    assert_eq!(spike, Fault::new(FaultKind::Spike));

    let fault: Fault = "drift:at=10s,for=2m,by=-3,metric=pressure,share=0.5"
        .parse()
        .unwrap();
    assert_eq!(fault.kind, FaultKind::Drift);
    assert_eq!(fault.trigger, Trigger::At(s(10)));
    assert_eq!((fault.lasts, fault.by, fault.share), (s(120), -3.0, 0.5));
    assert_eq!(fault.metric.as_deref(), Some("pressure"));

    let fault: Fault = "reconnect-storm:every=30s,at=5s".parse().unwrap();
    assert_eq!(
        fault.trigger,
        Trigger::Every {
            every: s(30),
            first: Some(s(5))
        }
    );
    let fault: Fault = "duplicate:0.25".parse().unwrap();
    assert_eq!(fault.trigger, Trigger::Probability(0.25));
}

#[test]
fn faults_that_cannot_be_read_say_why() {
    let table = [
        ("spikes", "`spikes` is not a fault"),
        ("spike:2", "`2` is not a probability"),
        ("spike:how=1", "`how` is not a part of a fault"),
        ("spike:by=much", "`much` is not a number"),
        ("stuck:every=0s", "`every` must be longer than 0"),
        ("stuck:for=soon", "`soon` is not a duration"),
    ];
    for (text, message) in table {
        let error = text.parse::<Fault>().unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn scheduled_faults_begin_and_end_when_they_say() {
    let table: [(&str, u64, &[u64]); 5] = [
        ("dropout:at=3s,for=2s", 10, &[3, 4, 5]),
        ("spike:at=3s", 10, &[3]),
        ("spike:every=4s,at=1s", 12, &[1, 5, 9]),
        ("stuck:every=5s,at=0s,for=1s", 12, &[0, 1, 5, 6, 10, 11]),
        ("dropout:at=3s,for=2s,share=0", 10, &[]),
    ];
    for (text, until, expected) in table {
        assert_eq!(active(text, until), expected, "{text}");
    }
}

#[test]
fn a_gap_in_the_samples_does_not_pile_up_occurrences() {
    let fault: Fault = "spike:every=1s,at=0s".parse().unwrap();
    let mut rng = rng();
    let mut state = FaultState::new(&fault, &mut rng);
    assert!(state.step(&fault, s(100), &mut rng).is_some());
    assert_eq!(state.next, Some(s(101)));
}

#[test]
fn probability_is_met_and_repeats_with_the_seed() {
    let seen = active("spike:0.1", 10_000);
    assert!((900..1_100).contains(&seen.len()), "{}", seen.len());
    assert_eq!(seen, active("spike:0.1", 10_000));
}

#[test]
fn progress_runs_from_zero_to_one() {
    let fault: Fault = "drift:at=0s,for=4s".parse().unwrap();
    let mut rng = rng();
    let mut state = FaultState::new(&fault, &mut rng);
    let progress: Vec<f64> = (0..5)
        .map(|n| state.step(&fault, s(n), &mut rng).unwrap().progress)
        .collect();
    assert_eq!(progress, [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert_eq!(state.step(&fault, s(5), &mut rng), None);
}

#[test]
fn storms_are_the_same_for_every_connection_of_a_fleet() {
    let moments = |stream| {
        let fault: Fault = "reconnect-storm:0.2".parse().unwrap();
        let mut storms = Storms::new(&fault, 9, stream);
        (0..5)
            .map(|_| {
                let next = storms.next().unwrap();
                storms.advance();
                next
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(moments(1), moments(1));
    assert_ne!(moments(1), moments(2));
    assert!(moments(1).windows(2).all(|pair| pair[0] < pair[1]));

    let fault: Fault = "reconnect-storm:at=7s".parse().unwrap();
    let mut storms = Storms::new(&fault, 9, 0);
    assert_eq!(storms.next(), Some(s(7)));
    storms.advance();
    assert_eq!(storms.next(), None);
}
