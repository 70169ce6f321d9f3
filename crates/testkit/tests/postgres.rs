//! The cluster and the child guard do what tests rely on.

use std::process::Command;
use std::time::Duration;

use testkit::{ChildGuard, Options, Postgres, free_port, shared_postgres, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn data_survives_every_way_of_stopping() {
    let mut postgres = Postgres::start();
    let url = postgres.create_database();
    let database = url.rsplit('/').next().expect("a database name").to_owned();
    postgres.execute(&database, "CREATE TABLE t (n int)");
    let stops: [fn(&mut Postgres); 3] = [
        Postgres::stop_fast,
        Postgres::stop_immediate,
        Postgres::kill,
    ];
    let port = postgres.port();
    for (count, stop) in stops.into_iter().enumerate() {
        postgres.execute(&database, &format!("INSERT INTO t VALUES ({count})"));
        stop(&mut postgres);
        assert!(!postgres.is_running());
        postgres.start_again();
        assert_eq!(postgres.port(), port);
    }
    let rows = postgres.query(&database, "SELECT n FROM t ORDER BY n");
    assert_eq!(rows, [["0"], ["1"], ["2"]]);
    assert_eq!(postgres.query(&database, "SHOW fsync"), [["on"]]);
}

#[test]
fn each_shared_database_is_empty() {
    let first = shared_postgres();
    first.execute("CREATE TABLE t (n int)");
    let second = shared_postgres();
    assert_eq!(first.postgres.port(), second.postgres.port());
    second.execute("CREATE TABLE t (n int)");
    assert_eq!(second.query("SELECT count(*), max(n) FROM t"), [["0", ""]]);
}

#[test]
fn passwords_are_checked_on_request_and_settings_arrive() {
    let postgres = Postgres::start_with(Options {
        fsync: false,
        password: true,
        settings: vec![("max_connections".to_owned(), "7".to_owned())],
    });
    let shown = postgres.query("postgres", "SHOW max_connections");
    assert_eq!(shown, [["7"]]);
    let wrong = postgres.url_as(Postgres::USER, "wrong", "postgres");
    let refused = std::panic::catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            tokio_postgres::connect(&wrong, tokio_postgres::NoTls)
                .await
                .err()
                .and_then(|error| error.code().map(|code| code.code().to_owned()))
        })
    });
    assert_eq!(refused.expect("no panic").as_deref(), Some("28P01"));
}

#[test]
fn a_child_is_heard_and_ends_with_its_guard() {
    let script = "echo ready; echo trouble >&2; exec sleep 1000";
    let mut child = ChildGuard::spawn(Command::new("sh").args(["-c", script]));
    assert_eq!(child.wait_for_line("ready", DEADLINE), "ready");
    assert_eq!(child.wait_for_line("trou", DEADLINE), "trouble");
    assert!(child.try_wait().is_none());
    let process = format!("/proc/{}", child.id());
    drop(child);
    assert!(!std::path::Path::new(&process).exists());
}

#[test]
#[should_panic(expected = "the last word")]
fn a_child_that_ends_too_early_shows_what_it_said() {
    let mut child = ChildGuard::spawn(Command::new("sh").args(["-c", "echo the last word"]));
    child.wait_for_line("never said", DEADLINE);
}

#[test]
fn waiting_returns_what_was_accepted() {
    let mut count = 0;
    let seen = wait_until(
        "three",
        DEADLINE,
        || {
            count += 1;
            count
        },
        |count| *count == 3,
    );
    assert_eq!(seen, 3);
    assert_ne!(free_port(), 0);
}
