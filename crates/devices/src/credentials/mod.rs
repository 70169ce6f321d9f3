//! The table of device credentials in either database.

mod contract;
mod postgres;
mod sqlite;

use store::{Settings, StoreError, Target};

pub use contract::{
    ChangeError, Credential, Credentials, DEVICES_MAX, Existing, NameError, NewSecret, Previous,
    SecretDigest, Version, check_name,
};
use postgres::PostgresCredentials;
use sqlite::SqliteCredentials;

/// Connects to the database of these settings and brings its schema up to date.
pub fn open(settings: &Settings) -> Result<Box<dyn Credentials>, StoreError> {
    Ok(match &settings.target {
        Target::Sqlite(path) => {
            Box::new(SqliteCredentials::open(path, settings.statement_timeout)?)
        }
        Target::Postgres(config) => Box::new(PostgresCredentials::open(
            config,
            settings.connect_timeout,
            settings.statement_timeout,
        )?),
    })
}
