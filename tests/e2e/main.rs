//! Millrace as its users run it: real processes, real databases, real MQTT clients, and the end of each of them.

mod clients;
mod console;
mod durability;
mod hazards;
mod outage;
mod replay;
mod server;
