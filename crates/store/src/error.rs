//! Why the database did not do what it was asked, and what the caller can do about it.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or lost on the way: try again later, after `load`.
    #[error("the database `{store}` is not available")]
    Unavailable {
        store: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refuses the data of this batch: split it to find the record.
    #[error("the database refuses a value")]
    Rejected {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Someone must act: wrong password, newer schema, read-only folder. `hint` says what to do.
    #[error("{message}")]
    Fatal {
        message: String,
        hint: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}
