//! One fleet, resolved and checked.
//!
//! Owns: the settings of a fleet, and the names of its devices and clients. Never: reads a file or
//! a flag. Invariant: settings that exist can be run.

use std::time::Duration;

use super::fault::Fault;
use super::profile::Profile;
use super::schedule::{Limit, Pace};
use crate::message::{Filling, PayloadShape, Template, TimeUnit};

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
