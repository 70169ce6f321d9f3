//! Frames, taken apart byte by byte where they lie: RFC 6455, section 5.
//!
//! Owns: the state between two reads. Never: holds payload, but for an unfinished control frame,
//! which has 125 bytes at most. Invariant: payload that is handed on came in binary frames from a
//! client that masks them.

/// The largest frame that is taken: MQTT's largest packet. A frame may hold many packets
/// [MQTT-6.0.0-2] and is never gathered, so this is a bound of plausibility; what a packet may have
/// is the gate's to judge.
pub(super) const FRAME_BYTES_MAX: u64 = 268_435_460;
/// Section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;
/// Two bytes, a length of 64 bits, a mask.
const HEADER_BYTES_MAX: usize = 14;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;

/// Why a connection is closed: section 7.4.1.
pub(super) mod status {
    pub(in crate::websocket) const NORMAL: u16 = 1000;
    pub(in crate::websocket) const PROTOCOL_ERROR: u16 = 1002;
    pub(in crate::websocket) const UNSUPPORTED_DATA: u16 = 1003;
    pub(in crate::websocket) const TOO_LARGE: u16 = 1009;
}

/// A client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(super) struct FrameError {
    /// Sent in the Close frame.
    pub(super) status: u16,
    problem: &'static str,
}

/// A control frame that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// To be answered with the same payload.
    Ping(Box<[u8]>),
    /// The client's farewell, with its status and reason.
    Close(Box<[u8]>),
}

#[derive(Debug, Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_BYTES_MAX],
    /// Bytes of `header` that are here.
    header_length: u8,
    /// The frame whose payload is being read; `None`: a header comes next.
    frame: Option<Frame>,
    /// Inside a message of several frames.
    fragmented: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    mask: [u8; 4],
    /// Payload that is still to come.
    remaining: u64,
    /// How far the mask has turned.
    turn: usize,
    /// Payload of a control frame so far.
    control: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes apart; the payload of data frames moves to their front, and its length
    /// is returned. Control frames go to `control`. Nothing may follow a Close.
    pub(super) fn decode(
        &mut self,
        bytes: &mut [u8],
        mut control: impl FnMut(Control),
    ) -> Result<usize, FrameError> {
        let (mut read, mut written) = (0, 0);
        loop {
            let Some(frame) = &mut self.frame else {
                if read == bytes.len() {
                    return Ok(written);
                }
                self.header[usize::from(self.header_length)] = bytes[read];
                self.header_length += 1;
                read += 1;
                if let Some(frame) = self.frame_of_header()? {
                    self.frame = Some(frame);
                    self.header_length = 0;
                }
                continue;
            };
            let here = frame.remaining.min((bytes.len() - read) as u64) as usize;
            let payload = read..read + here;
            read += here;
            unmask(&mut bytes[payload.clone()], frame.mask, &mut frame.turn);
            frame.remaining -= here as u64;
            if frame.opcode < CLOSE {
                bytes.copy_within(payload, written);
                written += here;
            } else {
                frame.control.extend_from_slice(&bytes[payload]);
            }
            if frame.remaining > 0 {
                return Ok(written);
            }
            if let Some(ended) = self.frame.take()
                && let Some(asked) = ended.into_control()?
            {
                let is_close = matches!(asked, Control::Close(_));
                control(asked);
                if is_close {
                    return Ok(written);
                }
            }
        }
    }

    /// The frame that the header announces, once it is complete.
    fn frame_of_header(&mut self) -> Result<Option<Frame>, FrameError> {
        let have = &self.header[..usize::from(self.header_length)];
        let &[first, second, ref rest @ ..] = have else {
            return Ok(None);
        };
        let (opcode, is_final) = (first & 0x0F, first & FINAL != 0);
        if first & RESERVED != 0 {
            return Err(protocol_error(
                "a reserved bit is set, but no extension was agreed to",
            ));
        }
        if second & MASKED == 0 {
            return Err(protocol_error("a client's frame is not masked"));
        }
        let (length, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if opcode >= CLOSE && (!is_final || length > CONTROL_BYTES_MAX) {
            return Err(protocol_error(
                "a control frame is in fragments or too long",
            ));
        }
        if length > FRAME_BYTES_MAX {
            return Err(FrameError {
                status: status::TOO_LARGE,
                problem: "a frame is longer than any MQTT packet",
            });
        }
        match opcode {
            CONTINUATION if !self.fragmented => {
                return Err(protocol_error("a continuation continues nothing"));
            }
            BINARY if self.fragmented => {
                return Err(protocol_error("a message begins inside another one"));
            }
            CONTINUATION | BINARY | CLOSE | PING | PONG => {}
            // [MQTT-6.0.0-1]
            TEXT => {
                return Err(FrameError {
                    status: status::UNSUPPORTED_DATA,
                    problem: "MQTT is sent in binary frames, and this is a text frame",
                });
            }
            _ => return Err(protocol_error("the kind of a frame is not known")),
        }
        let &[a, b, c, d] = rest else {
            return Ok(None);
        };
        if opcode < CLOSE {
            self.fragmented = !is_final;
        }
        Ok(Some(Frame {
            opcode,
            mask: [a, b, c, d],
            remaining: length,
            turn: 0,
            control: Vec::new(),
        }))
    }
}

impl Frame {
    /// What a complete frame asks for, if anything.
    fn into_control(self) -> Result<Option<Control>, FrameError> {
        match self.opcode {
            PING => Ok(Some(Control::Ping(self.control.into()))),
            // A status has two bytes. Section 5.5.1.
            CLOSE if self.control.len() == 1 => Err(protocol_error("half a status in a Close")),
            CLOSE => Ok(Some(Control::Close(self.control.into()))),
            _ => Ok(None),
        }
    }
}

/// The header of a server's frame, which is never masked; its bytes and how many there are.
pub(super) fn header(opcode: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = FINAL | opcode;
    let used = match length {
        0..=125 => {
            header[1] = length as u8;
            2
        }
        126..=0xFFFF => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, used)
}

/// The header of a frame with MQTT bytes.
pub(super) fn binary_header(length: usize) -> ([u8; 10], usize) {
    header(BINARY, length)
}

/// Section 5.3. Eight bytes at a time where that is possible.
fn unmask(bytes: &mut [u8], mask: [u8; 4], turn: &mut usize) {
    let mut turned = mask;
    turned.rotate_left(*turn % 4);
    *turn = (*turn + bytes.len()) % 4;
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= mask;
    }
}

fn protocol_error(problem: &'static str) -> FrameError {
    FrameError {
        status: status::PROTOCOL_ERROR,
        problem,
    }
}
