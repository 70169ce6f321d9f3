//! Packets of every kind, broken in every simple way.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;

use mqtt::client::Connect;
use mqtt::{Frame, Version, frame};
use testkit::mqtt::Client;

use crate::{BOTH, Running};

/// The samples of the codec's own tests.
fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mqtt/tests/packets/corpus");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    samples.sort();
    samples
}

/// The sample with one thing wrong: cut at each byte and said to be whole, a byte changed, each
/// other packet type and flags, a length that lies.
fn mutants(sample: &[u8]) -> Vec<Vec<u8>> {
    let mut mutants = vec![sample.to_vec()];
    let with = |at: usize, byte: u8| {
        let mut mutant = sample.to_vec();
        mutant[at] = byte;
        mutant
    };
    for (at, byte) in sample.iter().enumerate().take(BYTES_CHANGED_MAX) {
        mutants.extend([with(at, 0x00), with(at, 0xFF), with(at, byte ^ 0x80)]);
    }
    mutants.extend((0..=15).map(|high| with(0, high << 4 | sample[0] & 0x0F)));
    mutants.extend((0..=15).map(|low| with(0, sample[0] & 0xF0 | low)));
    if let Ok(Frame::Complete { body, .. }) = frame(sample, usize::MAX) {
        // Up to 127 bytes the length is one byte, and a cut packet can say that it is whole.
        for length in 0..body.len().min(127) {
            let mut mutant = vec![sample[0], length as u8];
            mutant.extend_from_slice(&sample[body.start..body.start + length]);
            mutants.push(mutant);
        }
    }
    mutants
}

/// Beyond, a sample's bytes are payload.
const BYTES_CHANGED_MAX: usize = 48;

#[test]
fn a_broken_packet_harms_nobody_else() {
    let server = Running::start();
    let mut neighbour = server.connect(Version::V5, "neighbour");
    neighbour.subscribe("neighbour");
    for (name, sample) in samples() {
        for mutant in mutants(&sample) {
            for version in BOTH {
                let mut line = Client::open(server.address, version);
                line.send_connect(&Connect::new(version, ""));
                send_and_end(&mut line, &mutant);
            }
            let mut first = Client::open(server.address, Version::V5);
            send_and_end(&mut first, &mutant);
        }
        neighbour.publish("neighbour", name.as_bytes(), 0, false);
        assert_eq!(neighbour.next(), format!("neighbour = {name}"));
    }
    server.serves_a_fresh_client();
    server.is_empty_but_for(1);
}

/// Sends it and nothing more, and waits until the broker has closed the connection: it has seen all
/// of it then.
fn send_and_end(line: &mut Client, bytes: &[u8]) {
    // The broker may have closed already: that is an answer too.
    let _ = line.stream.write_all(bytes);
    let _ = line.stream.shutdown(Shutdown::Write);
    let mut rest = Vec::new();
    match line.stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed: {error}; sent {bytes:x?}"),
    }
}
