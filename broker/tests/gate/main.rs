//! The gate over real sockets: what clients do to it, and what it must not let them do to others.

mod absent;
mod abuse;
mod access;
mod auth;
mod basics;
mod bridge;
mod devices;
mod limits;
mod listeners;
mod oldest;
mod presence;
mod running;
mod sessions;
mod shared;
mod slow;
mod system;
mod takeover;
mod untaken;

use mqtt::Version;
use running::Running;

const BOTH: [Version; 2] = [Version::V311, Version::V5];
