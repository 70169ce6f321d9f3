//! What must hold of frames and requests, whatever bytes they are: the entries of the fuzz targets.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::frame::{Control, Decoder, FrameError};
use super::{Origins, upgrade};

/// A Pong's or a Close's largest payload: RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: usize = 125;

/// What a decoder made of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    payload: Vec<u8>,
    controls: Vec<Control>,
    end: Result<(), FrameError>,
}

/// Frames mean the same however they are cut. The first byte says how long the pieces are.
pub(crate) fn frames(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else {
        return;
    };
    let whole = decode(bytes, usize::MAX);
    assert!(whole.payload.len() <= bytes.len());
    for control in &whole.controls {
        let (Control::Ping(payload) | Control::Close(payload)) = control;
        assert!(payload.len() <= CONTROL_BYTES_MAX);
    }
    let in_pieces = decode(bytes, usize::from(piece).max(1));
    assert_eq!(whole, in_pieces);
}

fn decode(bytes: &[u8], piece: usize) -> Decoded {
    let mut decoder = Decoder::default();
    let mut found = Decoded {
        payload: Vec::new(),
        controls: Vec::new(),
        end: Ok(()),
    };
    for bytes in bytes.chunks(piece) {
        let mut bytes = bytes.to_vec();
        match decoder.decode(&mut bytes, |control| found.controls.push(control)) {
            Ok(length) => found.payload.extend_from_slice(&bytes[..length]),
            Err(error) => {
                // The connection is closed, and what lies before in the same piece is not handed
                // on.
                found.end = Err(error);
                found.payload.clear();
                break;
            }
        }
        if let Some(Control::Close(_)) = found.controls.last() {
            break;
        }
    }
    found
}

/// A request is answered by HTTP that can be read, and nothing of the request gets into a header of
/// the answer.
pub(crate) fn request(data: &[u8]) {
    let (mut head, mut stream) = (Vec::new(), data);
    let length = {
        let reading = pin!(upgrade::read_head(&mut stream, &mut head));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(length) => length,
            Poll::Pending => unreachable!("a slice never has to be waited for"),
        }
    };
    let origins = Origins::default();
    for is_loopback in [true, false] {
        let wanted = upgrade::Wanted {
            path: "/mqtt",
            origins: &origins,
            is_loopback,
        };
        let answer = match &length {
            Ok(length) => match upgrade::judge(&head[..*length], &wanted) {
                Ok(answer) => Some(answer),
                Err(error) => error.answer(),
            },
            Err(error) => error.answer(),
        };
        if let Some(answer) = answer {
            check_answer(&answer);
        }
    }
}

fn check_answer(answer: &str) {
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(answer.as_bytes()) {
        Ok(httparse::Status::Complete(length)) => {
            assert!((101..=505).contains(&response.code.unwrap_or_default()));
            let switched = response.code == Some(101);
            assert_eq!(
                response.headers.len(),
                if switched { 4 } else { response.headers.len() }
            );
            assert!(!switched || length == answer.len());
        }
        other => panic!("`{answer}` is no answer: {other:?}"),
    }
}
