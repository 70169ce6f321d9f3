//! The `[store]` section: what the user wrote, and what is true after it was checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use documents::ConfigError;
use serde::{Deserialize, Serialize};
use tokio_postgres::config::SslMode;

/// The file's name under the data folder when `url` is just `sqlite`.
const SQLITE_FILE: &str = "millrace.db";

/// `[store]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite` (a file in the data folder), `sqlite:PATH`, or
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// How long one attempt to connect may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long the database may take for one statement before it counts as unavailable. SQLite:
    /// how long to wait for a lock that another program holds.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            url: "sqlite".into(),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub target: Target,
    pub connect_timeout: Duration,
    pub statement_timeout: Duration,
}

/// Which database.
#[derive(Debug, Clone)]
pub enum Target {
    Sqlite(PathBuf),
    /// Holds the password: show `postgres::Address` instead.
    Postgres(Box<tokio_postgres::Config>),
}

impl Config {
    /// Checks every value; the first problem is reported. It never holds the password of the URL. A
    /// relative SQLite path is taken from `data_dir`.
    pub fn validate(&self, data_dir: &Path) -> Result<Settings, ConfigError> {
        for (key, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("statement_timeout", self.statement_timeout),
        ] {
            // PostgreSQL counts in milliseconds in 32 bits; 0 would mean "for ever".
            if !(1..=i32::MAX as u128).contains(&timeout.as_millis()) {
                let key = format!("store.{key}");
                return Err(ConfigError::new(key, "must lie between 1ms and 24days"));
            }
        }
        Ok(Settings {
            target: target(&self.url, data_dir)?,
            connect_timeout: self.connect_timeout,
            statement_timeout: self.statement_timeout,
        })
    }
}

fn target(url: &str, data_dir: &Path) -> Result<Target, ConfigError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres(url).map(|config| Target::Postgres(Box::new(config)));
    }
    let file = match url
        .strip_prefix("sqlite")
        .map(|rest| rest.strip_prefix(':'))
    {
        Some(None) if url == "sqlite" => SQLITE_FILE,
        Some(Some(path)) => path.strip_prefix("//").unwrap_or(path),
        _ => return Err(unusable("names no known database".into())),
    };
    if file.is_empty() || file == ":memory:" {
        // Nothing would be left after a restart, while the journal is told that everything is
        // stored.
        return Err(unusable("needs the path of a file after `sqlite:`".into()));
    }
    Ok(Target::Sqlite(data_dir.join(file)))
}

fn postgres(url: &str) -> Result<tokio_postgres::Config, ConfigError> {
    if !parts_are_clear(url) {
        let problem = "holds an `@` in a password or a name, which cannot be told from the one \
                       before the host";
        let hint = "write `%40` for it, `%2F` for `/`, `%3F` for `?` and `%25` for `%`";
        return Err(ConfigError::new(URL, problem).hint(hint));
    }
    let config: tokio_postgres::Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The cause quotes names of parameters, which may be what follows a `&` of a password.
        let cause = std::error::Error::source(&error).filter(|_| !url.contains("password="));
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        unusable(format!("is not a URL of PostgreSQL{cause}"))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(unusable("names no host".into()));
    }
    if config.get_user().is_none() {
        return Err(unusable("names no user".into()));
    }
    if config.get_ssl_mode() == SslMode::Require {
        let problem = "asks for TLS, which the connection to PostgreSQL does not speak yet";
        let hint = "remove `sslmode=require`, and reach a distant server through a tunnel";
        return Err(ConfigError::new(URL, problem).hint(hint));
    }
    Ok(config)
}

/// Whether the only `@` is the one before the host. With another, a part of the password would be
/// taken for the host, the database or a parameter, and be shown as such.
fn parts_are_clear(url: &str) -> bool {
    let Some((before, after)) = url.split_once('@') else {
        return true;
    };
    let user = before.split_once("://").map_or(before, |(_, rest)| rest);
    let user = user.split(':').next().unwrap_or_default();
    !after.contains('@') && !user.contains(['/', '?']) && !before.contains("password=")
}

