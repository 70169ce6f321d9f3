//! Binary COPY: rows encoded into large pieces.
//!
//! The format: a signature, flags and an extension length; per row the number of fields, per field
//! its length and bytes, all big-endian; -1 at the end (PostgreSQL documentation, COPY, "Binary
//! Format").

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Statement};

use super::error::Failure;
use super::session::Session;
use super::sorted::SortedSample;
use super::types::Instant;

/// A piece handed to the connection. Large enough to cost nothing a row, small enough to be encoded
/// while the server is still busy with the one before.
const PIECE_BYTES: usize = 128 * 1024;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

const SAMPLE_BYTES: usize = 2 + (4 + 8) + (4 + 8) + (4 + 4);

/// One COPY under way. Dropped before `end`, it is cancelled on the server.
pub(super) struct Copy<'a> {
    session: &'a Session,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: &'a mut BytesMut,
}

impl<'a> Copy<'a> {
    /// `buffer` is memory to use again; it may hold what an earlier, failed COPY left behind.
    pub(super) async fn begin(
        session: &'a Session,
        statement: &Statement,
        buffer: &'a mut BytesMut,
    ) -> Result<Copy<'a>, Failure> {
        let sink = session.answer(session.client().copy_in(statement)).await?;
        buffer.clear();
        buffer.reserve(PIECE_BYTES);
        buffer.put_slice(SIGNATURE);
        buffer.put_i32(0);
        buffer.put_i32(0);
        Ok(Copy {
            session,
            sink: Box::pin(sink),
            buffer,
        })
    }

    /// Rows of (time, value, series).
    pub(super) async fn samples(&mut self, rows: &[SortedSample]) -> Result<(), Failure> {
        for rows in rows.chunks(PIECE_BYTES / SAMPLE_BYTES) {
            self.buffer.reserve(rows.len() * SAMPLE_BYTES);
            for row in rows {
                self.buffer.put_slice(&sample(row));
            }
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Begins a row.
    pub(super) fn row(&mut self, fields: i16) {
        self.buffer.put_i16(fields);
    }

    /// A field of type text, bytea or uuid.
    pub(super) fn bytes(&mut self, value: &[u8]) {
        // Lengths are bounded by the journal's records, far below 2 GB.
        self.buffer.put_i32(value.len() as i32);
        self.buffer.put_slice(value);
    }

    pub(super) fn int4(&mut self, value: i32) {
        self.buffer.put_i32(4);
        self.buffer.put_i32(value);
    }

    pub(super) fn int8(&mut self, value: i64) {
        self.buffer.put_i32(8);
        self.buffer.put_i64(value);
    }

    pub(super) fn timestamptz(&mut self, value: Instant) {
        self.int8(value.since_2000());
    }

    /// Ends a row: what has gathered is handed over when it is enough.
    pub(super) async fn row_end(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= PIECE_BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Everything has been said; fails when the server refuses a row.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.buffer.put_i16(-1);
        self.hand_over().await?;
        self.session.answer(self.sink.as_mut().finish()).await?;
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), Failure> {
        let piece = self.buffer.split().freeze();
        self.session.answer(self.sink.send(piece)).await
    }
}

fn sample(row: &SortedSample) -> [u8; SAMPLE_BYTES] {
    let mut out = [0; SAMPLE_BYTES];
    out[..2].copy_from_slice(&3_i16.to_be_bytes());
    out[2..6].copy_from_slice(&8_i32.to_be_bytes());
    out[6..14].copy_from_slice(&Instant(row.time).since_2000().to_be_bytes());
    out[14..18].copy_from_slice(&8_i32.to_be_bytes());
    out[18..26].copy_from_slice(&row.value.to_be_bytes());
    out[26..30].copy_from_slice(&4_i32.to_be_bytes());
    out[30..].copy_from_slice(&row.series.to_be_bytes());
    out
}
