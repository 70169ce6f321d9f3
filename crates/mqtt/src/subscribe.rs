//! SUBSCRIBE (section 3.8) and UNSUBSCRIBE (section 3.10).
//!
//! Owns: their options. Never: judges a filter's wildcards: an MQTT 5 client is told in SUBACK
//! which one was bad, so that is for `topic` and the gate. Invariant: an iterator yields as many
//! filters as were counted.

use super::error::DecodeError;
use super::property::{self, Place, UserProperties, Value, id};
use super::reader::Reader;
use super::types::{Qos, Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    pub packet_id: u16,
    /// From 1 to 268,435,455; holds for all filters of the packet.
    pub subscription_id: Option<u32>,
    pub user_properties: UserProperties<'a>,
    /// At least one.
    pub subscriptions: Subscriptions<'a>,
}

/// One filter with what is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// UTF-8 without U+0000; whether it is a filter is still to be checked.
    pub filter: &'a str,
    pub qos: Qos,
    /// The client's own publishes are not sent back to it. False in 3.1.1.
    pub no_local: bool,
    /// RETAIN stays as the publisher set it. False in 3.1.1.
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

/// Whether a new subscription gets the retained messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RetainHandling {
    #[default]
    Send,
    /// Not when the session had this subscription already.
    SendIfNew,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    pub packet_id: u16,
    pub user_properties: UserProperties<'a>,
    /// At least one.
    pub filters: Filters<'a>,
}

/// The filters of a SUBSCRIBE, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions<'a> {
    version: Version,
    payload: &'a [u8],
    count: usize,
}

/// The filters of an UNSUBSCRIBE, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters<'a> {
    payload: &'a [u8],
    count: usize,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(version: Version, body: &'a [u8]) -> Result<Subscribe<'a>, DecodeError> {
        let mut reader = Reader::new("SUBSCRIBE", body);
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        let mut user_properties = UserProperties::default();
        if version == Version::V5 {
            let block = property::read(&mut reader, Place::SUBSCRIBE, |identifier, value| {
                if let (id::SUBSCRIPTION_ID, Value::Number(number)) = (identifier, value) {
                    subscription_id = Some(number);
                }
            })?;
            user_properties = UserProperties::of(block);
        }
        let payload = reader.rest();
        let mut count = 0;
        while !reader.is_empty() {
            read_subscription(version, &mut reader)?;
            count += 1;
        }
        // [MQTT-3.8.3-2]
        if count == 0 {
            return Err(reader.protocol_error("payload", "holds no filter"));
        }
        Ok(Subscribe {
            packet_id,
            subscription_id,
            user_properties,
            subscriptions: Subscriptions {
                version,
                payload,
                count,
            },
        })
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(version: Version, body: &'a [u8]) -> Result<Unsubscribe<'a>, DecodeError> {
        let mut reader = Reader::new("UNSUBSCRIBE", body);
        let packet_id = reader.packet_id()?;
        let mut user_properties = UserProperties::default();
        if version == Version::V5 {
            let block = property::read(&mut reader, Place::UNSUBSCRIBE, |_, _| ())?;
            user_properties = UserProperties::of(block);
        }
        let payload = reader.rest();
        let mut count = 0;
        while !reader.is_empty() {
            reader.string("filter")?;
            count += 1;
        }
        // [MQTT-3.10.3-2]
        if count == 0 {
            return Err(reader.protocol_error("payload", "holds no filter"));
        }
        Ok(Unsubscribe {
            packet_id,
            user_properties,
            filters: Filters { payload, count },
        })
    }
}

impl<'a> Subscriptions<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never true of a decoded packet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let version = self.version;
        let mut reader = Reader::new("SUBSCRIBE", self.payload);
        // The end is the only error left: every entry has been read once.
        std::iter::from_fn(move || read_subscription(version, &mut reader).ok())
    }
}

impl<'a> Filters<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    /// Never true of a decoded packet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new("UNSUBSCRIBE", self.payload);
        std::iter::from_fn(move || reader.string("filter").ok())
    }
}

fn read_subscription<'a>(
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<Subscription<'a>, DecodeError> {
    let filter = reader.string("filter")?;
    let options = reader.u8("subscription options")?;
    let reserved = match version {
        // 3.1.1: [MQTT-3.8.3-4]
        Version::V311 => 0xFC,
        // [MQTT-3.8.3-5]
        Version::V5 => 0xC0,
    };
    if options & reserved != 0 {
        return Err(reader.malformed("subscription options", "have a reserved bit set"));
    }
    let Some(qos) = Qos::from_u8(options & 0x03) else {
        return Err(reader.protocol_error("subscription qos", "is the reserved `3`"));
    };
    let no_local = options & 0x04 != 0;
    // [MQTT-3.8.3-4]
    if no_local && filter.starts_with("$share/") {
        return Err(reader.protocol_error("no local", "is set on a shared subscription"));
    }
    let retain_handling = match (options >> 4) & 0x03 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::Never,
        _ => return Err(reader.protocol_error("retain handling", "is the reserved `3`")),
    };
    Ok(Subscription {
        filter,
        qos,
        no_local,
        retain_as_published: options & 0x08 != 0,
        retain_handling,
    })
}
