//! The client's side of WebSocket (RFC 6455), as far as a case needs it.
//!
//! Owns: the upgrade and the frames. Never: fragments, answers pings; no case needs either.

use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
/// The end, as either side announces it.
const CLOSE: u8 = 0x88;

/// Asks for the sub-protocol `mqtt`; the answer's head, and what came behind it.
pub(crate) fn upgrade(stream: &mut TcpStream) -> Result<(String, Vec<u8>), String> {
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = answer.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&answer).into_owned(), rest));
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err("closed in the middle of the upgrade".into()),
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// One whole message, masked with zeros as a client may.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("cases send little over WebSocket");
    let mut frame = vec![first_byte];
    match length {
        0..=125 => frame.push(0x80 | length as u8),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// What the frames in front of `raw` hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Binary(Vec<u8>),
    Close,
    /// Not what a server that speaks MQTT may send.
    Other(u8),
}

/// Takes the first complete frame off `raw`.
pub(crate) fn take(raw: &mut Vec<u8>) -> Option<Content> {
    let first_byte = *raw.first()?;
    let (length, header) = match *raw.get(1)? {
        126 => {
            let length = raw.get(2..4)?;
            (usize::from(length[0]) << 8 | usize::from(length[1]), 4)
        }
        length => (usize::from(length), 2),
    };
    let end = header + length;
    if raw.len() < end {
        return None;
    }
    let payload = raw.drain(..end).skip(header).collect();
    Some(match first_byte {
        BINARY => Content::Binary(payload),
        CLOSE => Content::Close,
        other => Content::Other(other),
    })
}
