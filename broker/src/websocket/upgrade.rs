//! From an HTTP request to a WebSocket: RFC 6455, section 4.2.
//!
//! Owns: reading the request's head within its bound, judging it, and every answer. Never: reads a
//! body.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Origins;

/// Browsers send 500 bytes to 2 KB, the more the more cookies the host has; other servers stop at 8
/// KB too.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// First room for a head; most fit.
const HEAD_BYTES: usize = 1_024;
/// As many as fit into a head of sensible lines.
const HEADERS_MAX: usize = 64;
/// RFC 6455, section 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
const VERSION: &str = "13";
/// [MQTT-6.0.0-3]; the second is what clients of MQTT 3.1 and older browsers' libraries ask for.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a request must ask for.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    pub(super) origins: &'a Origins,
    /// Whether the listener is bound to loopback.
    pub(super) is_loopback: bool,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the connection ended inside the request")]
    Ended,
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error(
        "the request's head is longer than {HEAD_BYTES_MAX} bytes or has more than {HEADERS_MAX} fields"
    )]
    TooLarge,
    #[error("the request is not HTTP")]
    Malformed,
    #[error("only HTTP/1.1 can be upgraded")]
    HttpVersion,
    #[error("a WebSocket is asked for with GET")]
    Method,
    #[error("there is no WebSocket at this path")]
    Path,
    #[error("the request does not ask for a WebSocket")]
    NoUpgrade,
    #[error("the version of the WebSocket must be {VERSION}")]
    Version,
    #[error("`Sec-WebSocket-Key` is missing or is not 16 bytes in base64")]
    Key,
    #[error("`Host` is missing")]
    Host,
    #[error("`Sec-WebSocket-Protocol` must offer `mqtt`")]
    Protocol,
    #[error("the page's origin is not among the listener's `allowed_origins`")]
    Origin,
}

impl UpgradeError {
    /// Whether the other side has just gone.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, UpgradeError::Ended | UpgradeError::Io(_))
    }

    /// What the client is told; `None` when nobody listens any more.
    pub(super) fn answer(&self) -> Option<String> {
        let (status, field) = match self {
            UpgradeError::Ended | UpgradeError::Io(_) => return None,
            UpgradeError::Malformed
            | UpgradeError::Key
            | UpgradeError::Host
            | UpgradeError::Protocol => ("400 Bad Request", ""),
            UpgradeError::Origin => ("403 Forbidden", ""),
            UpgradeError::Path => ("404 Not Found", ""),
            UpgradeError::Method => ("405 Method Not Allowed", "Allow: GET\r\n"),
            UpgradeError::NoUpgrade => ("426 Upgrade Required", "Upgrade: websocket\r\n"),
            UpgradeError::Version => ("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n"),
            UpgradeError::TooLarge => ("431 Request Header Fields Too Large", ""),
            UpgradeError::HttpVersion => ("505 HTTP Version Not Supported", ""),
        };
        let body = format!("{self}\n");
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\n{field}Connection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }
}

/// Reads until the head is complete; its length. Bytes behind it stay in `buffer`.
pub(super) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> Result<usize, UpgradeError> {
    buffer.reserve(HEAD_BYTES);
    loop {
        let searched = buffer.len().saturating_sub(3);
        if stream.read_buf(buffer).await? == 0 {
            return Err(UpgradeError::Ended);
        }
        // The end may lie across the border of two reads.
        let end = buffer[searched..]
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        match end {
            Some(at) if searched + at + 4 <= HEAD_BYTES_MAX => return Ok(searched + at + 4),
            None if buffer.len() < HEAD_BYTES_MAX => {}
            _ => return Err(UpgradeError::TooLarge),
        }
        if searched == 0 && !buffer[0].is_ascii_uppercase() {
            // No method begins like this: a client of something else, which would wait for ever.
            return Err(UpgradeError::Malformed);
        }
    }
}

/// The answer that makes the connection a WebSocket.
pub(super) fn judge(head: &[u8], wanted: &Wanted<'_>) -> Result<String, UpgradeError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(UpgradeError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(UpgradeError::TooLarge),
        Err(httparse::Error::Version) => return Err(UpgradeError::HttpVersion),
        Err(_) => return Err(UpgradeError::Malformed),
    }
    if request.version != Some(1) {
        return Err(UpgradeError::HttpVersion);
    }
    // A query is the client's own affair: some carry tokens for a proxy in it.
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some(wanted.path) {
        return Err(UpgradeError::Path);
    }
    if request.method != Some("GET") {
        return Err(UpgradeError::Method);
    }
    let fields = Fields(request.headers);
    if !fields.lists("Upgrade", "websocket") || !fields.lists("Connection", "upgrade") {
        return Err(UpgradeError::NoUpgrade);
    }
    if fields.single("Sec-WebSocket-Version") != Some(VERSION) {
        return Err(UpgradeError::Version);
    }
    let host = fields.single("Host").ok_or(UpgradeError::Host)?;
    let key = fields
        .single("Sec-WebSocket-Key")
        .ok_or(UpgradeError::Key)?;
    if BASE64.decode(key).map(|key| key.len()) != Ok(KEY_BYTES) {
        return Err(UpgradeError::Key);
    }
    let mut origins = fields.all("Origin");
    if !origins.all(|origin| wanted.origins.allow(origin, host, wanted.is_loopback)) {
        return Err(UpgradeError::Origin);
    }
    // What the server chooses must have been offered. [MQTT-6.0.0-4]
    let protocol = PROTOCOLS
        .into_iter()
        .find(|protocol| fields.lists("Sec-WebSocket-Protocol", protocol))
        .ok_or(UpgradeError::Protocol)?;
    let accept = accept_key(key);
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    ))
}

fn accept_key(key: &str) -> String {
    let proof = [key.as_bytes(), ACCEPT_GUID].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &proof))
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// Values that are not ASCII text count as empty, so that they match nothing.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self
            .0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| std::str::from_utf8(field.value).unwrap_or_default().trim())
    }

    /// `None` when it is missing, or given twice.
    fn single(&self, name: &'static str) -> Option<&'a str> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a field of comma-separated tokens has this one.
    fn lists(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}
