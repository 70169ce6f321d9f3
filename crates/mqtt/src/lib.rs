//! MQTT 3.1.1 and 5.0 on the wire: bytes to packets and back.
//!
//! Owns: every normative rule that can be decided from one packet alone. Never: knows a session
//! (whether an alias is known, a packet id in use, a client id acceptable is the broker's to
//! decide), allocates while it decodes. Invariant: what `decode` returns is well formed in every
//! byte, so nobody looks twice.
//!
//! Statement numbers such as `[MQTT-3.3.2-2]` are those of MQTT 5.0 (OASIS, 2019) unless a comment
//! says 3.1.1.

mod ack;
pub mod client;
mod connect;
mod decode;
pub mod encode;
mod error;
mod frame;
mod property;
mod publish;
mod reader;
mod reason;
mod subscribe;
pub mod topic;
mod types;

pub use ack::{Ack, Auth, Disconnect};
pub use connect::{Connect, ConnectError, ConnectProperties, Will};
pub use decode::Packet;
pub use error::{DecodeError, Problem};
pub use frame::frame_v31;
pub use frame::{Frame, frame};
pub use property::UserProperties;
pub use publish::{Forwardable, Publish, PublishProperties};
pub use reason::ReasonCode;
pub use subscribe::{Filters, RetainHandling, Subscribe, Subscription, Subscriptions, Unsubscribe};
pub use types::{Qos, Version};
