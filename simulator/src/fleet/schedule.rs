//! When messages are meant to be sent.
//!
//! Owns: the intended moment of every message of one connection. Never: looks at a clock.
//! Invariant: intended moments depend on the schedule alone, not on how the server does, so that a
//! slow server cannot hide the messages it delayed (coordinated omission).

use std::time::Duration;

/// How often a device sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A message each interval, whatever the server does: an open loop.
    Every(Duration),
    /// As fast as acknowledgements come back: a closed loop.
    Max,
}

impl Pace {
    /// The pace of each of `devices` devices that together send `rate` messages a second; 0 is as
    /// fast as possible.
    pub(crate) fn of_rate(rate: f64, devices: usize) -> Self {
        if rate <= 0.0 {
            return Self::Max;
        }
        Self::every(Duration::try_from_secs_f64(devices as f64 / rate).unwrap_or(Duration::MAX))
    }

    pub(crate) fn every(interval: Duration) -> Self {
        if interval.is_zero() {
            Self::Max
        } else {
            Self::Every(interval)
        }
    }
}

/// How much a fleet sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// Messages that are intended before this offset.
    pub duration: Option<Duration>,
    /// Messages of the whole fleet.
    pub messages: Option<u64>,
}

/// The messages of one connection in order: its devices take turns.
///
/// The devices of a fleet are spread evenly over the interval, and device `d` belongs to connection
/// `d % connections`.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pace: Pace,
    fleet_devices: u64,
    connections: u64,
    connection: u64,
    /// Devices of this connection.
    devices: u64,
    /// Messages this connection sends in all; `None`: until it is stopped.
    messages: Option<u64>,
}

/// One message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Which of the connection's devices.
    pub(crate) device: usize,
    /// Which message of that device, from 0.
    pub(crate) round: u64,
    /// The intended moment since the start; `None`: as soon as there is room.
    pub(crate) offset: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(
        pace: Pace,
        limit: Limit,
        fleet_devices: usize,
        connections: usize,
        connection: usize,
    ) -> Self {
        let (fleet_devices, connections, connection) =
            (fleet_devices as u64, connections as u64, connection as u64);
        let mut schedule = Self {
            pace,
            fleet_devices,
            connections,
            connection,
            devices: (fleet_devices - connection).div_ceil(connections),
            messages: None,
        };
        schedule.messages = schedule.count(limit);
        schedule
    }

    /// Messages this connection sends in all, when that is known.
    pub(crate) fn messages(&self) -> Option<u64> {
        self.messages
    }

    pub(crate) fn slot(&self, number: u64) -> Option<Slot> {
        if self.messages.is_some_and(|messages| number >= messages) {
            return None;
        }
        let (round, device) = (number / self.devices, number % self.devices);
        let offset = match self.pace {
            Pace::Max => None,
            Pace::Every(interval) => Some(self.phase(device, interval) + times(interval, round)),
        };
        Some(Slot {
            device: device as usize,
            round,
            offset,
        })
    }

    /// Whether the device of this slot sends nothing after it.
    pub(crate) fn is_last(&self, number: u64) -> bool {
        self.messages
            .is_some_and(|messages| number + self.devices >= messages)
    }

    /// Where in the interval a device of this connection stands.
    fn phase(&self, device: u64, interval: Duration) -> Duration {
        let device = self.connection + device * self.connections;
        let nanos = interval.as_nanos() * u128::from(device) / u128::from(self.fleet_devices);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn count(&self, limit: Limit) -> Option<u64> {
        let by_messages = limit.messages.map(|messages| {
            self.sum(|device| messages.saturating_sub(device).div_ceil(self.fleet_devices))
        });
        let by_duration = match (limit.duration, self.pace) {
            (Some(duration), Pace::Every(interval)) => {
                let own = (0..self.devices).map(|device| {
                    let left = duration
                        .saturating_sub(self.phase(device, interval))
                        .as_nanos();
                    u64::try_from(left.div_ceil(interval.as_nanos())).unwrap_or(u64::MAX)
                });
                Some(own.fold(0, u64::saturating_add))
            }
            _ => None,
        };
        match (by_messages, by_duration) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Sums over the fleet-wide numbers of this connection's devices.
    fn sum(&self, of: impl Fn(u64) -> u64) -> u64 {
        (0..self.devices)
            .map(|device| of(self.connection + device * self.connections))
            .sum()
    }
}

fn times(interval: Duration, count: u64) -> Duration {
    let nanos = interval.as_nanos() * u128::from(count);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn offsets_ms(schedule: &Schedule) -> Vec<(usize, u64)> {
        (0..)
            .map_while(|number| schedule.slot(number))
            .map(|slot| (slot.device, slot.offset.unwrap().as_millis() as u64))
            .collect()
    }

    #[test]
    fn devices_take_turns_and_are_spread_over_the_interval() {
        let limit = Limit {
            duration: Some(Duration::from_secs(2)),
            messages: None,
        };
        let first = Schedule::new(Pace::Every(SECOND), limit, 4, 2, 0);
        assert_eq!(offsets_ms(&first), [(0, 0), (1, 500), (0, 1000), (1, 1500)]);
        let second = Schedule::new(Pace::Every(SECOND), limit, 4, 2, 1);
        assert_eq!(
            offsets_ms(&second),
            [(0, 250), (1, 750), (0, 1250), (1, 1750)]
        );
    }

    #[test]
    fn a_rate_is_shared_by_the_devices() {
        assert_eq!(
            Pace::of_rate(2_000.0, 100),
            Pace::Every(Duration::from_millis(50))
        );
        assert_eq!(Pace::of_rate(0.0, 100), Pace::Max);
        let limit = Limit {
            duration: Some(SECOND),
            messages: None,
        };
        let total: u64 = (0..7)
            .map(|connection| {
                Schedule::new(Pace::of_rate(1_000.0, 20), limit, 20, 7, connection)
                    .messages()
                    .unwrap()
            })
            .sum();
        assert_eq!(total, 1_000);
    }

    #[test]
    fn messages_of_a_fleet_are_shared_out_exactly() {
        for (messages, devices, connections) in [(1, 10, 3), (10, 10, 10), (107, 10, 4), (5, 1, 1)]
        {
            let limit = Limit {
                duration: None,
                messages: Some(messages),
            };
            for pace in [Pace::Every(SECOND), Pace::Max] {
                let total: u64 = (0..connections)
                    .map(|connection| {
                        let schedule = Schedule::new(pace, limit, devices, connections, connection);
                        let count = schedule.messages().unwrap();
                        assert_eq!((0..).map_while(|n| schedule.slot(n)).count() as u64, count);
                        count
                    })
                    .sum();
                assert_eq!(total, messages);
            }
        }
    }

    #[test]
    fn the_last_message_of_each_device_is_known() {
        let limit = Limit {
            duration: None,
            messages: Some(5),
        };
        let schedule = Schedule::new(Pace::Every(SECOND), limit, 2, 1, 0);
        let last: Vec<bool> = (0..5).map(|number| schedule.is_last(number)).collect();
        assert_eq!(last, [false, false, false, true, true]);
    }

    #[test]
    fn without_a_limit_it_never_ends() {
        let schedule = Schedule::new(Pace::Max, Limit::default(), 3, 2, 1);
        assert_eq!(schedule.messages(), None);
        assert_eq!(
            schedule.slot(1_000_000),
            Some(Slot {
                device: 0,
                round: 1_000_000,
                offset: None
            })
        );
    }
}
