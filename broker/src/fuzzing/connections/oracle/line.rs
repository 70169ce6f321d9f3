//! One connection as both sides' bytes show it.
//!
//! Owns: what was read and written and is no whole packet yet, and what the broker still has to
//! answer. Never: judges.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::messages::Key;
use mqtt::{Connect, Qos, Version};

/// What one line shows.
#[derive(Default)]
pub(super) struct Line {
    pub(super) from_client: Vec<u8>,
    pub(super) from_broker: Vec<u8>,
    pub(super) stage: Stage,
}

#[derive(Default)]
pub(super) enum Stage {
    /// No whole CONNECT yet.
    #[default]
    Silent,
    /// CONNECT was read. `None`: it is none that anybody can get in with.
    Asked(Option<Asked>),
    Connected(Box<Connected>),
    /// Nothing more may be written.
    Over,
}

/// What a CONNECT said.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) clean_start: bool,
    /// Whom its credentials make it, if they are good.
    pub(super) user: String,
    pub(super) session_expiry: u32,
    pub(super) receive_maximum: u16,
    pub(super) maximum_packet_size: Option<u32>,
    /// The script's clock when it was read: CONNACK may wait for a thread that is held.
    pub(super) at: u32,
}

pub(super) struct Connected {
    pub(super) asked: Asked,
    /// The number of its session.
    pub(super) session: u32,
    /// What comes from the client counts no more: it said goodbye, or what is no MQTT.
    pub(super) is_deaf: bool,
    /// DISCONNECT was written.
    pub(super) is_dismissed: bool,
    /// In the order in which they must come.
    pub(super) answers: VecDeque<Answer>,
    pub(super) subacks: VecDeque<(u16, Vec<Request>)>,
    pub(super) unsubacks: VecDeque<(u16, Vec<String>)>,
    pub(super) pings: usize,
    pub(super) aliases: HashMap<u16, String>,
    /// Packet ids of publishes sent on this connection and not acknowledged.
    pub(super) sent: BTreeSet<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

/// An acknowledgement that the broker owes.
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) packet_id: u16,
    /// Of a publish.
    pub(super) publish: Option<Published>,
}

pub(super) struct Published {
    pub(super) key: Key,
    pub(super) step: u32,
    /// It may be one that was received before, and then nobody gets it now.
    pub(super) may_be_again: bool,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) identifier: Option<u32>,
    pub(super) step: u32,
}

impl Asked {
    pub(super) fn of(connect: &Connect<'_>, at: u32) -> Asked {
        Asked {
            version: connect.version,
            client_id: connect.client_id.to_owned(),
            clean_start: connect.clean_start,
            user: match connect.password {
                Some(_) => connect.user.unwrap_or(connect.client_id).to_owned(),
                None => String::new(),
            },
            session_expiry: match connect.version {
                Version::V5 => connect.properties.session_expiry,
                Version::V311 if connect.clean_start => 0,
                Version::V311 => u32::MAX,
            },
            receive_maximum: connect.properties.receive_maximum,
            maximum_packet_size: connect.properties.maximum_packet_size,
            at,
        }
    }
}

impl Connected {
    pub(super) fn new(asked: Asked, session: u32) -> Connected {
        Connected {
            asked,
            session,
            is_deaf: false,
            is_dismissed: false,
            answers: VecDeque::new(),
            subacks: VecDeque::new(),
            unsubacks: VecDeque::new(),
            pings: 0,
            aliases: HashMap::new(),
            sent: BTreeSet::new(),
        }
    }

    pub(super) fn owes(&mut self, kind: Kind, packet_id: u16) {
        self.answers.push_back(Answer {
            kind,
            packet_id,
            publish: None,
        });
    }
}
