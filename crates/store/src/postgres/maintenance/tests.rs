use testkit::{Database, shared_postgres};

use super::*;
use crate::postgres::session::Session;

/// One pass, as the thread does it.
fn tend(runtime: &tokio::runtime::Runtime, tender: &mut Tender) {
    runtime.block_on(tender.tend()).expect("tended");
}

fn indexes(database: &Database) -> Vec<String> {
    let rows = database.query(
        "SELECT indexrelid::regclass FROM pg_index
         WHERE indrelid = 'samples_202001'::regclass AND indisvalid ORDER BY indexrelid::regclass::text",
    );
    rows.into_iter().flatten().collect()
}

const BRIN: &str = "samples_202001_time_series_id_idx";
const TREE: &str = "samples_202001_series_id_time_idx";

#[test]
fn the_tree_goes_under_a_heavy_load_and_comes_back_after_it() {
    let database = shared_postgres();
    let config = database.url().parse().expect("a URL");
    let timeout = Duration::from_secs(30);
    let address = Arc::new(Address::new(&config, timeout, timeout));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let session = runtime.block_on(Session::open(&address)).expect("a schema");
    drop(session);
    database.execute(
        "CREATE TABLE samples_202001 PARTITION OF samples FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z');
         CREATE INDEX ON samples_202001 USING brin (time, series_id);
         CREATE INDEX ON samples_202001 (series_id, time)",
    );
    let rate = Arc::new(LoadRate::default());
    let mut tender = Tender {
        address,
        rate: Arc::clone(&rate),
        sizes: HashMap::new(),
        working: None,
    };
    let grow = || {
        database.execute(
            "INSERT INTO samples SELECT '2020-01-01Z', n, n FROM generate_series(1, 10000) AS n",
        );
    };

    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [TREE, BRIN]);
    rate.set_heavy(true);
    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [TREE, BRIN], "it does not grow");
    grow();
    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [BRIN]);
    grow();
    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [BRIN], "it still grows");
    tend(&runtime, &mut tender);
    assert_eq!(
        indexes(&database),
        [TREE, BRIN],
        "it is closed, whatever the load elsewhere"
    );

    database.execute(&format!("DROP INDEX {TREE}"));
    grow();
    rate.set_heavy(false);
    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [TREE, BRIN]);

    // As a build leaves it that was interrupted: useless, and in the way of another.
    database.execute(&format!(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{TREE}'::regclass"
    ));
    tend(&runtime, &mut tender);
    tend(&runtime, &mut tender);
    assert_eq!(indexes(&database), [TREE, BRIN]);
}

#[test]
fn only_one_tends_at_a_time() {
    let database = shared_postgres();
    let config = database.url().parse().expect("a URL");
    let timeout = Duration::from_secs(30);
    let address = Arc::new(Address::new(&config, timeout, timeout));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let other = runtime.block_on(async {
        let session = Session::open(&address).await.expect("a schema");
        let sql = format!("SELECT pg_advisory_lock({MAINTENANCE_LOCK})");
        let locked = session.client().batch_execute(&sql).await;
        locked.expect("the lock");
        session
    });
    database.execute(
        "CREATE TABLE samples_202001 PARTITION OF samples FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')",
    );
    let mut tender = Tender {
        address,
        rate: Arc::default(),
        sizes: HashMap::new(),
        working: None,
    };
    tend(&runtime, &mut tender);
    assert!(indexes(&database).is_empty());
    drop(other);
    testkit::wait_until(
        "an index",
        Duration::from_secs(30),
        || {
            // The server needs a moment to notice that the other is gone.
            tend(&runtime, &mut tender);
            indexes(&database)
        },
        |indexes| indexes == &[TREE],
    );
}
