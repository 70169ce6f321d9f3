//! From what people wrote to what is true.
//!
//! Owns: scenario files, defaults, and every check of a combination of keys. Never: connects.
//! Invariant: what comes out can be run; an error names the key.

mod keys;
mod settings;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use documents::{Document, FileError};
use rand::RngExt;

pub use keys::{FleetKeys, ReplayKeys, RunKeys};
pub use settings::{Load, Progress, Settings};

use crate::fleet::{BUILT_IN, Fleet, Limit, Pace, Profile};
use crate::message::{DEFAULT_BATCH_SIZE, PayloadShape, Template};
use crate::replay::{Columns, Replay};
use crate::wire::{Broker, TlsError, TlsKeys};
use crate::{Error, units};

/// Devices of one run at most: each costs about half a kilobyte, and its number must fit where it
/// is kept.
const DEVICES_MAX: usize = 5_000_000;
/// Samples in one message at most, as many values as one message may hold for the ingest.
const BATCH_SIZE_MAX: usize = 1_000;
/// Worker threads at most; more than cores is never faster.
const WORKERS_MAX: usize = 64;

/// What the file is to people.
const WHAT: &str = "scenario";

/// A scenario is written by hand; anything larger is the wrong file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Everything that was written: a file, and flags over it.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    pub run: RunKeys,
    /// Laid over every fleet.
    pub fleet: FleetKeys,
    pub replay: ReplayKeys,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not a scenario: then with every mistake at its place.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::of(&Document::read(path, WHAT, FILE_BYTES_MAX)?)
    }

    /// Reads the text of a scenario file; `path` stands in errors.
    ///
    /// # Errors
    ///
    /// When the text is not a scenario: every mistake at its place.
    pub fn parse(text: &str, path: &Path) -> Result<Self, FileError> {
        Self::of(&Document::new(path, text))
    }

    fn of(document: &Document) -> Result<Self, FileError> {
        match document.deserialize() {
            (Some(run), problems) if problems.is_empty() => Ok(Self {
                run,
                ..Self::default()
            }),
            (_, problems) => Err(FileError::Wrong {
                what: WHAT,
                path: document.file().to_owned(),
                problems,
            }),
        }
    }

    /// Lays flags over what the file says; in every fleet.
    pub fn under(self, flags: Self) -> Self {
        Self {
            run: flags.run.or(self.run),
            fleet: flags.fleet.or(self.fleet),
            replay: flags.replay,
        }
    }

    /// Gives defaults and checks everything.
    ///
    /// # Errors
    ///
    /// `Error::Settings` naming the key that cannot be used, `Error::Tls` the file.
    pub fn resolve(self) -> Result<Settings, Error> {
        let Self {
            mut run,
            fleet: flags,
            replay,
        } = self;
        let broker = resolve_broker(&run)?;
        let profiles = std::mem::take(&mut run.profiles);
        if let Some(fault) = profiles.iter().find_map(Profile::fault) {
            return Err(Error::Settings(fault));
        }
        let load = match &replay.replay {
            Some(path) => Load::Replay(Box::new(resolve_replay(
                path,
                &replay,
                &flags,
                run.duration,
            )?)),
            None => {
                let mut fleets = std::mem::take(&mut run.fleet);
                if fleets.is_empty() {
                    fleets.push(FleetKeys::default());
                }
                let fleets = fleets
                    .into_iter()
                    .enumerate()
                    .map(|(number, keys)| {
                        resolve_fleet(flags.clone().or(keys), number, &run, &profiles)
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(Error::Settings)?;
                check_names(&fleets).map_err(Error::Settings)?;
                Load::Fleets(fleets)
            }
        };
        let workers = run.workers.unwrap_or(1);
        ensure((1..=WORKERS_MAX).contains(&workers), || {
            format!("`workers` is {workers}, and must be from 1 to {WORKERS_MAX}")
        })
        .map_err(Error::Settings)?;
        Ok(Settings {
            broker,
            load,
            // Half the range: every JSON reader keeps such a number exactly.
            seed: run
                .seed
                .unwrap_or_else(|| u64::from(rand::rng().random::<u32>())),
            start_time_us: run.start_time,
            drain: run.drain.unwrap_or(Duration::from_secs(10)),
            connect_timeout: run.connect_timeout.unwrap_or(Duration::from_secs(10)),
            workers,
            expect: run.expect,
            alerts: run.alerts,
            progress: Progress::Off,
        })
    }
}

fn resolve_broker(run: &RunKeys) -> Result<Broker, Error> {
    let keep_alive = run.keepalive.unwrap_or(Duration::from_secs(60));
    // The field on the wire has 16 bits and counts seconds.
    if keep_alive.as_secs() > u64::from(u16::MAX) || keep_alive.subsec_nanos() != 0 {
        return Err(Error::Settings(
            "`keepalive` must be whole seconds, at most 65535".into(),
        ));
    }
    if run.password.is_some() && run.username.is_none() {
        return Err(Error::Settings("`password` needs a `username`".into()));
    }
    let tls = TlsKeys {
        cafile: run.cafile.clone(),
        cert: run.cert.clone(),
        key: run.key.clone(),
        insecure: run.insecure.unwrap_or(false),
    };
    Ok(Broker {
        host: run.host.clone().unwrap_or_else(|| "127.0.0.1".into()),
        port: run.port.unwrap_or(tls.default_port()),
        tls: tls.load().map_err(|error| match error {
            TlsError::Incomplete { .. } => Error::Settings(error.to_string()),
            error => Error::Tls(error),
        })?,
        username: run.username.clone(),
        password: run.password.clone(),
        version: run.mqtt_version.unwrap_or_default(),
        keep_alive,
        clean: run.clean.unwrap_or(true),
    })
}

fn resolve_fleet(
    keys: FleetKeys,
    number: usize,
    run: &RunKeys,
    profiles: &[Profile],
) -> Result<Fleet, String> {
    let devices = keys.count.unwrap_or(10);
    ensure((1..=DEVICES_MAX).contains(&devices), || {
        format!("`count` is {devices}, and must be from 1 to {DEVICES_MAX}")
    })?;
    let connections = keys.connections.unwrap_or(devices).min(devices);
    ensure(connections > 0, || {
        "`connections` must be at least 1".into()
    })?;
    let own_connection = connections == devices;
    let shape = keys.payload.unwrap_or_default();
    let batch_size = match (shape, keys.batch_size) {
        (PayloadShape::Batch, size) => size.unwrap_or(DEFAULT_BATCH_SIZE),
        (_, None) => 1,
        (_, Some(_)) => return Err("`batch-size` needs `payload` to be `batch`".into()),
    };
    ensure((1..=BATCH_SIZE_MAX).contains(&batch_size), || {
        format!("`batch-size` is {batch_size}, and must be from 1 to {BATCH_SIZE_MAX}")
    })?;
    let inflight = keys.inflight.unwrap_or(64);
    ensure(inflight > 0, || "`inflight` must be at least 1".into())?;
    let qos = keys.qos.unwrap_or(1);
    ensure(qos <= 2, || {
        format!("`qos` is {qos}, and must be 0, 1 or 2")
    })?;
    let pace = match (keys.rate, keys.interval) {
        (Some(_), Some(_)) => return Err("`rate` and `interval` exclude each other".into()),
        (Some(rate), None) => Pace::of_rate(rate, devices),
        (None, interval) => Pace::every(interval.unwrap_or(Duration::from_secs(1))),
    };
    let device = template(
        "device",
        keys.device.as_deref().unwrap_or("{profile}-{index:04}"),
    )?;
    ensure(devices == 1 || device.tells_apart(), || {
        "`device` needs `{index}`: several devices would have one name".into()
    })?;
    let client_id = match &keys.client_id {
        Some(text) => template("client-id", text)?,
        None if own_connection => template("client-id", "{device}")?,
        None => {
            let process = std::process::id();
            template(
                "client-id",
                &format!("simulate-{process}-{number}-{{index}}"),
            )?
        }
    };
    ensure(connections == 1 || client_id.tells_apart(), || {
        "`client-id` needs `{index}` or `{device}`: connections with one id throw each other out"
            .into()
    })?;
    Ok(Fleet {
        profiles: resolve_profiles(&keys.profile, profiles)?,
        devices,
        connections,
        pace,
        limit: Limit {
            duration: run.duration,
            messages: keys.messages,
        },
        qos,
        retain: keys.retain.unwrap_or(false),
        topic: Template::parse_topic(
            keys.topic
                .as_deref()
                .unwrap_or("devices/{device}/telemetry"),
        )?,
        device,
        client_id,
        shape,
        batch_size,
        time_unit: keys.time_unit.unwrap_or_default(),
        faults: keys.fault,
        inflight,
        connect_interval: match (keys.interval_of_connecting, keys.ramp_up) {
            (Some(_), Some(_)) => {
                return Err("`interval-of-connecting` and `ramp-up` exclude each other".into());
            }
            (Some(interval), None) => interval,
            (None, ramp_up) => ramp_up.unwrap_or_default() / connections as u32,
        },
    })
}

fn resolve_profiles(names: &[String], own: &[Profile]) -> Result<Vec<Profile>, String> {
    let default = ["thermostat".to_owned()];
    let names = if names.is_empty() { &default } else { names };
    let find = |name: &String| {
        let profile = own.iter().find(|profile| profile.name == *name).cloned();
        profile.or_else(|| Profile::built_in(name)).ok_or_else(|| {
            let mut known: Vec<&str> = own.iter().map(|profile| profile.name.as_str()).collect();
            known.extend(BUILT_IN);
            format!(
                "`{name}` is not a profile: the profiles are `{}`",
                known.join("`, `")
            )
        })
    };
    names.iter().map(find).collect()
}

/// Two fleets must not have a device in common: its times would not increase, and its connections
/// would fight.
fn check_names(fleets: &[Fleet]) -> Result<(), String> {
    let devices: usize = fleets.iter().map(|fleet| fleet.devices).sum();
    ensure(devices <= DEVICES_MAX, || {
        format!("more than {DEVICES_MAX} devices in all fleets")
    })?;
    if fleets.len() < 2 {
        return Ok(());
    }
    let mut names = HashSet::with_capacity(devices);
    for fleet in fleets {
        for index in 0..fleet.devices {
            let name = fleet.device_name(index);
            if !names.insert(name.clone()) {
                return Err(format!(
                    "two fleets have a device `{name}`: give one of them another `device`"
                ));
            }
        }
    }
    Ok(())
}

fn resolve_replay(
    path: &Path,
    keys: &ReplayKeys,
    flags: &FleetKeys,
    duration: Option<Duration>,
) -> Result<Replay, Error> {
    let settle = || -> Result<Replay, String> {
        if flags.payload == Some(PayloadShape::Batch) {
            return Err("`payload` cannot be `batch` in a replay: each row is one message".into());
        }
        let refused: [(&str, bool); 7] = [
            ("count", flags.count.is_some()),
            ("profile", !flags.profile.is_empty()),
            ("connections", flags.connections.is_some()),
            ("interval", flags.interval.is_some()),
            ("rate", flags.rate.is_some()),
            ("fault", !flags.fault.is_empty()),
            ("batch-size", flags.batch_size.is_some()),
        ];
        if let Some((key, _)) = refused.into_iter().find(|(_, written)| *written) {
            return Err(format!("`{key}` does not go with `replay`"));
        }
        let mut map = Vec::new();
        for pair in &keys.map {
            match pair.split_once('=') {
                Some((column, metric)) if !column.is_empty() && !metric.is_empty() => {
                    map.push((column.to_owned(), metric.to_owned()));
                }
                _ => return Err(format!("`{pair}` is not a map: write `COLUMN=METRIC`")),
            }
        }
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("replay");
        let device = flags
            .device
            .clone()
            .unwrap_or_else(|| stem.replace(['/', '+', '#'], "-"));
        Ok(Replay {
            path: PathBuf::from(path),
            columns: Columns {
                time: keys.time_column.clone(),
                device: keys.device_column.clone(),
                metrics: keys.metric_columns.clone(),
                map,
            },
            client_id: flags.client_id.clone().unwrap_or_else(|| device.clone()),
            device,
            zone: keys.time_zone.clone().unwrap_or_else(|| "UTC".into()),
            speed: keys.speed.as_deref().map_or(Ok(Some(1.0)), units::speed)?,
            shift_to_now: keys.shift_to_now,
            messages: flags.messages,
            duration,
            qos: flags.qos.unwrap_or(1),
            retain: flags.retain.unwrap_or(false),
            topic: Template::parse_topic(
                flags
                    .topic
                    .as_deref()
                    .unwrap_or("devices/{device}/telemetry"),
            )?,
            shape: flags.payload.unwrap_or_default(),
            time_unit: flags.time_unit.unwrap_or_default(),
            inflight: flags.inflight.unwrap_or(64).max(1),
        })
    };
    settle().map_err(Error::Settings)
}

fn template(key: &str, text: &str) -> Result<Template, String> {
    ensure(!text.is_empty(), || format!("`{key}` is empty"))?;
    Template::parse(text).map_err(|error| format!("`{key}`: {error}"))
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

#[cfg(test)]
mod tests;
