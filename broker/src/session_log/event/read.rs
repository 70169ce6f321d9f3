//! From bytes to an event.
//!
//! Owns: what is refused. Never: believes a length that is longer than what is there.

use std::num::NonZeroU32;

use journal::{Position, Record};
use uuid::Uuid;

use super::super::bytes::{Input, qos};
use super::{
    ATTACHED_NOW, DecodeError, Event, FORMAT, FORMAT_WITH_MORE, NO_LOCAL, RETAIN_AS_PUBLISHED, kind,
};
use crate::delivery::Options;
use crate::exchange::Origin;

/// Reads the event and shows it to `visit`.
pub(in crate::session_log) fn decode<T>(
    record: &Record<'_>,
    visit: impl FnOnce(&Event<'_>) -> T,
) -> Result<T, DecodeError> {
    let mut input = Input(record.payload);
    let format = input.u8()?;
    let has_more = match format {
        FORMAT => false,
        FORMAT_WITH_MORE => true,
        unknown => return Err(DecodeError::Format(unknown)),
    };
    let (delivery, message, identity);
    let event = match input.u8()? {
        kind::CREATED => {
            let (expiry_seconds, held_through) = (input.u32()?, Position(input.u64()?));
            identity = input.identity(record, has_more)?;
            Event::Created {
                identity: &identity,
                expiry_seconds,
                held_through,
            }
        }
        kind::ATTACHED => {
            identity = input.identity(record, has_more)?;
            Event::Attached {
                identity: &identity,
            }
        }
        kind::RESTORED => {
            let (expiry_seconds, held_through) = (input.u32()?, Position(input.u64()?));
            let disconnected_at = match input.u64()? as i64 {
                ATTACHED_NOW => None,
                at => Some(at),
            };
            let last_packet_id = input.u16()?;
            identity = input.identity(record, has_more)?;
            Event::Restored {
                identity: &identity,
                expiry_seconds,
                held_through,
                disconnected_at,
                last_packet_id,
            }
        }
        kind::QUEUED if has_more => {
            delivery = input.shared_delivery(record)?;
            Event::Queued(&delivery)
        }
        kind::COPIED => {
            let origin = Origin::read(ordinal(&mut input)?);
            delivery = input.delivery_of(record, origin, has_more)?;
            Event::Queued(&delivery)
        }
        kind::HELD => Event::Held {
            packet_id: input.u16()?,
            telemetry: input.u64()?.checked_sub(1).map(Position),
            ordinal: if has_more { ordinal(&mut input)? } else { 0 },
        },
        _ if has_more => return Err(DecodeError::Malformed),
        kind::DETACHED => Event::Detached {
            at: input.u64()? as i64,
            expiry_seconds: input.u32()?,
        },
        kind::ENDED => Event::Ended,
        kind::SUBSCRIBED => {
            let flags = input.u8()?;
            Event::Subscribed {
                filter: record.topic,
                options: Options {
                    qos: qos(flags)?,
                    no_local: flags & NO_LOCAL != 0,
                    retain_as_published: flags & RETAIN_AS_PUBLISHED != 0,
                    identifier: NonZeroU32::new(input.u32()?),
                },
            }
        }
        kind::UNSUBSCRIBED => Event::Unsubscribed {
            filter: record.topic,
        },
        kind::QUEUED => {
            delivery = input.delivery(record)?;
            Event::Queued(&delivery)
        }
        kind::TAKEN => {
            delivery = input.delivery(record)?;
            Event::Taken {
                packet_id: input.u16()?,
                delivery: &delivery,
            }
        }
        kind::SNAPSHOT_BEGUN => Event::SnapshotBegun {
            filter: record.topic,
        },
        kind::SNAPSHOT_SENT => Event::SnapshotSent {
            filter: record.topic,
        },
        kind::DROPPED => Event::Dropped {
            index: input.u32()? as usize,
        },
        kind::SENT => Event::Sent {
            packet_id: input.u16()?,
        },
        kind::RECEIVED => Event::Received {
            packet_id: input.u16()?,
        },
        kind::ACKNOWLEDGED => Event::Acknowledged {
            packet_id: input.u16()?,
        },
        kind::DISTRIBUTED => Event::Distributed {
            packet_id: input.u16()?,
            ordinal: input.u64()?,
        },
        kind::JOURNALLED => Event::Journalled {
            packet_id: input.u16()?,
        },
        kind::NUMBERED => Event::Numbered {
            number: input.u64()?,
            completed_through: input.u64()?,
        },
        kind::RELEASED => Event::Released {
            packet_id: input.u16()?,
        },
        kind::WILL_ARMED => {
            message = input.message(record)?;
            Event::WillArmed {
                message: &message,
                delay_seconds: input.u32()?,
                content_type: record.content_type,
            }
        }
        kind::WILL_CLEARED => Event::WillCleared,
        kind::CHECKPOINT => Event::Checkpoint {
            journal: Uuid::from_bytes(input.array()?),
            position: Position(input.u64()?),
        },
        kind::RELEASING => Event::Releasing {
            packet_id: input.u16()?,
        },
        kind::IN_FLIGHT => Event::InFlight {
            packet_id: input.u16()?,
        },
        unknown => return Err(DecodeError::Kind(unknown)),
    };
    if !input.is_empty() {
        return Err(DecodeError::Malformed);
    }
    Ok(visit(&event))
}

/// One that is there is not 0.
fn ordinal(input: &mut Input<'_>) -> Result<u64, DecodeError> {
    match input.u64()? {
        0 => Err(DecodeError::Malformed),
        ordinal => Ok(ordinal),
    }
}
