//! (in progress)
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct Settings {
    pub batch_rows: usize,
    pub batch_delay: Duration,
}
