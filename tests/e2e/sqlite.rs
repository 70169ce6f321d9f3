//! What SQLite's file in a data folder holds, read beside the running process.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

/// The rows of a query, every value as text; nothing when the file or its tables do not exist yet.
pub(crate) fn query(data: &Path, sql: &str) -> Vec<Vec<String>> {
    let file = data.join("millrace.db");
    let Ok(database) = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return Vec::new();
    };
    let mut statement = match database.prepare(sql) {
        Ok(statement) => statement,
        Err(error) if error.to_string().contains("no such table") => return Vec::new(),
        Err(error) => panic!("`{sql}`: {error}"),
    };
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| Ok(text(row.get(column)?)))
            .collect()
    });
    rows.and_then(Iterator::collect).unwrap_or_default()
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(value) => value,
        Value::Blob(value) => format!("{value:x?}"),
    }
}
