//! The wire: sockets, TLS and MQTT 3.1.1 and 5, as a client.
//!
//! Owns: how a server is reached and spoken to. Never: makes a message or counts one. Invariant:
//! only this folder knows rumqttc and rustls.

mod broker;
mod error;
mod handshake;
mod packet;
mod stream;
mod subscriber;
mod tls;
mod window;

pub use broker::{Broker, MqttVersion};
pub use error::ConnectError;
pub(crate) use handshake::{Opened, open};
pub(crate) use packet::{
    Accepted, Incoming, Verdict, read, write_disconnect, write_ping, write_pubrel,
};
pub(crate) use stream::Stream;
pub use subscriber::{News, Subscriber};
pub use tls::{Advice, Tls, TlsError, TlsKeys};
pub(crate) use window::Window;
