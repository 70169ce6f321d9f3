//! Every normative statement of MQTT 5.0, by the sections of its text.

mod acknowledge;
mod connect;
mod connect_flags;
mod delivery;
mod format;
mod operation;
mod publish;
mod publish_properties;
mod session;
mod subscribe;
mod transport;

use crate::table::Section;

pub(crate) use acknowledge::ACKNOWLEDGE;
pub(crate) use connect::CONNECT;
pub(crate) use connect_flags::CONNECT_FLAGS;
pub(crate) use delivery::DELIVERY;
pub(crate) use format::FORMAT;
pub(crate) use operation::OPERATION;
pub(crate) use publish::PUBLISH;
pub(crate) use publish_properties::PUBLISH_PROPERTIES;
pub(crate) use session::SESSION;
pub(crate) use subscribe::SUBSCRIBE;
pub(crate) use transport::TRANSPORT;

pub(crate) const ALL: &[&Section] = &[
    &FORMAT,
    &CONNECT_FLAGS,
    &CONNECT,
    &SESSION,
    &PUBLISH,
    &PUBLISH_PROPERTIES,
    &ACKNOWLEDGE,
    &SUBSCRIBE,
    &DELIVERY,
    &OPERATION,
    &TRANSPORT,
];
