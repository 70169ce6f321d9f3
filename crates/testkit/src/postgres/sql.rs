//! SQL from a test, blocking, callable from anywhere (also from inside a tokio runtime: it runs on
//! a thread of its own).

use std::time::Duration;

use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

/// A test's statement waits at most so long for a lock or an answer.
const DEADLINE: Duration = Duration::from_secs(60);

#[track_caller]
pub(super) fn query(url: &str, sql: &str) -> Vec<Vec<String>> {
    match try_query(url, sql) {
        Ok(rows) => rows,
        Err(error) => panic!("{sql}\nfailed: {error}"),
    }
}

/// Whether the server takes connections. A refused password counts: somebody is there.
pub(super) fn answers(url: &str) -> bool {
    try_query(url, "SELECT 1").is_ok()
}

fn try_query(url: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let mut config: Config = url.parse().map_err(describe)?;
    config.connect_timeout(Duration::from_secs(5));
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| error.to_string())?;
                runtime.block_on(async {
                    tokio::time::timeout(DEADLINE, run(&config, sql))
                        .await
                        .map_err(|_| format!("no answer for {DEADLINE:?}"))?
                })
            })
            .join()
            .map_err(|_| "the thread panicked".to_owned())?
    })
}

async fn run(config: &Config, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let (client, connection) = config.connect(NoTls).await.map_err(describe)?;
    let connection = tokio::spawn(connection);
    let messages = client.simple_query(sql).await.map_err(describe)?;
    drop(client);
    let _ = connection.await;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).unwrap_or_default().to_owned())
                .collect(),
        ),
        _ => None,
    });
    Ok(rows.collect())
}

fn describe(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => error.to_string(),
        None => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}
