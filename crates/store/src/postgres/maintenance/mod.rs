//! A thread that tends partitions and indexes over a connection of its own, so that no commit ever
//! waits for it.
//!
//! It makes tomorrow's partition, summarises fresh block ranges, builds the B-tree of partitions
//! that have none and can afford one, and drops it from those that grow when the load turns heavy.
//! Everything it does may fail or be left undone: rows stay right, queries get slower.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_postgres::{CancelToken, Client, NoTls};

use super::address::Address;
use super::error::Failure;
use super::index::{self, Indexes};
use super::load_rate::{Judge, LoadRate};
use super::session::connect;
use super::{ANSWER_GRACE, partition};
use crate::civil::DAY;

/// How often the load is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often partitions and indexes are looked at, when the load gives no reason to do it earlier.
/// Fresh block ranges count as matching every query until then: at most half a minute of rows.
const TEND_INTERVAL: Duration = Duration::from_secs(30);
/// A B-tree larger than this is not dropped for a heavy load: building it again would cost more
/// than it spares.
const DROPPED_TREE_BYTES_MAX: i64 = 1 << 30;

/// Held by one maintenance thread among all processes on a database; the number is "MillTend" in
/// ASCII.
const MAINTENANCE_LOCK: i64 = i64::from_be_bytes(*b"MillTend");

/// Ends its thread when dropped, cancelling what the server is doing for it.
pub(super) struct Maintenance {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(super) fn start(address: &Arc<Address>, rate: &Arc<LoadRate>) -> Maintenance {
        let (stop, stopped) = oneshot::channel();
        let mut tender = Tender {
            address: Arc::clone(address),
            rate: Arc::clone(rate),
            sizes: HashMap::new(),
            working: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-tender".into())
            .spawn(move || tender.run_until(stopped));
        if let Err(error) = &thread {
            tracing::warn!(%error, "indexes are not tended: there is no thread for it");
        }
        Maintenance {
            stop: Some(stop),
            thread: thread.ok(),
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Tender {
    address: Arc<Address>,
    rate: Arc<LoadRate>,
    /// Bytes of each partition when it was last looked at: what differs is growing.
    sizes: HashMap<String, i64>,
    /// Ends what the server is doing for us at the moment.
    working: Option<CancelToken>,
}

impl Tender {
    fn run_until(&mut self, stopped: oneshot::Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::warn!(%error, "indexes are not tended: there is no runtime for it");
                return;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = self.run() => {}
            }
            if let Some(token) = self.working.take() {
                // Without it the server would go on building an index for nobody.
                let _ = tokio::time::timeout(ANSWER_GRACE, token.cancel_query(NoTls)).await;
            }
        });
    }

