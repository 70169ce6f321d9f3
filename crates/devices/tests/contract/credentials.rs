//! Device credentials: what was changed is what is read, whoever changes it.

use devices::credentials::{
    self, ChangeError, Credential, Credentials, Existing, NewSecret, Previous, Version,
};
use journal::Position;
use store::{Batch, NewSeries, Outcome, SampleRow, SeriesKey, StoreError};
use uuid::Uuid;

use crate::backend::Backend;

/// 2026-03-15T12:00:00Z, in microseconds.
pub(crate) const NOON: i64 = 1_773_576_000_000_000;
const HOUR: i64 = 3_600_000_000;

pub(crate) fn an_added_device_is_read_until_it_is_revoked(backend: &dyn Backend) {
    let mut table = open(backend);
    assert_eq!(read(&mut *table, 0), (0, vec![]));
    let skipped = table.add(&[new("a", 1), new("größe 3", 2)], NOON, Existing::Refuse);
    assert_eq!(skipped.expect("added"), [""; 0]);
    let all = [credential("a", 1), credential("größe 3", 2)];
    assert_eq!(read(&mut *open(backend), 0), (1, all.to_vec()));
    table.revoke(&["a".into()], NOON + HOUR).expect("revoked");
    let revoked = Credential {
        revoked_at: Some(NOON + HOUR),
        ..credential("a", 1)
    };
    let all = vec![revoked.clone(), credential("größe 3", 2)];
    assert_eq!(read(&mut *table, 0), (2, all));
    // Again, and with one that was not: the first time counts.
    let both = ["a".to_owned(), "größe 3".to_owned()];
    table.revoke(&both, NOON + 2 * HOUR).expect("revoked");
    let (_, all) = read(&mut *table, 0);
    let times: Vec<_> = all.iter().map(|device| device.revoked_at).collect();
    assert_eq!(times, [Some(NOON + HOUR), Some(NOON + 2 * HOUR)]);
}

pub(crate) fn a_change_is_told_by_its_version(backend: &dyn Backend) {
    let mut ours = open(backend);
    let mut theirs = open(backend);
    assert_eq!(ours.version().expect("a version"), 0);
    for number in 1..=3 {
        let device = [new(&format!("d{number}"), number)];
        theirs.add(&device, NOON, Existing::Refuse).expect("added");
        assert_eq!(ours.version().expect("a version"), Version::from(number));
    }
    let changed = read(&mut *ours, 1);
    assert_eq!(changed, (3, vec![credential("d2", 2), credential("d3", 3)]));
    assert_eq!(read(&mut *ours, 3), (3, vec![]));
    theirs.revoke(&["d1".into()], NOON).expect("revoked");
    let (version, changed) = read(&mut *ours, 3);
    assert_eq!((version, changed.len(), &*changed[0].device), (4, 1, "d1"));
}

pub(crate) fn a_device_is_added_once(backend: &dyn Backend) {
    let mut table = open(backend);
    let two = [new("a", 1), new("b", 2)];
    table.add(&two, NOON, Existing::Refuse).expect("added");
    let more = [new("c", 3), new("b", 4), new("a", 5)];
    match table.add(&more, NOON, Existing::Refuse) {
        Err(ChangeError::Exist(devices)) => assert_eq!(devices, ["b", "a"], "as they were given"),
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(read(&mut *table, 0).0, 1, "nothing has changed");
    let skipped = table.add(&more, NOON, Existing::Skip).expect("added");
    assert_eq!(skipped, ["b", "a"]);
    let all = vec![credential("a", 1), credential("b", 2), credential("c", 3)];
    assert_eq!(read(&mut *table, 0), (2, all));
}

pub(crate) fn a_revoked_device_is_added_anew(backend: &dyn Backend) {
    let mut table = open(backend);
    table
        .add(&[new("a", 1)], NOON, Existing::Refuse)
        .expect("added");
    table
        .rotate(&[new("a", 2)], NOON + 1, Some(NOON + HOUR))
        .expect("rotated");
    table.revoke(&["a".into()], NOON + 2).expect("revoked");
    let (_, all) = read(&mut *table, 0);
    assert_eq!(all[0].previous, None, "neither secret is good");
    match table.rotate(&[new("a", 3)], NOON + 3, None) {
        Err(ChangeError::Unknown(devices)) => assert_eq!(devices, ["a"]),
        other => panic!("not refused: {other:?}"),
    }
    let skipped = table.add(&[new("a", 4)], NOON, Existing::Refuse);
    assert_eq!(skipped.expect("added"), [""; 0]);
    assert_eq!(read(&mut *table, 0).1, [credential("a", 4)]);
}

pub(crate) fn the_secret_before_a_rotation_is_kept_for_its_grace(backend: &dyn Backend) {
    let mut table = open(backend);
    let all = [new("a", 1), new("b", 2)];
    table.add(&all, NOON, Existing::Refuse).expect("added");
    table
        .rotate(&[new("a", 3)], NOON + 1, Some(NOON + HOUR))
        .expect("rotated");
    let rotated = Credential {
        previous: Some(Previous {
            digest: [1; 32],
            until: NOON + HOUR,
        }),
        rotated_at: Some(NOON + 1),
        ..credential("a", 3)
    };
    let (_, all) = read(&mut *table, 0);
    assert_eq!(all, [rotated, credential("b", 2)]);
    // Once more without: only the newest is good.
    table
        .rotate(&[new("a", 4)], NOON + 2, None)
        .expect("rotated");
    let rotated = Credential {
        rotated_at: Some(NOON + 2),
        ..credential("a", 4)
    };
    assert_eq!(read(&mut *table, 0).1, [rotated, credential("b", 2)]);
}

pub(crate) fn an_unknown_device_leaves_all_as_they_were(backend: &dyn Backend) {
    let mut table = open(backend);
    let one = [new("a", 1)];
    table.add(&one, NOON, Existing::Refuse).expect("added");
    let unknown = |result: Result<(), ChangeError>| match result {
        Err(ChangeError::Unknown(devices)) => devices,
        other => panic!("not refused: {other:?}"),
    };
    let two = [new("a", 2), new("x", 3)];
    assert_eq!(unknown(table.rotate(&two, NOON, None)), ["x"]);
    let names = ["y".to_owned(), "a".to_owned(), "x".to_owned()];
    assert_eq!(unknown(table.revoke(&names, NOON)), ["y", "x"]);
    assert_eq!(read(&mut *table, 0), (1, vec![credential("a", 1)]));
}

pub(crate) fn many_change_at_once_and_no_change_is_missed(backend: &dyn Backend) {
    const WRITERS: u8 = 4;
    const CHANGES: u8 = 10;
    let mut reader = open(backend);
    let mut known = 0;
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut table = open(backend);
                    for change in 0..CHANGES {
                        let device = [new(&format!("{writer}-{change}"), change)];
                        table.add(&device, NOON, Existing::Refuse).expect("added");
                    }
                })
            })
            .collect();
        loop {
            // Asked first: what was written before the last of them ended is read below.
            let ended = writers.iter().all(|writer| writer.is_finished());
            let (version, changed) = read(&mut *reader, known);
            seen.extend(changed.into_iter().map(|device| device.device));
            known = version;
            if ended {
                break;
            }
        }
    });
    assert_eq!(known, Version::from(WRITERS * CHANGES));
    seen.sort_unstable();
    let mut expected: Vec<_> = (0..WRITERS)
        .flat_map(|writer| (0..CHANGES).map(move |change| format!("{writer}-{change}")))
        .collect();
    expected.sort_unstable();
    assert_eq!(seen, expected, "each was read once");
}

