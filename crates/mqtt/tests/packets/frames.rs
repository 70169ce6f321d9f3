//! The fixed header, section 2.1.

use mqtt::{Frame, Problem, ReasonCode, frame};

const INCOMPLETE: Frame = Frame::Incomplete { needed: None };

#[test]
fn a_packet_is_found_as_soon_as_it_is_whole() {
    let cases: [(&[u8], Frame); 11] = [
        (b"", INCOMPLETE),
        (b"\xC0", INCOMPLETE),
        (b"\xC0\x00", complete(0xC0, 2, 2)),
        (b"\xC0\x00\xC0", complete(0xC0, 2, 2)),
        (b"\x40\x02", needs(4)),
        (b"\x40\x02\x00", needs(4)),
        (b"\x40\x02\x00\x01", complete(0x40, 2, 4)),
        (b"\x40\x02\x00\x01\xE0\x00", complete(0x40, 2, 4)),
        (b"\x30\x80", INCOMPLETE),
        (b"\x30\x80\x01", needs(131)),
        (b"\x30\xFF\xFF\xFF\x7F", needs(268_435_460)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(frame(bytes, usize::MAX), Ok(expected), "{bytes:02x?}");
    }
}

#[test]
fn the_remaining_length_takes_one_to_four_bytes() {
    // Table 2-4 of 3.1.1: the first and last value of each size.
    let cases: [(&[u8], usize); 8] = [
        (b"\x00", 0),
        (b"\x7F", 127),
        (b"\x80\x01", 128),
        (b"\xFF\x7F", 16_383),
        (b"\x80\x80\x01", 16_384),
        (b"\xFF\xFF\x7F", 2_097_151),
        (b"\x80\x80\x80\x01", 2_097_152),
        (b"\xFF\xFF\xFF\x7F", 268_435_455),
    ];
    for (length_bytes, length) in cases {
        let mut bytes = vec![0x30];
        bytes.extend_from_slice(length_bytes);
        let total = bytes.len() + length;
        if length > 0 {
            assert_eq!(frame(&bytes, usize::MAX), Ok(needs(total)));
        }
        let too_large = frame(&bytes, total - 1).unwrap_err();
        assert_eq!(too_large.reason, ReasonCode::PacketTooLarge);
        // Memory for the largest is not taken: one of each size up to 2 MB is enough to see the
        // range.
        if length <= 2_097_152 {
            let start = bytes.len();
            bytes.resize(total, 0);
            assert_eq!(frame(&bytes, total), Ok(complete(0x30, start, total)));
        }
    }
    // Five bytes: malformed, section 1.5.5.
    let error = frame(b"\x30\x80\x80\x80\x80\x01", usize::MAX).unwrap_err();
    assert_eq!(error.reason, ReasonCode::MalformedPacket);
    assert_eq!(
        error.to_string(),
        "PUBLISH: remaining length takes more than four bytes"
    );
    assert_eq!(
        frame(b"\x30\x80\x80\x80\x80", usize::MAX),
        Err(error),
        "known without a fifth"
    );
    // More bytes than needed: 3.1.1 does not forbid it.
    assert_eq!(frame(b"\xC0\x80\x00", usize::MAX), Ok(complete(0xC0, 3, 3)));
}

#[test]
fn a_packet_that_is_too_large_is_refused_by_its_header() {
    // [MQTT-3.2.2-15] lets a server name the limit; 0x95 says that it was passed.
    let error = frame(b"\x30\xE8\x07", 1000).unwrap_err();
    assert_eq!(error.reason, ReasonCode::PacketTooLarge);
    let problem = Problem::TooLarge {
        bytes: 1003,
        bytes_max: 1000,
    };
    assert_eq!(error.problem, problem);
    assert_eq!(
        error.to_string(),
        "PUBLISH: packet has `1003` bytes, more than the `1000` allowed"
    );
    assert_eq!(frame(b"\x30\xE8\x07", 1003), Ok(needs(1003)));
}

#[test]
fn flags_are_refused_by_the_first_byte() {
    // Table 2-2: the flags each packet type must have, [MQTT-2.1.3-1].
    let fixed = [
        0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0,
    ];
    for first_byte in 0..=u8::MAX {
        let expected = match first_byte {
            // QoS 3: [MQTT-3.3.1-4]. DUP at QoS 0: [MQTT-3.3.1-2].
            0x30..=0x3F => first_byte & 0x06 != 0x06 && first_byte & 0x0E != 0x08,
            _ => fixed.contains(&first_byte),
        };
        let found = frame(&[first_byte], usize::MAX);
        if expected {
            assert_eq!(found, Ok(INCOMPLETE), "{first_byte:02x}")
        } else {
            let error = found.unwrap_err();
            assert_eq!(
                error.reason,
                ReasonCode::MalformedPacket,
                "{first_byte:02x}"
            );
            assert_eq!(error.field, "header flags");
        }
    }
    // Another protocol is noticed at once.
    for hello in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-x",
    ] {
        assert!(frame(hello, usize::MAX).is_err(), "{hello:02x?}");
    }
}

fn needs(length: usize) -> Frame {
    Frame::Incomplete {
        needed: Some(length),
    }
}

fn complete(first_byte: u8, start: usize, length: usize) -> Frame {
    Frame::Complete {
        first_byte,
        body: start..length,
        length,
    }
}
