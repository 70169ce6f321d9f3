//! Payload bytes to entries.
