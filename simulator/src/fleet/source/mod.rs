//! The devices behind one connection, as a source of messages.
//!
//! Owns: taking turns, the arrays of the batch shape and of late batches. Never: sends anything.
//! Invariant: which messages a source yields depends on its settings and the seed, not on when it
//! is asked (except at the pace `max` on the wall clock).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::device::{Device, Fate, Model};
use super::fault::FaultCounters;
use super::schedule::{Pace, Schedule};
use super::settings::Fleet;
use crate::message::{self, Due, Filling, Message, PayloadShape, Source, TimeUnit};
use crate::message::{csv_field, write_line};

/// Samples a device holds back at most, and then sends early: a day offline must not become one
/// enormous message.
const HELD_BACK_MAX: usize = 1_000;
/// What a device's clock advances by at the pace `max` when the run has a fixed start time.
const VIRTUAL_INTERVAL: Duration = Duration::from_secs(1);

/// What the devices of one profile in one fleet share.
#[derive(Debug)]
pub(crate) struct Kind {
    model: Arc<Model>,
    shape: PayloadShape,
    unit: TimeUnit,
    /// Names of the metrics as CSV fields.
    fields: Vec<Vec<u8>>,
}

impl Kind {
    pub(crate) fn of_fleet(fleet: &Fleet) -> Vec<Arc<Self>> {
        let kinds = fleet.profiles.iter().map(|profile| {
            let step_us = fleet.time_unit.step_us();
            Arc::new(Self {
                shape: fleet.shape,
                unit: fleet.time_unit,
                fields: profile
                    .metrics
                    .iter()
                    .map(|metric| csv_field(&metric.name))
                    .collect(),
                model: Arc::new(Model::new(profile.clone(), &fleet.faults, step_us)),
            })
        });
        kinds.collect()
    }
}

struct Member {
    device: Device,
    kind: Arc<Kind>,
    number: usize,
    topic: Vec<u8>,
    field: Vec<u8>,
    /// Samples that a late batch holds back: time and values.
    held_back: VecDeque<(i64, Box<[f64]>)>,
}

/// The devices of one connection.
pub(crate) struct FleetSource {
    members: Vec<Member>,
    schedule: Schedule,
    pace: Pace,
    /// Samples a message carries.
    batch: usize,
    array: bool,
    slot: u64,
    start_us: i64,
    fixed_start_us: Option<i64>,
    wants_lines: bool,
    counters: Arc<FaultCounters>,
}

/// What a source needs to know about its place in the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) connection: usize,
    pub(crate) client_id: &'a str,
    pub(crate) user: &'a str,
    /// Devices of the fleets before this one.
    pub(crate) first_device: usize,
    pub(crate) seed: u64,
    pub(crate) fixed_start_us: Option<i64>,
    pub(crate) wants_lines: bool,
}

impl FleetSource {
    pub(crate) fn new(
        fleet: &Fleet,
        kinds: &[Arc<Kind>],
        place: Place<'_>,
        counters: Arc<FaultCounters>,
    ) -> Self {
        let Place {
            connection,
            first_device,
            ..
        } = place;
        let schedule = Schedule::new(
            fleet.pace,
            fleet.limit,
            fleet.devices,
            fleet.connections,
            connection,
        );
        let members = (connection..fleet.devices)
            .step_by(fleet.connections)
            .map(|index| {
                let kind = Arc::clone(&kinds[index % kinds.len()]);
                let number = first_device + index;
                let name = fleet.device_name(index);
                let topic = fleet.topic.fill(Filling {
                    device: &name,
                    index,
                    profile: &kind.model.profile.name,
                    client: place.client_id,
                    user: place.user,
                });
                Member {
                    device: Device::new(Arc::clone(&kind.model), place.seed, number),
                    kind,
                    number,
                    topic: topic.into_bytes(),
                    field: csv_field(&name),
                    held_back: VecDeque::new(),
                }
            })
            .collect();
        Self {
            members,
            schedule,
            pace: fleet.pace,
            batch: fleet.batch_size,
            array: fleet.shape == PayloadShape::Batch,
            slot: 0,
            start_us: 0,
            fixed_start_us: place.fixed_start_us,
            wants_lines: place.wants_lines,
            counters,
        }
    }
}