const URL: &str = "store.url";

fn unusable(problem: String) -> ConfigError {
    let hint = "write `sqlite`, `sqlite:PATH` or `postgres://user:password@host:5432/database`";
    ConfigError::new(URL, problem).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(url: &str) -> Result<Settings, ConfigError> {
        let config = Config {
            url: url.into(),
            ..Config::default()
        };
        config.validate(Path::new("/data"))
    }

    #[track_caller]
    fn file(url: &str) -> PathBuf {
        match validate(url).expect("a valid section").target {
            Target::Sqlite(path) => path,
            Target::Postgres(config) => panic!("not SQLite: {config:?}"),
        }
    }

    #[test]
    fn sqlite_lies_in_the_data_folder_unless_told_otherwise() {
        assert_eq!(file("sqlite"), Path::new("/data/millrace.db"));
        assert_eq!(file("sqlite:other.db"), Path::new("/data/other.db"));
        assert_eq!(file("sqlite:/var/lib/x.db"), Path::new("/var/lib/x.db"));
        assert_eq!(file("sqlite:///var/lib/x.db"), Path::new("/var/lib/x.db"));
    }

    #[test]
    fn postgres_urls_are_parsed() {
        let settings = validate("postgresql://me:pass%20word@db.example:5433/plant");
        let Target::Postgres(config) = settings.expect("a valid section").target else {
            panic!("not PostgreSQL");
        };
        assert_eq!(config.get_user(), Some("me"));
        assert_eq!(config.get_dbname(), Some("plant"));
        assert_eq!(config.get_ports(), [5433]);
    }

    #[test]
    fn what_cannot_work_is_refused_without_telling_the_password() {
        for (url, expected) in [
            ("", "names no known database"),
            ("mysql://x", "names no known database"),
            ("sqlitex", "names no known database"),
            ("sqlite:", "needs the path of a file"),
            ("sqlite::memory:", "needs the path of a file"),
            ("postgres://", "names no host"),
            ("postgres://host/db", "names no user"),
            (
                "postgres://me:hunter2@host:port/db",
                "is not a URL of PostgreSQL",
            ),
            ("postgres://me:p@hunter2@host/db", "write `%40`"),
            ("postgres://me:p@x/hunter2@host/db", "write `%40`"),
            ("postgres://me:p@x?hunter2=@host/db", "write `%40`"),
            ("postgres://h/db?user=me&password=hunter2@", "write `%40`"),
            ("postgres://h:1/db?user=me&password=hunter2@", "write `%40`"),
            (
                "postgres://h/db?user=me&password=p&hunter2=1",
                "is not a URL of PostgreSQL",
            ),
            (
                "postgres://me:hunter2@host/db?sslmode=require",
                "asks for TLS",
            ),
        ] {
            let error = validate(url).expect_err(url);
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected), "{url}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_password_may_hold_anything_that_is_escaped() {
        let settings = validate("postgres://me:p%40ss%2Fw%3Frd%25@host/db").expect("valid");
        let Target::Postgres(config) = settings.target else {
            panic!("not PostgreSQL");
        };
        assert_eq!(config.get_password(), Some("p@ss/w?rd%".as_bytes()));
    }

    #[test]
    fn timeouts_have_bounds() {
        let config = Config {
            statement_timeout: Duration::ZERO,
            ..Config::default()
        };
        let error = config.validate(Path::new("/")).expect_err("no timeout");
        assert_eq!(error.key, "store.statement_timeout");
    }

    #[test]
    fn the_section_reads_back_as_written() {
        let text = toml::to_string(&Config::default()).expect("the section as text");
        let back: Config = toml::from_str(&text).expect("the section read back");
        assert_eq!(back, Config::default());
        assert!(toml::from_str::<Config>("ur = 'x'").is_err());
    }
}
