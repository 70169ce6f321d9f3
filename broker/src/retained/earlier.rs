//! `retained.log`: where versions before 0.2 kept retained messages, and where a note for them
//! lies.
//!
//! Owns: reading such a file once, and the note that takes its place. Never: writes the earlier
//! format. Invariant: the note is there only when the journal holds everything, so a start that
//! finds a file instead of it reads that file again.
//!
//! The note is a file of format 2, which earlier versions refuse to read and to write. So they do
//! not start without the messages as if there were none. The earlier format, little-endian:
//!
//! ```text
//! header   8 bytes "MRETAIN\n", u32 format (1)
//! record   u16 mark, u8 kind (1 set, 2 clear), u8 QoS
//!          u16 length of topic, u8 whether it expires, u8 zero
//!          u32 expiry (seconds after received_at)
//!          u32 length of properties, u32 length of payload
//!          i64 received_at (microseconds since 1970, UTC)
//!          u32 CRC-32 of the 28 bytes before and of all that follows
//!          topic (UTF-8), properties, payload
//! ```

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mqtt::Qos;

use super::OpenError;
use crate::message::{Message, OWN_PUBLISHER};

/// The file's name in the data folder.
pub(super) const FILE_NAME: &str = "retained.log";
/// As for all files of the data folder.
const NOTE_MODE: u32 = 0o600;

const FILE_HEADER_BYTES: usize = 12;
const FILE_MARK: &[u8; 8] = b"MRETAIN\n";
/// The format that is read.
const FORMAT: u32 = 1;
/// The format of the note.
const NOTE_FORMAT: u32 = 2;
const NOTE: &[u8] = b"\nThe retained messages are in the folder `retained` beside this file.\n";

const HEADER_BYTES: usize = 32;
const CRC_AT: usize = HEADER_BYTES - 4;
const MARK: [u8; 2] = [0xD5, 0x4D];
const SET: u8 = 1;
const CLEAR: u8 = 2;
/// Topic, properties and payload come from one packet, which has at most 268,435,455 bytes.
const BODY_BYTES_MAX: usize = 1 << 28;

/// What lies where the file was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// All messages are in the journal.
    Note,
    /// Messages; what is left at the end that is none, by a crash or by damage.
    Messages {
        unread_bytes: u64,
    },
}

/// Shows the changes that a file of the earlier format holds, in order. An empty payload clears.
pub(super) fn read(path: &Path, visit: &mut dyn FnMut(Message)) -> Result<Found, OpenError> {
    let read_error = |source| OpenError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        file => file.map_err(read_error)?,
    };
    let bytes = file.metadata().map_err(read_error)?.len();
    let mut input = BufReader::new(file);
    match read_format(&mut input).map_err(read_error)? {
        Some(NOTE_FORMAT) => Ok(Found::Note),
        Some(FORMAT) => {
            let left = bytes - FILE_HEADER_BYTES as u64;
            let unread_bytes = read_records(&mut input, left, visit).map_err(read_error)?;
            Ok(Found::Messages { unread_bytes })
        }
        Some(found) => Err(OpenError::Format {
            path: path.to_owned(),
            found,
            known: NOTE_FORMAT,
        }),
        None => Ok(Found::Messages {
            unread_bytes: bytes,
        }),
    }
}

/// Puts the note in the place of what is there, durably.
pub(super) fn write_note(path: &Path) -> io::Result<()> {
    journal::disk::replace_file(path, NOTE_MODE, |file| {
        file.write_all(FILE_MARK)?;
        file.write_all(&NOTE_FORMAT.to_le_bytes())?;
        file.write_all(NOTE)
    })
}

/// `None` when it is not such a file at all.
fn read_format(input: &mut impl Read) -> io::Result<Option<u32>> {
    let mut header = [0; FILE_HEADER_BYTES];
    match input.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let (mark, format) = header.split_at(FILE_MARK.len());
    let format = std::array::from_fn(|i| format[i]);
    Ok((mark == FILE_MARK).then(|| u32::from_le_bytes(format)))
}

/// Reads up to the first bytes that are no record; how many are left from there on, of `left`.
pub(super) fn read_records(
    input: &mut impl Read,
    mut left: u64,
    visit: &mut dyn FnMut(Message),
) -> io::Result<u64> {
    while left > 0 {
        let Some((message, bytes)) = read_record(input, left)? else {
            break;
        };
        visit(message);
        left -= bytes;
    }
    Ok(left)
}

/// The next record and its length.
fn read_record(input: &mut impl Read, left: u64) -> io::Result<Option<(Message, u64)>> {
    if left < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_BYTES];
    input.read_exact(&mut bytes)?;
    let Some(header) = Header::parse(&bytes) else {
        return Ok(None);
    };
    let length = (HEADER_BYTES + header.body_len()) as u64;
    if left < length {
        return Ok(None);
    }
    let mut body = vec![0; header.body_len()];
    input.read_exact(&mut body)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CRC_AT]);
    crc.update(&body);
    if crc.finalize().to_le_bytes() != bytes[CRC_AT..] {
        return Ok(None);
    }
    Ok(header.message(&body).map(|message| (message, length)))
}

/// A record's fixed part.
struct Header {
    clears: bool,
    qos: Qos,
    expiry_seconds: Option<u32>,
    received_at: i64,
    /// Lengths.
    topic: usize,
    properties: usize,
    payload: usize,
}

impl Header {
    /// `None` when these bytes begin no record.
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let word = |at: usize| u32::from_le_bytes(array(bytes, at));
        let clears = match bytes[2] {
            SET => false,
            CLEAR => true,
            _ => return None,
        };
        let expires = match bytes[6..8] {
            [0, 0] => false,
            [1, 0] => true,
            _ => return None,
        };
        let header = Header {
            clears,
            qos: Qos::from_u8(bytes[3])?,
            expiry_seconds: expires.then(|| word(8)),
            received_at: i64::from_le_bytes(array(bytes, 20)),
            topic: usize::from(u16::from_le_bytes(array(bytes, 4))),
            properties: word(12) as usize,
            payload: word(16) as usize,
        };
        (bytes[..2] == MARK && header.body_len() <= BODY_BYTES_MAX).then_some(header)
    }

    /// Bytes that follow the header.
    fn body_len(&self) -> usize {
        self.topic + self.properties + self.payload
    }

    fn message(&self, body: &[u8]) -> Option<Message> {
        let (topic, rest) = body.split_at_checked(self.topic)?;
        let (properties, payload) = rest.split_at_checked(self.properties)?;
        let payload = if self.clears { &[] } else { payload };
        Some(Message {
            topic: Arc::from(std::str::from_utf8(topic).ok()?),
            payload: Bytes::copy_from_slice(payload),
            qos: self.qos,
            retain: true,
            properties: Bytes::copy_from_slice(properties),
            expiry_seconds: self.expiry_seconds,
            // Whoever published it is no session of this run.
            publisher: OWN_PUBLISHER,
            received_at: self.received_at,
            origin: Default::default(),
            holders: Default::default(),
        })
    }
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
