//! The PROXY protocol, version 2: a load balancer tells whom it speaks for.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (HAProxy), section 2.2. Owns: reading one header,
//! and nothing behind it. Never: guesses; a listener either requires the header or never looks for
//! one, since whoever may send it may claim any address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// Addresses take 36 bytes at most; the rest is for TLVs, of which the largest in use (a client
/// certificate's fields) take a few hundred bytes.
const VARIABLE_BYTES_MAX: usize = 4_096;

const VERSION: u8 = 2;
const COMMAND_LOCAL: u8 = 0;
const COMMAND_PROXY: u8 = 1;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the connection ended inside the PROXY header")]
    Ended(#[source] io::Error),
    #[error("the connection does not begin with a PROXY protocol header of version 2")]
    Signature,
    #[error("version `{0}` of the PROXY protocol is not known")]
    Version(u8),
    #[error("command `{0}` of the PROXY protocol is not known")]
    Command(u8),
    #[error("the family `{0:#04x}` is not that of a TCP connection")]
    Family(u8),
    #[error("{0} bytes are too few for the addresses")]
    Short(usize),
    #[error("{0} bytes behind the header are more than {VARIABLE_BYTES_MAX}")]
    Long(usize),
}

impl ProxyError {
    /// Whether the other side has just gone.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, ProxyError::Ended(_))
    }
}

/// Reads the header; the client's address, or `None` when the proxy speaks for itself (a health
/// check) or does not know it.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Option<SocketAddr>, ProxyError> {
    let mut fixed = [0; FIXED_BYTES];
    stream
        .read_exact(&mut fixed)
        .await
        .map_err(ProxyError::Ended)?;
    let head = Head::decode(&fixed)?;
    // Read whole, so that not one byte of what follows is taken.
    let mut variable = vec![0; head.length];
    stream
        .read_exact(&mut variable)
        .await
        .map_err(ProxyError::Ended)?;
    head.source(&variable)
}

struct Head {
    command: u8,
    family: u8,
    length: usize,
}

impl Head {
    fn decode(fixed: &[u8; FIXED_BYTES]) -> Result<Head, ProxyError> {
        if fixed[..12] != SIGNATURE {
            return Err(ProxyError::Signature);
        }
        let (version, command) = (fixed[12] >> 4, fixed[12] & 0x0F);
        if version != VERSION {
            return Err(ProxyError::Version(version));
        }
        if command != COMMAND_LOCAL && command != COMMAND_PROXY {
            return Err(ProxyError::Command(command));
        }
        let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        if length > VARIABLE_BYTES_MAX {
            return Err(ProxyError::Long(length));
        }
        Ok(Head {
            command,
            family: fixed[13],
            length,
        })
    }

    /// Source address, destination address, source port, destination port, then TLVs, which are
    /// skipped.
    fn source(&self, variable: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
        if self.command == COMMAND_LOCAL {
            // "The receiver must ignore the protocol block."
            return Ok(None);
        }
        let short = || ProxyError::Short(variable.len());
        match self.family {
            UNSPECIFIED | UNIX_STREAM => Ok(None),
            TCP_OVER_IPV4 => {
                let block: &[u8; 12] = variable.first_chunk().ok_or_else(short)?;
                let [a, b, c, d, .., high, low, _, _] = *block;
                let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
                Ok(Some((address, u16::from_be_bytes([high, low])).into()))
            }
            TCP_OVER_IPV6 => {
                let block: &[u8; 36] = variable.first_chunk().ok_or_else(short)?;
                let (octets, rest) = block.split_first_chunk::<16>().ok_or_else(short)?;
                let address = IpAddr::V6(Ipv6Addr::from(*octets));
                Ok(Some(
                    (address, u16::from_be_bytes([rest[16], rest[17]])).into(),
                ))
            }
            family => Err(ProxyError::Family(family)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_and_command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([version_and_command, family]);
        bytes.extend((variable.len() as u16).to_be_bytes());
        bytes.extend(variable);
        bytes
    }

    /// What is read, and how many bytes are left for the next protocol.
    async fn check(mut bytes: Vec<u8>, expected: &str) {
        bytes.extend(b"MQTT");
        let mut stream = &bytes[..];
        let found = match read(&mut stream).await {
            Ok(Some(address)) => format!("{address}, then {}", stream.len()),
            Ok(None) => format!("own, then {}", stream.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn headers_are_read_to_their_last_byte_and_no_further() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x07, 0x5B];
        check(header(0x21, 0x11, &v4), "192.0.2.7:12345, then 4").await;
        let with_tlvs = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        check(header(0x21, 0x11, &with_tlvs), "192.0.2.7:12345, then 4").await;
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets());
        v6[32..34].copy_from_slice(&12_345_u16.to_be_bytes());
        check(header(0x21, 0x21, &v6), "[2001:db8::7]:12345, then 4").await;
        check(header(0x20, 0x00, &[]), "own, then 4").await;
        check(header(0x20, 0x11, &v4), "own, then 4").await;
        check(header(0x21, 0x00, &[1, 2, 3]), "own, then 4").await;
        check(header(0x21, 0x31, &[0; 216]), "own, then 4").await;
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let unsigned = "the connection does not begin with a PROXY protocol header of version 2";
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), unsigned).await;
        check(vec![0x10; 16], unsigned).await;
        check(
            header(0x11, 0x11, &[0; 12]),
            "version `1` of the PROXY protocol is not known",
        )
        .await;
        check(
            header(0x22, 0x11, &[0; 12]),
            "command `2` of the PROXY protocol is not known",
        )
        .await;
        check(
            header(0x21, 0x12, &[0; 12]),
            "the family `0x12` is not that of a TCP connection",
        )
        .await;
        check(
            header(0x21, 0x11, &[0; 11]),
            "11 bytes are too few for the addresses",
        )
        .await;
        check(
            header(0x21, 0x21, &[0; 35]),
            "35 bytes are too few for the addresses",
        )
        .await;
        check(
            header(0x21, 0x11, &[0; 4_097]),
            "4097 bytes behind the header are more than 4096",
        )
        .await;
        let cut = header(0x21, 0x11, &[0; 200])[..60].to_vec();
        check(cut, "the connection ended inside the PROXY header").await;
    }
}
