//! One contract, two databases: every test of `credentials` runs against PostgreSQL and against
//! SQLite.

mod backend;
mod credentials;
mod failures;

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
    credentials: [
        an_added_device_is_read_until_it_is_revoked,
        a_change_is_told_by_its_version,
        a_device_is_added_once,
        a_revoked_device_is_added_anew,
        the_secret_before_a_rotation_is_kept_for_its_grace,
        an_unknown_device_leaves_all_as_they_were,
        many_change_at_once_and_no_change_is_missed,
        devices_come_in_bulk,
        rows_and_credentials_share_the_database,
        a_newer_schema_keeps_its_credentials,
    ]
}
