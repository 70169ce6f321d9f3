//! Millrace as its users run it: real processes, real databases, real MQTT clients, and the end of
//! each of them.

mod absent;
mod acl;
mod auth;
mod bridge;
mod clients;
mod console;
mod damage;
mod devices;
mod documents;
mod durability;
mod folder;
mod full_disk;
mod hazards;
mod losses;
mod outage;
mod reload;
mod replay;
mod server;
mod sessions;
mod sqlite;
mod topics;
