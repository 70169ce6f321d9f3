//! The lines of the `--expect` file.
//!
//! Owns: the form of a line. Never: writes a file. Invariant: a line is CSV (RFC 4180) with the
//! fields `device,metric,time_us,value`.

use std::io::Write as _;

/// Appends one line of the `--expect` file: `device,metric,time_us,value`.
pub(crate) fn write_line(
    out: &mut Vec<u8>,
    device: &[u8],
    metric: &[u8],
    time_us: i64,
    value: f64,
) {
    out.extend_from_slice(device);
    out.push(b',');
    out.extend_from_slice(metric);
    // A Vec takes all bytes.
    let _ = write!(out, ",{time_us},");
    let _ = serde_json::to_writer(&mut *out, &value);
    out.push(b'\n');
}

/// A name as a field of a CSV line (RFC 4180): quoted only when it must be.
pub(crate) fn csv_field(name: &str) -> Vec<u8> {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\"")).into_bytes()
    } else {
        name.as_bytes().to_vec()
    }
}
