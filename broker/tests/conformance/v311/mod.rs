//! Every normative statement of MQTT 3.1.1, by the sections of its text.

mod connect;
mod format;
mod operation;
mod publish;
mod subscribe;
mod transport;

use crate::table::Section;

pub(crate) use connect::CONNECT;
pub(crate) use format::FORMAT;
pub(crate) use operation::OPERATION;
pub(crate) use publish::PUBLISH;
pub(crate) use subscribe::SUBSCRIBE;
pub(crate) use transport::TRANSPORT;

pub(crate) const ALL: &[&Section] = &[
    &FORMAT, &CONNECT, &PUBLISH, &SUBSCRIBE, &OPERATION, &TRANSPORT,
];
