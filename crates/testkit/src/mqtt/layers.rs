//! What a client may speak MQTT over: TLS, WebSocket, or both.
//!
//! Owns: the client's side of either, by implementations that are not Millrace's.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::Issued;

/// Any stream of bytes in both directions.
pub trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

/// TLS over a socket.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A client's side of TLS that trusts the authority alone, and shows a certificate if it has one.
pub fn trusting(authority: &str, shown: Option<&Issued>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM");
    roots.add(root).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let chain = CertificateDer::pem_slice_iter(shown.certificate.as_bytes());
            let chain: Result<Vec<_>, _> = chain.collect();
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("PEM");
            builder
                .with_client_auth_cert(chain.expect("PEM"), key)
                .expect("a pair")
        }
    };
    Arc::new(config)
}

pub fn secure(socket: TcpStream, config: Arc<ClientConfig>) -> Secure {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config, name).expect("a client");
    StreamOwned::new(connection, socket)
}

/// A stream of bytes through a WebSocket, by an implementation that is not ours.
pub struct Frames<S> {
    socket: WebSocket<S>,
    /// Received and not read yet.
    rest: Vec<u8>,
}

impl<S: Read + Write> Frames<S> {
    pub fn over(stream: S) -> Frames<S> {
        let request =
            tungstenite::ClientRequestBuilder::new("ws://localhost/mqtt".parse().expect("a URI"))
                .with_sub_protocol("mqtt");
        let Ok((socket, response)) = tungstenite::client(request, stream) else {
            panic!("no WebSocket");
        };
        assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
        Frames {
            socket,
            rest: Vec::new(),
        }
    }
}

impl<S: Read + Write> Read for Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes.to_vec(),
                Ok(Message::Close(_)) => return Ok(0),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}

impl<S: Read + Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket
            .write(Message::Binary(bytes.to_vec().into()))
            .map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io::Error::other)
    }
}
