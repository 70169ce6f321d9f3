use super::create::{free_name, literal};
use super::*;
use crate::guard::Violation;

/// 2026-03-15T12:00:00Z.
const NOW: Micros = 1_773_576_000_000_000;

fn at(text: &str) -> Micros {
    let timestamp: jiff::Timestamp = text.parse().expect("a timestamp");
    timestamp.as_microsecond()
}

fn none() -> Partitions {
    Partitions {
        parent: "samples",
        known: Vec::new(),
        detaching: Vec::new(),
        gone: Vec::new(),
    }
}

fn with(known: &[(&str, &str)]) -> Partitions {
    let mut partitions = none();
    for (from, to) in known {
        partitions.insert(Partition {
            from: at(from),
            to: at(to),
            table: "own".into(),
            oid: 0,
        });
    }
    partitions
}

/// The partition made for a time: name, from, to.
#[track_caller]
fn check(partitions: &Partitions, time: &str, table: &str, from: &str, to: &str) {
    let expected = Partition {
        from: at(from),
        to: at(to),
        table: table.into(),
        oid: 0,
    };
    assert!(partitions.covering(at(time)).is_none());
    assert_eq!(partitions.plan(at(time), NOW), expected);
}

#[test]
fn recent_times_get_a_day_and_distant_ones_a_month() {
    let table = "samples_20260315";
    let (from, to) = ("2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z");
    for time in ["2026-03-15T00:00:00Z", "2026-03-15T23:59:59.999999Z"] {
        check(&none(), time, table, from, to);
    }
    let (from, to) = ("2026-02-04T00:00:00Z", "2026-02-05T00:00:00Z");
    check(
        &none(),
        "2026-02-04T12:00:00Z",
        "samples_20260204",
        from,
        to,
    );
    let (from, to) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    check(&none(), "2026-02-03T11:00:00Z", "samples_202602", from, to);
    let (from, to) = ("1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z");
    check(&none(), "1969-12-31T23:59:59Z", "samples_196912", from, to);
    let (from, to) = ("2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z");
    check(&none(), "2100-02-28T00:00:00Z", "samples_210002", from, to);
}

#[test]
fn a_month_with_days_gets_more_days() {
    let partitions = with(&[("2026-01-07T00:00:00Z", "2026-01-08T00:00:00Z")]);
    let (from, to) = ("2026-01-06T00:00:00Z", "2026-01-07T00:00:00Z");
    check(
        &partitions,
        "2026-01-06T10:00:00Z",
        "samples_20260106",
        from,
        to,
    );
}

#[test]
fn a_foreign_partition_is_left_its_part_of_the_day() {
    let partitions = with(&[
        ("2026-03-15T06:00:00Z", "2026-03-15T12:00:00Z"),
        ("2026-03-15T18:00:00Z", "2026-03-17T00:00:00Z"),
    ]);
    let (from, to) = ("2026-03-15T12:00:00Z", "2026-03-15T18:00:00Z");
    check(
        &partitions,
        "2026-03-15T13:00:00Z",
        "samples_20260315_from_43200",
        from,
        to,
    );
    let (from, to) = ("2026-03-15T00:00:00Z", "2026-03-15T06:00:00Z");
    check(
        &partitions,
        "2026-03-15T01:00:00Z",
        "samples_20260315_from_00000",
        from,
        to,
    );
}

#[test]
fn only_what_is_missing_is_made_once() {
    let partitions = with(&[("2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z")]);
    let times = [
        NOW,
        NOW + DAY,
        NOW + DAY + 1,
        NOW,
        at("2020-01-01T00:00:00Z"),
        NOW + DAY,
    ];
    let missing = partitions.missing(times.into_iter(), NOW).expect("a plan");
    let names: Vec<&str> = missing.iter().map(|made| made.table.as_str()).collect();
    assert_eq!(names, ["samples_20260316", "samples_202001"]);
}

#[test]
fn what_no_calendar_holds_and_what_spreads_too_far_is_refused() {
    for time in [TIME_MIN - 1, TIME_END, Micros::MIN, Micros::MAX] {
        let refused = none().missing(std::iter::once(time), NOW);
        assert!(
            matches!(refused, Err(Failure::Violation(Violation::Time(refused))) if refused == time)
        );
    }
    for time in [TIME_MIN, TIME_END - 1] {
        let planned = none().missing(std::iter::once(time), NOW).expect("a plan");
        assert!(planned[0].from <= time && time < planned[0].to);
    }
    let months = |count: usize| (0..count).map(|month| month as i64 * 31 * DAY);
    let fits = none().missing(months(PARTITIONS_PER_BATCH_MAX), NOW);
    assert_eq!(
        fits.map(|made| made.len()).ok(),
        Some(PARTITIONS_PER_BATCH_MAX)
    );
    let refused = none().missing(months(PARTITIONS_PER_BATCH_MAX + 1), NOW);
    assert!(matches!(refused, Err(Failure::Scattered(_))));
}

#[test]
fn bounds_are_written_with_their_fractions() {
    assert_eq!(literal(0), "'1970-01-01 00:00:00.000000+00'");
    assert_eq!(literal(-1), "'1969-12-31 23:59:59.999999+00'");
    assert_eq!(literal(TIME_END), "'10000-01-01 00:00:00.000000+00'");
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(free_name("samples_202601", &taken(&[])), "samples_202601");
    let days = taken(&["samples_20260105"]);
    assert_eq!(free_name("samples_202601", &days), "samples_202601");
    let two = taken(&["samples_202601", "samples_202601_2", "samples_202601_4"]);
    assert_eq!(free_name("samples_202601", &two), "samples_202601_3");
}

#[test]
fn what_is_not_listed_any_more_is_remembered_until_its_times_are_taken() {
    let listed = |days: &[(u32, &str, &str)]| {
        let mut partitions = none();
        for (oid, from, to) in days {
            partitions.insert(Partition {
                from: at(from),
                to: at(to),
                table: format!("own.{oid}"),
                oid: *oid,
            });
        }
        partitions
    };
    let first = (1, "2026-03-14T00:00:00Z", "2026-03-15T00:00:00Z");
    let second = (2, "2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z");
    let morning = (3, "2026-03-15T00:00:00Z", "2026-03-15T12:00:00Z");
    let evening = (4, "2026-03-15T12:00:00Z", "2026-03-16T00:00:00Z");
    let gone = |partitions: &Partitions| -> Vec<u32> {
        let gone = partitions.gone.iter();
        gone.map(|partition| partition.oid).collect()
    };
    let mut partitions = listed(&[first, second]);
    partitions.replace(listed(&[first]));
    assert_eq!(gone(&partitions), [2]);
    partitions.replace(listed(&[first, morning]));
    assert_eq!(gone(&partitions), [2], "its evening has no partition");
    partitions.replace(listed(&[first, morning, evening]));
    assert_eq!(gone(&partitions), [0; 0]);
    partitions.replace(listed(&[second]));
    // What replaced the second one has no times of its own left.
    assert_eq!(gone(&partitions), [1]);
    assert_eq!(partitions.take_gone(at(first.1), at(first.2)).len(), 1);
    assert_eq!(partitions.take_gone(at(first.1), at(first.2)).len(), 0);
    partitions.replace(listed(&[first, second]));
    partitions.replace(listed(&[second]));
    partitions.replace(listed(&[first, second]));
    assert_eq!(gone(&partitions), [0; 0], "it was attached again");
}