    async fn run(&mut self) {
        let mut judge = Judge::default();
        let mut looked = Instant::now();
        let mut tended: Option<Instant> = None;
        loop {
            let turned = judge.look(&self.rate, looked.elapsed());
            looked = Instant::now();
            if turned {
                let load = if self.rate.is_heavy() {
                    "heavy"
                } else {
                    "light"
                };
                tracing::info!(
                    load,
                    "the load has changed: indexes of growing partitions follow"
                );
            }
            if turned || tended.is_none_or(|at| at.elapsed() >= TEND_INTERVAL) {
                if let Err(failure) = self.tend().await {
                    // The writer tells of a database that is away; here it means no more than
                    // "later".
                    tracing::debug!(%failure, "partitions and indexes could not be tended");
                }
                self.working = None;
                tended = Some(Instant::now());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn tend(&mut self) -> Result<(), Failure> {
        let client = connect(&self.address).await?;
        self.working = Some(client.cancel_token());
        // Another name than the store's: it ends its own lost sessions by theirs. Builds may take
        // long.
        client
            .batch_execute(
                "SET application_name = 'millrace maintenance'; SET statement_timeout = 0",
            )
            .await?;
        let sql = "SELECT pg_try_advisory_lock($1)";
        let ours: bool = client
            .query_one(sql, &[&MAINTENANCE_LOCK])
            .await?
            .try_get(0)?;
        if !ours {
            return Ok(());
        }
        let tended = self.tend_all(&client).await;
        // Given back here, and not by the end of the connection: the server may take a while to
        // notice that, and the next pass would find the lock taken and do nothing.
        let sql = "SELECT pg_advisory_unlock($1)";
        let unlocked = client.execute(sql, &[&MAINTENANCE_LOCK]).await;
        tended?;
        unlocked?;
        Ok(())
    }

    /// What a pass does while it holds the lock.
    async fn tend_all(&mut self, client: &Client) -> Result<(), Failure> {
        self.prepare_tomorrow(client).await?;
        for state in PartitionState::all(client).await? {
            let before = self.sizes.insert(state.table.clone(), state.bytes);
            let growing = before != Some(state.bytes);
            if growing {
                state.summarize(client).await?;
            }
            state.adjust(client, growing, self.rate.is_heavy()).await?;
        }
        Ok(())
    }

    /// So that the first commit after midnight finds its partition. Only where data flow: not for
    /// an idle database.
    async fn prepare_tomorrow(&self, client: &Client) -> Result<(), Failure> {
        let now = telemetry::now_micros();
        let mut partitions = partition::list(client, "samples").await?;
        if partitions.covering(now).is_none() {
            return Ok(());
        }
        let indexes = Indexes::affordable(self.rate.is_heavy());
        let times = std::iter::once(now + DAY);
        partition::ensure(client, &mut partitions, times, now, indexes).await
    }
}

/// A partition of `samples` with its indexes as they are; names are SQL.
struct PartitionState {
    table: String,
    bytes: i64,
    brin: Option<String>,
    tree: Option<Tree>,
}

struct Tree {
    name: String,
    /// False while it is being built, or for ever when that was interrupted.
    valid: bool,
    bytes: i64,
}

const STATES: &str = "
    SELECT child.oid::regclass::text, pg_relation_size(child.oid),
           brin.name, tree.name, tree.valid, tree.bytes
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
    LEFT JOIN LATERAL (
        SELECT indexrelid::regclass::text AS name
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = child.oid AND amname = 'brin' AND indisvalid
        LIMIT 1
    ) AS brin ON true
    LEFT JOIN LATERAL (
        SELECT indexrelid::regclass::text AS name, indisvalid AS valid, pg_relation_size(indexrelid) AS bytes
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = child.oid AND amname = 'btree'
          AND pg_get_indexdef(indexrelid, 1, true) = 'series_id'
        ORDER BY indisvalid DESC
        LIMIT 1
    ) AS tree ON true
    WHERE pg_inherits.inhparent = 'samples'::regclass AND child.relkind = 'r'
    ORDER BY 1";

impl PartitionState {
    async fn all(client: &Client) -> Result<Vec<PartitionState>, Failure> {
        let rows = client.query(STATES, &[]).await?;
        let states = rows.iter().map(|row| {
            let tree_name: Option<String> = row.try_get(3)?;
            let tree = match tree_name {
                None => None,
                Some(name) => Some(Tree {
                    name,
                    valid: row.try_get(4)?,
                    bytes: row.try_get(5)?,
                }),
            };
            Ok(PartitionState {
                table: row.try_get(0)?,
                bytes: row.try_get(1)?,
                brin: row.try_get(2)?,
                tree,
            })
        });
        Ok(states.collect::<Result<_, tokio_postgres::Error>>()?)
    }

    /// Insertions do not describe the block ranges they begin; this does.
    async fn summarize(&self, client: &Client) -> Result<(), Failure> {
        if let Some(brin) = &self.brin {
            let sql = "SELECT brin_summarize_new_values($1::text::regclass)";
            client.execute(sql, &[brin]).await?;
        }
        Ok(())
    }

    async fn adjust(&self, client: &Client, growing: bool, heavy: bool) -> Result<(), Failure> {
        let table = &self.table;
        match &self.tree {
            Some(tree) if !tree.valid => {
                drop_tree(client, &tree.name).await?;
                tracing::debug!(table, "dropped an index whose building was interrupted");
            }
            Some(tree) if heavy && growing && tree.bytes <= DROPPED_TREE_BYTES_MAX => {
                drop_tree(client, &tree.name).await?;
                tracing::info!(
                    table,
                    "dropped the index on series and time: the load is heavy"
                );
            }
            None if !(heavy && growing) => {
                let started = Instant::now();
                let sql = index::create_tree(table, "CONCURRENTLY");
                client.batch_execute(&sql).await?;
                let elapsed_ms = started.elapsed().as_millis() as u64;
                tracing::info!(table, elapsed_ms, "built the index on series and time");
            }
            _ => {}
        }
        Ok(())
    }
}

/// Concurrently: it waits for those who use the index, and nobody waits for it.
async fn drop_tree(client: &Client, name: &str) -> Result<(), Failure> {
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    Ok(client.batch_execute(&sql).await?)
}

#[cfg(test)]
mod tests;
