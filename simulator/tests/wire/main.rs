//! Whole runs over sockets: against mosquitto, and against servers that misbehave.

mod mosquitto;
mod support;
mod unruly_server;
