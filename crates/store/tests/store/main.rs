//! One contract, two stores: every test of `contract` runs against PostgreSQL and against SQLite.

mod backend;
mod batches;
mod contract;
mod contract_alerts;
mod contract_reasons;
mod contract_values;
mod postgres;
mod postgres_failures;
mod postgres_partitions;
mod sqlite;

/// Each name is a function `fn(&dyn Backend)`; it becomes a test of each store.
macro_rules! run_against_both {
    ($($module:ident: [$($name:ident),+ $(,)?])+) => {
        mod on_postgres {
            $($(
                #[test]
                fn $name() {
                    crate::$module::$name(&crate::backend::PostgresBackend::new());
                }
            )+)+
        }
        mod on_sqlite {
            $($(
                #[test]
                fn $name() {
                    crate::$module::$name(&crate::backend::SqliteBackend::new());
                }
            )+)+
        }
    };
}

run_against_both! {
    contract: [
        an_empty_store_knows_nothing,
        what_was_committed_is_loaded_by_whoever_asks,
        loading_again_changes_nothing,
        nothing_is_committed_before_it_was_loaded,
        a_batch_that_begins_elsewhere_is_refused,
        of_two_writers_one_wins,
        two_journals_live_side_by_side,
        a_refused_row_leaves_nothing_behind,
        a_refused_series_fails_only_who_uses_it,
        a_definition_outlives_a_failed_commit,
        a_series_keeps_its_row_and_takes_new_labels,
        a_series_without_definition_is_a_defect,
        a_database_put_back_is_noticed,
        an_older_schema_is_brought_up_to_date,
        a_newer_schema_is_left_alone,
        foreign_tables_are_left_alone,
        many_start_at_once,
    ]
    contract_reasons: [
        totals_by_reason_grow_with_the_position,
        what_was_counted_before_there_were_reasons_is_kept,
    ]
    contract_values: [
        names_and_texts_are_any_unicode,
        numbers_and_texts_are_in_one_view,
        extreme_numbers_come_back_bit_by_bit,
        zero_may_lose_its_sign,
        equal_rows_are_all_kept,
        times_reach_from_the_first_year_to_the_last,
        dead_letters_keep_their_bytes,
        dead_letters_are_never_refused,
        a_full_batch_is_stored,
        a_hundred_thousand_series_come_at_once,
    ]
    contract_alerts: [
        states_are_replaced_and_deleted,
        the_last_word_on_an_instance_counts,
        a_repeated_event_is_ignored,
        changes_come_without_records,
        journals_do_not_share_alerts,
    ]
}
