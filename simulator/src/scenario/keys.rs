//! What people write: each key is a flag of `millrace simulate` and a key of a scenario file, by
//! construction.
//!
//! Owns: the names, help texts and types of the keys. Never: gives a default or judges a
//! combination; `scenario` does. Invariant: a key that was not written is `None` (or empty), so
//! that flags can be laid over a file.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::fleet::{Fault, Profile};
use crate::message::{PayloadShape, TimeUnit};
use crate::units;
use crate::wire::MqttVersion;

/// Keys of a whole run; at the top of a scenario file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Server")]
pub struct RunKeys {
    /// Host of the MQTT server [default: 127.0.0.1]
    #[arg(short = 'h', long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port of the MQTT server [default: 1883, with --cafile 8883]
    #[arg(short = 'p', long, value_name = "PORT")]
    pub port: Option<u16>,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password (visible in `ps`; prefer --password-file or MILLRACE_PASSWORD)
    #[arg(short = 'P', long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Use TLS; trust certificates signed by a certificate authority (CA) in this PEM file
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,
    /// Certificate to show the server, as PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, as PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Accept a certificate issued for another host name; a CA in --cafile must still have signed
    /// it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// Version of MQTT: 3.1.1 or 5 [default: 3.1.1]
    #[arg(short = 'V', long, value_name = "VERSION")]
    pub mqtt_version: Option<MqttVersion>,
    /// Keep-alive; 0 turns it off [default: 60s]
    #[arg(short = 'k', long, value_name = "SECONDS", value_parser = units::seconds)]
    #[serde(deserialize_with = "units::optional::seconds")]
    pub keepalive: Option<Duration>,
    /// Whether each connection begins a new session [default: true]
    #[arg(short = 'C', long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub clean: Option<bool>,
    /// Time the first connection may take before the run fails [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = units::seconds)]
    #[serde(deserialize_with = "units::optional::seconds")]
    pub connect_timeout: Option<Duration>,

    /// How long messages are sent; without it and --messages until Ctrl-C
    #[arg(long, value_name = "DURATION", value_parser = units::seconds, help_heading = "Run")]
    #[serde(deserialize_with = "units::optional::seconds")]
    pub duration: Option<Duration>,
    /// How long to wait at the end for outstanding acknowledgements [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = units::seconds, help_heading = "Run")]
    #[serde(deserialize_with = "units::optional::seconds")]
    pub drain: Option<Duration>,
    /// Repeats a run: the same seed sends the same values [default: random, and reported]
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    pub seed: Option<u64>,
    /// Where the devices' clocks begin, as RFC 3339 or epoch time [default: now]
    #[arg(long, value_name = "TIME", value_parser = units::time, help_heading = "Run")]
    #[serde(deserialize_with = "units::optional::time")]
    pub start_time: Option<i64>,
    /// Threads that share the connections [default: 1]
    #[arg(long, value_name = "NUMBER", help_heading = "Run")]
    pub workers: Option<usize>,

    /// Write each acknowledged sample to FILE as `device,metric,time_us,value`, and those whose
    /// acknowledgement is not known to FILE.unacknowledged
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub expect: Option<PathBuf>,
    /// Listen to alerts and measure the time from publish to alert [default filter: alerts/#]
    #[arg(
        long,
        value_name = "FILTER",
        num_args = 0..=1,
        default_missing_value = "alerts/#",
        help_heading = "Output"
    )]
    pub alerts: Option<String>,

    /// Fleets of a scenario file.
    #[arg(skip)]
    pub fleet: Vec<FleetKeys>,
    /// Profiles of a scenario file, beside the built-in ones.
    #[arg(skip)]
    #[serde(rename = "profile")]
    pub profiles: Vec<Profile>,
}

