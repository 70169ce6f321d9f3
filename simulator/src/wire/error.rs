//! Why one connection could not be opened, or was lost.

use std::io;

use super::tls::Advice;

/// Why one connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("`{0}` is no host name that a certificate could be for")]
    Name(String),
    /// TLS was not asked for, and its records come back.
    #[error("the server speaks TLS")]
    Encrypted,
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The reason code of CONNACK, in words.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the server takes no connections now")]
    Unavailable,
    #[error("the server refuses the subscription")]
    Subscription,
    #[error("the server allows QoS {allowed} at most, and `qos` is {wanted}")]
    Qos { allowed: u8, wanted: u8 },
    #[error("the server does not speak MQTT: {0}")]
    Protocol(String),
}

impl ConnectError {
    /// Whether trying again cannot help.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Qos { .. } | Self::Protocol(_) => true,
            Self::Name(_) | Self::Encrypted | Self::Subscription => true,
            Self::Io(error) | Self::Tls(error) => {
                Advice::on(error).is_some_and(|advice| advice.is_final)
            }
            Self::Timeout(_) | Self::Closed | Self::Unavailable => false,
        }
    }

    /// What to do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Encrypted => Some(
                "name the authority of the server's certificate with `--cafile FILE` to connect \
                 encrypted",
            ),
            Self::Io(error) => Advice::on(error).map(|advice| advice.hint),
            Self::Tls(error) => Advice::on_handshake(error).map(|advice| advice.hint),
            _ => None,
        }
    }
}