impl Source for FleetSource {
    fn start(&mut self, wall_us: i64) {
        self.start_us = self.fixed_start_us.unwrap_or(wall_us);
    }

    fn due(&mut self) -> Due {
        match self.schedule.slot(self.slot) {
            None => Due::Never,
            Some(slot) => slot.offset.map_or(Due::Now, Due::At),
        }
    }

    fn next(&mut self, elapsed: Duration, message: &mut Message) {
        let Some(slot) = self.schedule.slot(self.slot) else {
            return;
        };
        let last = self.schedule.is_last(self.slot);
        self.slot += 1;
        let (offset, spacing) = match (slot.offset, self.pace) {
            (Some(offset), Pace::Every(interval)) => (offset, interval / self.batch as u32),
            _ if self.fixed_start_us.is_some() => {
                let round = u32::try_from(slot.round).unwrap_or(u32::MAX);
                let offset = VIRTUAL_INTERVAL.saturating_mul(round);
                (offset, VIRTUAL_INTERVAL / self.batch as u32)
            }
            _ => (elapsed, Duration::ZERO),
        };
        let member = &mut self.members[slot.device];
        message.topic.extend_from_slice(&member.topic);
        message.device = member.number;
        let mut writer = Writer {
            message,
            array: self.array,
            lines: self.wants_lines,
        };
        let mut fate = Fate::default();
        for earlier in (0..self.batch as u32).rev() {
            let offset = offset.saturating_sub(spacing * earlier);
            let own = member.device.sample(offset, self.start_us);
            self.counters.count(own.begun);
            fate.dropped |= own.dropped;
            fate.duplicated |= own.duplicated;
            fate.held_back |= own.held_back;
            if own.held_back && !last {
                let values = member.device.values.clone().into_boxed_slice();
                member.held_back.push_back((member.device.time_us, values));
            } else {
                writer.write_held_back(member);
                writer.write(member, member.device.time_us, &member.device.values);
            }
        }
        if member.held_back.len() >= HELD_BACK_MAX {
            writer.write_held_back(member);
        }
        writer.finish();
        let silent = fate.dropped || message.samples == 0;
        message.copies = if silent {
            0
        } else {
            1 + u8::from(fate.duplicated)
        };
    }

    fn left(&self) -> Option<u64> {
        self.schedule
            .messages()
            .map(|messages| messages - self.slot.min(messages))
    }
}

/// Puts samples into a message.
struct Writer<'a> {
    message: &'a mut Message,
    array: bool,
    lines: bool,
}

impl Writer<'_> {
    fn write_held_back(&mut self, member: &mut Member) {
        if !member.held_back.is_empty() {
            self.array = true;
        }
        while let Some((time_us, values)) = member.held_back.pop_front() {
            self.write(member, time_us, &values);
        }
    }

    fn write(&mut self, member: &Member, time_us: i64, values: &[f64]) {
        let message = &mut *self.message;
        let Kind {
            model,
            shape,
            unit,
            fields,
        } = &*member.kind;
        let names = model
            .profile
            .metrics
            .iter()
            .map(|metric| metric.name.as_str());
        message
            .payload
            .push(if message.samples == 0 { b'[' } else { b',' });
        let named = names.zip(values.iter().copied());
        message::write(&mut message.payload, *shape, *unit, time_us, named);
        if self.lines {
            for (field, value) in fields.iter().zip(values) {
                write_line(&mut message.lines, &member.field, field, time_us, *value);
            }
        }
        message.samples += values.len() as u32;
        message.time_us = time_us;
    }

    /// Closes the array, or takes its opening bracket away when the message is a single object.
    fn finish(&mut self) {
        let payload = &mut self.message.payload;
        if self.array {
            payload.push(b']');
        } else if !payload.is_empty() {
            payload.remove(0);
        }
    }
}

#[cfg(test)]
mod tests;