/// Keys of one fleet; a `[[fleet]]` of a scenario file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Fleet")]
pub struct FleetKeys {
    /// Devices [default: 10]
    #[arg(short = 'c', long, value_name = "NUMBER")]
    pub count: Option<usize>,
    /// What the devices are: thermostat, boiler, vibration, power-meter or gps; several make a mix
    /// [default: thermostat]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub profile: Vec<String>,
    /// Connections that the devices share [default: one a device]
    #[arg(long, value_name = "NUMBER")]
    pub connections: Option<usize>,
    /// Time between two connections being opened, in ms [default: 0]
    #[arg(
        short = 'i',
        long = "interval-of-connecting",
        value_name = "MS",
        value_parser = units::milliseconds,
        conflicts_with = "ramp_up"
    )]
    #[serde(deserialize_with = "units::optional::milliseconds")]
    pub interval_of_connecting: Option<Duration>,
    /// Time over which all connections are opened [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = units::seconds)]
    #[serde(deserialize_with = "units::optional::seconds")]
    pub ramp_up: Option<Duration>,
    /// Names of the devices, or of the one device of a replay [default: {profile}-{index:04}]
    #[arg(long, value_name = "TEMPLATE")]
    pub device: Option<String>,
    /// Client ids [default: the device's name; for shared connections simulate-PID-N]
    #[arg(long, value_name = "TEMPLATE")]
    pub client_id: Option<String>,

    /// Time between two messages of a device, in ms; 0 is as fast as acknowledged [default: 1000]
    #[arg(
        short = 'I',
        long,
        value_name = "MS",
        value_parser = units::milliseconds,
        conflicts_with = "rate",
        help_heading = "Messages"
    )]
    #[serde(deserialize_with = "units::optional::milliseconds")]
    pub interval: Option<Duration>,
    /// Messages a second of all devices together, or `max`
    #[arg(
        short = 'R',
        long,
        value_name = "RATE",
        value_parser = units::rate,
        help_heading = "Messages"
    )]
    #[serde(deserialize_with = "units::optional::rate")]
    pub rate: Option<f64>,
    /// Messages of all devices together
    #[arg(short = 'n', long, value_name = "NUMBER", help_heading = "Messages")]
    pub messages: Option<u64>,
    /// Topic, with {device}, {index}, {profile}, {client}, {user} or %d, %i, %c, %u
    /// [default: devices/{device}/telemetry]
    #[arg(short = 't', long, value_name = "TEMPLATE", help_heading = "Messages")]
    pub topic: Option<String>,
    /// Quality of service: 0, 1 or 2 [default: 1]
    #[arg(
        short = 'q',
        long,
        value_name = "QOS",
        value_parser = clap::value_parser!(u8).range(0..=2),
        help_heading = "Messages"
    )]
    pub qos: Option<u8>,
    /// Mark messages as retained
    #[arg(
        short = 'r',
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Messages"
    )]
    pub retain: Option<bool>,
    /// Messages a connection may have unacknowledged [default: 64]
    #[arg(long, value_name = "NUMBER", help_heading = "Messages")]
    pub inflight: Option<u16>,
    /// Shape of the payload [default: flat]
    #[arg(long, value_enum, value_name = "SHAPE", help_heading = "Messages")]
    pub payload: Option<PayloadShape>,
    /// Samples in a message of the shape `batch` [default: 10]
    #[arg(long, value_name = "NUMBER", help_heading = "Messages")]
    pub batch_size: Option<usize>,
    /// Unit of the time in the payload [default: us]
    #[arg(long, value_enum, value_name = "UNIT", help_heading = "Messages")]
    pub time_unit: Option<TimeUnit>,
    /// What goes wrong:
    /// KIND[:PROBABILITY][,at=10s][,every=1m][,for=5s][,by=4][,metric=NAME][,share=0.2], with the
    /// kinds spike, stuck, drift, dropout, duplicate, late-batch, clock-skew, reconnect-storm;
    /// repeatable
    #[arg(long, value_name = "FAULT", help_heading = "Faults")]
    #[serde(deserialize_with = "one_or_many")]
    pub fault: Vec<Fault>,
}

/// Flags that play a recorded file instead of simulating.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Replay")]
pub struct ReplayKeys {
    /// Send the rows of a CSV file with a header, in order
    #[arg(long, value_name = "FILE.csv", conflicts_with = "scenario")]
    pub replay: Option<PathBuf>,
    /// Column that names the device of a row (else --device, else the file's name)
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "replay",
        conflicts_with = "device"
    )]
    pub device_column: Option<String>,
    /// Column of the time [default: the first of time, timestamp, ts]
    #[arg(long, value_name = "COLUMN", requires = "replay")]
    pub time_column: Option<String>,
    /// Zone of times that have none, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "replay")]
    pub time_zone: Option<String>,
    /// Columns to send [default: all others]
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        requires = "replay"
    )]
    pub metric_columns: Vec<String>,
    /// Send a column under another name; repeatable
    #[arg(
        long,
        value_name = "COLUMN=METRIC",
        value_delimiter = ',',
        requires = "replay"
    )]
    pub map: Vec<String>,
    /// How much faster than recorded: 60x, or max [default: 1x]
    #[arg(long, value_name = "FACTOR", requires = "replay")]
    pub speed: Option<String>,
    /// Move all times so that the last row is sent at its own time, and none lies in the future
    #[arg(long, requires = "replay")]
    pub shift_to_now: bool,
}

macro_rules! overlay {
    ($over:expr, $under:expr, [$($optional:ident),* $(,)?], [$($list:ident),* $(,)?]) => {{
        $(if $over.$optional.is_none() { $over.$optional = $under.$optional; })*
        $(if $over.$list.is_empty() { $over.$list = $under.$list; })*
        $over
    }};
}

impl RunKeys {
    /// These keys, and where they are silent those of `under`.
    pub fn or(mut self, under: Self) -> Self {
        overlay!(
            self,
            under,
            [
                host,
                port,
                username,
                password,
                cafile,
                cert,
                key,
                insecure,
                mqtt_version,
                keepalive,
                clean,
                connect_timeout,
                duration,
                drain,
                seed,
                start_time,
                workers,
                expect,
                alerts,
            ],
            [fleet, profiles]
        )
    }
}

impl FleetKeys {
    /// These keys, and where they are silent those of `under`. A pace that is written one way hides
    /// the other way.
    pub fn or(mut self, mut under: Self) -> Self {
        if self.interval.is_some() || self.rate.is_some() {
            (under.interval, under.rate) = (None, None);
        }
        if self.interval_of_connecting.is_some() || self.ramp_up.is_some() {
            (under.interval_of_connecting, under.ramp_up) = (None, None);
        }
        overlay!(
            self,
            under,
            [
                count,
                connections,
                interval_of_connecting,
                ramp_up,
                device,
                client_id,
                interval,
                rate,
                messages,
                topic,
                qos,
                retain,
                inflight,
                payload,
                batch_size,
                time_unit,
            ],
            [profile, fault]
        )
    }
}

/// A list, or one string for a list of one.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string or a list of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            T::deserialize(text.into_deserializer()).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut many = Vec::new();
            while let Some(one) = list.next_element()? {
                many.push(one);
            }
            Ok(many)
        }
    }

    deserializer.deserialize_any(OneOrMany(PhantomData))
}
