//! Topic templates with named parts: `devices/{device}/telemetry`, `{site}/{line}/{device}/data`.
