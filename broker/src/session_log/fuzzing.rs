//! What must hold of the log's records, whatever bytes they are: the entry of the fuzz target.

use journal::Record;

use super::event::{self, Event};
use crate::session::State;

/// A record's topic is one of these, by a byte of the input: what makes an event is in its payload.
const TOPICS: [&str; 4] = ["", "a", "a/+", "$share/g/#"];

/// An event as its record would be read: payload, topic.
type Bytes = (Vec<u8>, String);

/// Takes `data` for records, each behind a byte for its topic and one for its payload's length, and
/// for the history of one session. Nothing panics; an event that was read is written as what is
/// read alike again; and a snapshot leads to the state it was taken of.
pub(crate) fn events(mut data: &[u8]) {
    let mut session = State::default();
    while let [topic, length, rest @ ..] = data {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        let topic = TOPICS[usize::from(*topic) % TOPICS.len()];
        let Ok(once) = read(payload, topic, |event| {
            take(&mut session, event);
            write(event)
        }) else {
            continue;
        };
        let twice = read(&once.0, &once.1, write);
        assert_eq!(twice, Ok(once));
    }
    let snapshot = snapshot(&session);
    let mut restored = State::default();
    for (payload, topic) in &snapshot {
        let taken = read(payload, topic, |event| take(&mut restored, event));
        assert_eq!(taken, Ok(()), "a snapshot can be read");
    }
    assert_eq!(sorted(snapshot), sorted(self::snapshot(&restored)));
}

fn take(session: &mut State, event: &Event<'_>) {
    // An event that does not fit changes nothing.
    drop(session.apply(event));
}

fn snapshot(session: &State) -> Vec<Bytes> {
    let mut events = Vec::new();
    session.for_each_event(|event| events.push(write(event)));
    events
}

/// Subscriptions come in no order.
fn sorted(mut events: Vec<Bytes>) -> Vec<Bytes> {
    events.sort();
    events
}

fn read<T>(
    payload: &[u8],
    topic: &str,
    visit: impl FnOnce(&Event<'_>) -> T,
) -> Result<T, event::DecodeError> {
    let record = Record {
        received_at: 1,
        qos: 0,
        packet_id: None,
        content_type: "",
        client_id: "c",
        user: "u",
        topic,
        payload,
    };
    event::decode(&record, visit)
}

fn write(event: &Event<'_>) -> Bytes {
    let mut payload = Vec::new();
    let topic = event::encode("c", event, &mut payload).topic.to_owned();
    (payload, topic)
}
