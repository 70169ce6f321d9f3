//! Scripts that show the same in both versions; their tables name them.
//!
//! A property block in braces is sent and expected in MQTT 5 only, so one script speaks both.

pub(crate) mod connect;
pub(crate) mod delivery;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod websocket;
