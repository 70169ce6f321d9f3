//! Which indexes a partition has.
//!
//! Numbers: BRIN on (time, series) always: it costs next to nothing, and since a batch is written
//! in the order of series it narrows a search by both. A B-tree on (series, time) wherever it can
//! be afforded: on every closed partition, and on the newest one unless the load is heavy. Texts
//! are few: a B-tree at once.

/// Pages of 8 KB that one BRIN entry stands for: 2,500 rows, so that a batch of 60,000 rows in the
/// order of series falls into 24 ranges. 128 (the default) is no faster to write and reads eight
/// times as much.
const BRIN_PAGES_PER_RANGE: u32 = 16;

/// What a new partition gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexes {
    BlockRange,
    BlockRangeAndTree,
}

impl Indexes {
    pub(super) fn affordable(heavy: bool) -> Indexes {
        if heavy {
            Indexes::BlockRange
        } else {
            Indexes::BlockRangeAndTree
        }
    }
}

/// The statements that index a new, empty partition of `parent`.
pub(super) fn create(parent: &str, table: &str, indexes: Indexes) -> String {
    match (parent, indexes) {
        ("samples", Indexes::BlockRange) => create_brin(table),
        ("samples", Indexes::BlockRangeAndTree) => {
            format!("{}; {};", create_brin(table), create_tree(table, ""))
        }
        _ => format!("{};", create_tree(table, "")),
    }
}

fn create_brin(table: &str) -> String {
    format!(
        "CREATE INDEX ON {table} USING brin (time, series_id)
         WITH (pages_per_range = {BRIN_PAGES_PER_RANGE});"
    )
}

/// `concurrently` is SQL: empty, or `CONCURRENTLY`.
pub(super) fn create_tree(table: &str, concurrently: &str) -> String {
    format!("CREATE INDEX {concurrently} ON {table} (series_id, time)")
}
