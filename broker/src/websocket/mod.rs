//! MQTT inside WebSockets: RFC 6455, and section 6 of MQTT 5.
//!
//! Owns: the upgrade from HTTP, and a stream of bytes on top of frames. Never: gathers a frame;
//! payload is passed on as it comes, so neither a large frame nor one in a thousand fragments costs
//! memory. No extension is agreed to, compression included: there is nothing that could unfold to
//! more bytes than were sent. Invariant: an idle WebSocket holds no buffer.

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod origins;
mod stream;
#[cfg(test)]
mod tests;
mod upgrade;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

pub(crate) use origins::Origins;
pub(crate) use stream::WebSocket;
pub(crate) use upgrade::UpgradeError;

use crate::listener::Settings;

/// Reads the client's request and answers it; a refusal is answered too.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    listener: &Settings,
) -> Result<WebSocket<S>, UpgradeError> {
    let wanted = upgrade::Wanted {
        path: &listener.path,
        origins: &listener.origins,
        is_loopback: listener.address.ip().is_loopback(),
    };
    let mut head = Vec::new();
    let judged = match upgrade::read_head(&mut stream, &mut head).await {
        Ok(length) => upgrade::judge(&head[..length], &wanted).map(|answer| (answer, length)),
        Err(error) => Err(error),
    };
    match judged {
        Ok((answer, length)) => {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            Ok(WebSocket::new(stream, head[length..].to_vec()))
        }
        Err(error) => {
            if let Some(answer) = error.answer() {
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
            }
            Err(error)
        }
    }
}
