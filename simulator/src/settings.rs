//! What a run does, resolved and checked.
//!
//! Owns: the validated settings. Never: reads a file or a flag; `scenario` makes settings out of
//! what people wrote. Invariant: settings that exist can be run.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::fault::Fault;
use crate::payload::{PayloadShape, TimeUnit};
use crate::profile::Profile;
use crate::replay::Replay;
use crate::schedule::{Limit, Pace};
use crate::template::{Filling, Template};
use crate::tls::Tls;
use crate::units;

/// A whole run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub broker: Broker,
    pub load: Load,
    /// Repeats a run: the same seed gives the same samples.
    pub seed: u64,
    /// Microseconds since 1970 at which the devices' clocks begin; `None`: now.
    pub start_time_us: Option<i64>,
    /// How long to wait at the end for acknowledgements that are outstanding.
    pub drain: Duration,
    /// How long the first connection may take before the run fails.
    pub connect_timeout: Duration,
    /// Threads that share the connections.
    pub workers: usize,
    /// Where acknowledged samples are written.
    pub expect: Option<PathBuf>,
    /// The filter on which alerts are listened for.
    pub alerts: Option<String>,
    pub progress: Progress,
}

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

/// What is sent.
#[derive(Debug, Clone)]
pub enum Load {
    Fleets(Vec<Fleet>),
    Replay(Box<Replay>),
}

/// Devices that behave alike.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Device `i` has the profile `i % profiles.len()`.
    pub profiles: Vec<Profile>,
    pub devices: usize,
    /// At most one a device.
    pub connections: usize,
    pub pace: Pace,
    pub limit: Limit,
    pub qos: u8,
    pub retain: bool,
    pub topic: Template,
    pub device: Template,
    pub client_id: Template,
    pub shape: PayloadShape,
    /// Samples a message, 1 unless the shape is `batch`.
    pub batch_size: usize,
    pub time_unit: TimeUnit,
    pub faults: Vec<Fault>,
    /// Messages a connection may have unacknowledged.
    pub inflight: u16,
    /// Time between two connections being opened.
    pub connect_interval: Duration,
}

impl Fleet {
    pub(crate) fn device_name(&self, index: usize) -> String {
        let profile = &self.profiles[index % self.profiles.len()].name;
        self.device.fill(Filling {
            index,
            profile,
            ..Filling::default()
        })
    }

    /// With a connection for each device, connection and device have the same index.
    pub(crate) fn client_name(&self, connection: usize) -> String {
        let profile = &self.profiles[connection % self.profiles.len()].name;
        let device = self.device_name(connection);
        self.client_id.fill(Filling {
            device: &device,
            index: connection,
            profile,
            ..Filling::default()
        })
    }
}

/// Whether and how progress is shown on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    #[default]
    Off,
    /// A bar on a terminal, a line every five seconds elsewhere.
    Auto,
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
