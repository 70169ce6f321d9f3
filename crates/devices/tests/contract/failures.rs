//! A server that is lost, or that is not the one it should be.

use devices::credentials::{self, ChangeError, Existing, NewSecret};
use store::StoreError;
use testkit::free_port;

use crate::backend::{Backend, PostgresBackend, settings};
use crate::credentials::NOON;

#[test]
fn a_lost_connection_is_told_from_what_a_person_must_change() {
    let backend = PostgresBackend::new();
    let mut table = credentials::open(&backend.settings()).expect("the table");
    backend.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
         WHERE application_name LIKE 'millrace %'",
    );
    let devices = [NewSecret {
        device: "a".into(),
        digest: [1; 32],
    }];
    assert_unavailable(table.version());
    assert_unavailable(table.read(0, &mut |_| {}));
    match table.add(&devices, NOON, Existing::Refuse) {
        Err(ChangeError::Store(error)) => assert_unavailable(Err::<(), _>(error)),
        other => panic!("not unavailable: {other:?}"),
    }
    let mut table = credentials::open(&backend.settings()).expect("the table");
    assert_eq!(table.version().expect("a version"), 0, "nothing was added");

    let nowhere = settings(format!("postgres://me@127.0.0.1:{}/x", free_port()));
    assert_unavailable(credentials::open(&nowhere).map(|_| ()));
    let unknown = settings(backend.database.postgres.url("nowhere"));
    match credentials::open(&unknown).map(|_| ()) {
        Err(StoreError::Fatal { message, hint, .. }) => {
            assert!(
                message.contains("there is no database `nowhere`"),
                "{message}"
            );
            assert!(!hint.is_empty());
        }
        other => panic!("not fatal: {other:?}"),
    }
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Unavailable { .. })),
        "not unavailable: {result:?}"
    );
}
