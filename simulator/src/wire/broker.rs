//! The server, and how connections present themselves to it.
//!
//! Owns: address, credentials, version of the protocol. Never: connects. Invariant: the keep-alive
//! fits the 16 bits that CONNECT has for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::tls::Tls;
use crate::units;

/// The server and how connections present themselves.
#[derive(Debug, Clone)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// `None`: nothing is encrypted.
    pub tls: Option<Tls>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub version: MqttVersion,
    /// Zero turns it off.
    pub keep_alive: Duration,
    /// Whether each connection begins without the server's memory of the one before.
    pub clean: bool,
}

impl Broker {
    pub fn address(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum MqttVersion {
    #[default]
    #[serde(rename = "3.1.1")]
    V3,
    #[serde(rename = "5")]
    V5,
}

impl FromStr for MqttVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text
            .trim()
            .trim_start_matches("mqttv")
            .trim_start_matches('v')
        {
            "3.1.1" | "311" | "4" | "3" => Ok(Self::V3),
            "5" | "5.0" | "50" => Ok(Self::V5),
            _ => Err(format!(
                "`{text}` is not a version of MQTT: write `3.1.1` or `5`"
            )),
        }
    }
}

impl fmt::Display for MqttVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V3 => "3.1.1",
            Self::V5 => "5",
        })
    }
}

impl<'de> Deserialize<'de> for MqttVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        units::scalar(
            deserializer,
            "a version of MQTT, \"3.1.1\" or \"5\"",
            |text| text.parse(),
        )
    }
}
