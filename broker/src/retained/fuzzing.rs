//! What must hold of the journal's records, whatever bytes they are: the entry of the fuzz target.

use journal::{Position, Record, RecordBatch};

use super::{earlier, record};

/// Takes `data` for the payload of a record, and for records of the earlier format. Nothing panics,
/// and what was read is written as what is read alike again.
pub(crate) fn record(data: &[u8]) {
    let read = earlier::read_records(&mut &*data, data.len() as u64, &mut |_| ());
    assert!(read.is_ok_and(|left| left <= data.len() as u64));
    let read = Record {
        received_at: 1,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "",
        user: "",
        topic: "a/b",
        payload: data,
    };
    let Ok(message) = record::decode(&read) else {
        return;
    };
    assert!(message.payload.is_empty() == data.is_empty());
    let kept = Some(&message).filter(|message| !message.payload.is_empty());
    let mut batch = RecordBatch::new();
    record::encode(&mut batch, &message.topic, kept, &mut Vec::new());
    let chunk = batch.take(Position::ZERO);
    let (_, written) = chunk.records().next().expect("it was pushed");
    let again = record::decode(&written).expect("it was written just now");
    assert_eq!(
        (again.payload, again.properties, again.expiry_seconds),
        (message.payload, message.properties, message.expiry_seconds)
    );
}
