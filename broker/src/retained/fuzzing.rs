//! What must hold of the log's records, whatever bytes they are: the entry of the fuzz target.

use super::record::{self, Change, HEADER_BYTES, Header};

/// Where a header has its checksum.
const CHECKSUM: std::ops::Range<usize> = HEADER_BYTES - 4..HEADER_BYTES;

/// Takes `data` for a record, as it is and with the right checksum. Nothing panics, and what was
/// read is written as what is read alike again.
pub(crate) fn record(data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk::<HEADER_BYTES>() else {
        return;
    };
    look_at(header, body);
    let mut header = *header;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..CHECKSUM.start]);
    crc.update(body);
    header[CHECKSUM].copy_from_slice(&crc.finalize().to_le_bytes());
    look_at(&header, body);
}

fn look_at(header: &[u8; HEADER_BYTES], body: &[u8]) {
    let Some(header) = Header::parse(header) else {
        return;
    };
    // Also a body of another length than the header says.
    let whole = header.body_len() == body.len();
    let Some(change) = header.decode(body) else {
        return;
    };
    let written = write(&change);
    let Some((again, body)) = written.split_first_chunk::<HEADER_BYTES>() else {
        unreachable!("a record begins with its header");
    };
    let again = Header::parse(again).and_then(|again| again.decode(body));
    assert_eq!(again.as_ref().map(write), Some(written));
    if let Change::Set(message) = &change {
        assert!(message.payload.len() <= header.body_len());
        assert!(!whole || record::set_len(message) == (HEADER_BYTES + header.body_len()) as u64);
    }
}

fn write(change: &Change) -> Vec<u8> {
    let mut bytes = Vec::new();
    match change {
        Change::Set(message) => record::encode_set(&mut bytes, message),
        Change::Clear(topic) => record::encode_clear(&mut bytes, topic),
    }
    bytes
}
