//! Parameter types between our words and PostgreSQL's.

use std::borrow::Cow;
use std::error::Error;

use bytes::BytesMut;
use telemetry::Micros;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::civil::{TIME_END, TIME_MIN};

/// PostgreSQL counts from 2000-01-01T00:00:00Z.
const EPOCH: Micros = 946_684_800_000_000;

/// An instant as PostgreSQL's binary format has it. The caller has checked the range, or wants it
/// clamped.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub Micros);

impl Instant {
    /// Microseconds since 2000; what lies outside the years 1 to 9999 is moved to their edge.
    pub(super) fn since_2000(self) -> i64 {
        self.0.clamp(TIME_MIN, TIME_END - 1) - EPOCH
    }
}

impl ToSql for Instant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.since_2000().to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// PostgreSQL's text cannot hold U+0000. Where a row must be taken whatever it holds, the
/// replacement character stands for it.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}