pub(crate) fn devices_come_in_bulk(backend: &dyn Backend) {
    let devices: Vec<_> = (0..25_000_u32)
        .map(|number| NewSecret {
            digest: [number as u8; 32],
            device: format!("d{number}"),
        })
        .collect();
    let mut table = open(backend);
    table
        .add(&devices[..20_000], NOON, Existing::Refuse)
        .expect("added");
    let skipped = table.add(&devices, NOON, Existing::Skip).expect("added");
    assert_eq!(skipped.len(), 20_000);
    table.rotate(&devices, NOON, None).expect("rotated");
    let mut found = 0;
    let version = table.read(0, &mut |device| {
        found += u32::from(device.rotated_at == Some(NOON));
    });
    assert_eq!((version.expect("read"), found), (3, 25_000));
}

pub(crate) fn rows_and_credentials_share_the_database(backend: &dyn Backend) {
    let mut table = open(backend);
    let mut store = store::open(&backend.settings()).expect("a store");
    let journal = Uuid::from_u128(1);
    store.load(journal).expect("loaded");
    for start in 0..3 {
        let rows = Batch {
            start: Position(start),
            outcomes: vec![Outcome::Stored],
            samples: vec![SampleRow {
                series: SeriesKey(0),
                record: 0,
                time: NOON,
                value: 1.0,
            }],
            new_series: vec![NewSeries {
                key: SeriesKey(0),
                device: "a".into(),
                metric: "m".into(),
                unit: String::new(),
                labels: "{}".into(),
            }],
            ..Batch::default()
        };
        store.commit(journal, &rows).expect("committed");
        let device = [new(&format!("d{start}"), 1)];
        table.add(&device, NOON, Existing::Refuse).expect("added");
    }
    assert_eq!(backend.count("samples"), 3);
    assert_eq!(backend.count("device_credentials"), 3);
}

pub(crate) fn a_newer_schema_keeps_its_credentials(backend: &dyn Backend) {
    open(backend);
    backend.execute("INSERT INTO schema_version (version, name) VALUES (99, 'later')");
    let refused = credentials::open(&backend.settings())
        .err()
        .expect("no table");
    assert!(
        matches!(&refused, StoreError::Fatal { message, .. } if message.contains("newer Millrace")),
        "{refused:?}"
    );
}

fn open(backend: &dyn Backend) -> Box<dyn Credentials> {
    credentials::open(&backend.settings()).expect("the table")
}

fn new(device: &str, digest: u8) -> NewSecret {
    NewSecret {
        device: device.into(),
        digest: [digest; 32],
    }
}

/// As `new` makes it at noon.
fn credential(device: &str, digest: u8) -> Credential {
    Credential {
        device: device.into(),
        digest: [digest; 32],
        previous: None,
        created_at: NOON,
        rotated_at: None,
        revoked_at: None,
    }
}

/// The changes after a version in the order of names.
fn read(table: &mut dyn Credentials, since: Version) -> (Version, Vec<Credential>) {
    let mut all = Vec::new();
    let version = table.read(since, &mut |device| all.push(device));
    all.sort_unstable_by(|one, other| one.device.cmp(&other.device));
    (version.expect("read"), all)
}
