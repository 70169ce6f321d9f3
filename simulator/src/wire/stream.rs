//! The socket of a connection, plain or encrypted.
//!
//! Owns: opening it, and moving bytes as far as it takes and gives them now. Never: knows MQTT.
//! Invariant: a poll that returns `Pending` wakes the task when the socket can go on.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::broker::Broker;
use super::error::ConnectError;

/// Ciphertext that a connection holds at most while the socket takes none: two records of the
/// largest size. rustls would hold twice as much.
const CIPHERTEXT_BYTES_MAX: usize = 32 * 1024;
/// Bytes read at once: a thousand acknowledgements.
const READ_BYTES: usize = 4 * 1024;

pub(crate) struct Stream(Either<TcpStream, Box<TlsStream<TcpStream>>>);

impl Stream {
    /// Connects, and makes the TLS handshake if the connection is to be encrypted.
    pub(crate) async fn open(broker: &Broker) -> Result<Stream, ConnectError> {
        let socket = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = &broker.tls else {
            return Ok(Stream(Either::Left(socket)));
        };
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| ConnectError::Name(broker.host.clone()))?;
        let connector = TlsConnector::from(tls.config());
        // Boxed: the future of a handshake is large, and most of a connection comes after it.
        let mut stream = Box::pin(connector.connect(name, socket))
            .await
            .map_err(ConnectError::Tls)?;
        let session = stream.get_mut().1;
        session.set_buffer_limit(Some(CIPHERTEXT_BYTES_MAX));
        Ok(Stream(Either::Right(Box::new(stream))))
    }

    /// Sends `bytes` from `*sent` on; ready when all of them have left.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        sent: &mut usize,
    ) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            let count = ready!(self.io().poll_write(context, &bytes[*sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += count;
        }
        self.io().poll_flush(context)
    }

    /// Appends what has arrived; fails with `Closed` at the end of the stream.
    pub(crate) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<(), ConnectError>> {
        // An idle connection keeps no buffer of this size.
        let mut bytes = [0; READ_BYTES];
        let received = ready!(pin!(self.0.read(&mut bytes)).poll(context));
        Poll::Ready(match received {
            Ok(0) => Err(ConnectError::Closed),
            // The server's TLS did not say that it ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ConnectError::Closed),
            Ok(count) => {
                into.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
    }

    /// Tells the server that nothing more comes.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(context)
    }

    fn io(&mut self) -> Pin<&mut impl AsyncWrite> {
        Pin::new(&mut self.0)
    }
}
