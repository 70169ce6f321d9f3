use super::*;

fn record(number: u64) -> (String, Vec<u8>) {
    (
        format!("devices/d{number}/telemetry"),
        vec![number as u8; (number % 50) as usize],
    )
}

fn batch_of(numbers: std::ops::Range<u64>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for number in numbers {
        let (topic, payload) = record(number);
        batch.push(&Record {
            received_at: number as i64,
            qos: 1,
            packet_id: None,
            content_type: "application/json",
            client_id: "clïent",
            user: "",
            topic: &topic,
            payload: &payload,
        });
    }
    batch
}

#[test]
fn records_come_back_as_they_were() {
    let batch = batch_of(0..100);
    let chunk = Chunk::new(Position(7), batch.len(), Bytes::from(batch.bytes));
    let mut records = chunk.records();
    for number in 0..100 {
        let (position, read) = records.next().unwrap();
        let (topic, payload) = record(number);
        assert_eq!(position, Position(7 + number));
        assert_eq!(read.topic, topic);
        assert_eq!(read.payload, payload);
        assert_eq!(read.client_id, "clïent");
        assert_eq!(read.content_type, "application/json");
        assert_eq!(read.received_at, number as i64);
    }
    assert!(records.next().is_none());
    assert!(records.is_exhausted());
}

#[test]
fn a_packet_id_comes_back_where_there_was_one() {
    let mut batch = RecordBatch::new();
    let record = Record {
        received_at: 7,
        qos: 2,
        packet_id: None,
        content_type: "ct",
        client_id: "c",
        user: "u",
        topic: "t",
        payload: b"p",
    };
    let ids = [None, Some(1), Some(u16::MAX), None];
    for packet_id in ids {
        batch.push(&Record {
            packet_id,
            ..record
        });
    }
    let chunk = Chunk::new(Position(0), batch.len(), Bytes::from(batch.bytes));
    let mut records = chunk.records();
    for packet_id in ids {
        let expected = Record {
            packet_id,
            ..record
        };
        assert_eq!(records.next().unwrap().1, expected);
    }
    assert!(records.next().is_none() && records.is_exhausted());
}

/// Journals outlive the version that wrote them.
#[test]
fn a_record_from_before_packet_ids_is_read() {
    let bytes = b"\x15\0\0\0\x07\0\0\0\0\0\0\0\x01\x01\x01\0\x01\0\x01\0jcutp";
    let chunk = Chunk::new(Position(0), 1, Bytes::from_static(bytes));
    let (_, read) = chunk.records().next().unwrap();
    let expected = Record {
        received_at: 7,
        qos: 1,
        packet_id: None,
        content_type: "j",
        client_id: "c",
        user: "u",
        topic: "t",
        payload: b"p",
    };
    assert_eq!(read, expected);
}

#[test]
fn a_content_type_that_is_too_long_is_left_out() {
    let mut batch = RecordBatch::new();
    batch.push(&Record {
        received_at: 0,
        qos: 0,
        packet_id: None,
        content_type: &"x".repeat(256),
        client_id: "c",
        user: "u",
        topic: "t",
        payload: b"p",
    });
    let chunk = Chunk::new(Position(0), 1, Bytes::from(batch.bytes));
    let (_, read) = chunk.records().next().unwrap();
    assert_eq!((read.content_type, read.payload), ("", &b"p"[..]));
}

#[test]
fn a_chunk_can_begin_at_any_of_its_records() {
    let batch = batch_of(0..20);
    let chunk = Chunk::new(Position(100), 20, Bytes::from(batch.bytes));
    for skip in 0..=20 {
        let rest = chunk.clone().starting_at(Position(100 + skip));
        assert_eq!(rest.first(), Position(100 + skip));
        assert_eq!(rest.end(), chunk.end());
        let times: Vec<_> = rest
            .records()
            .map(|(_, record)| record.received_at as u64)
            .collect();
        assert_eq!(times, (skip..20).collect::<Vec<_>>());
    }
    assert_eq!(chunk.clone().starting_at(Position(5)).len(), 20);
    assert_eq!(chunk.clone().starting_at(Position(500)).len(), 0);
}

#[test]
fn a_small_batch_keeps_its_buffer_and_a_large_one_gives_it_away() {
    let mut small = batch_of(0..3);
    let (buffer, length) = (small.bytes.as_ptr(), small.byte_len());
    let detached = small.detach();
    assert_eq!(detached.memory, length);
    small.settle(detached.copied, length);
    assert!(small.is_empty() && small.byte_len() == 0);
    assert_eq!(small.bytes.as_ptr(), buffer);

    let mut large = batch_of(0..500);
    let (buffer, length) = (large.bytes.as_ptr(), large.byte_len());
    let detached = large.detach();
    assert_eq!(detached.bytes.as_ptr(), buffer);
    assert_eq!(detached.bytes.len(), length);
    large.settle(detached.copied, length);
    assert!(large.is_empty() && large.byte_len() == 0);
}

#[test]
fn a_refused_batch_is_what_it_was() {
    for count in [3, 500] {
        let expected = batch_of(0..count);
        let mut batch = batch_of(0..count);
        let detached = batch.detach();
        batch.restore(detached);
        assert_eq!(batch.bytes, expected.bytes);
        assert_eq!(batch.len(), expected.len());
    }
}

#[test]
fn bytes_that_are_not_records_end_the_iteration() {
    for bytes in [
        &b"\x01"[..],
        b"\x05\0\0\0abcde",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        // It ends where its packet id should be.
        b"\x10\0\0\0\0\0\0\0\0\0\0\0\x82\0\0\0\0\0\0\0",
    ] {
        let chunk = Chunk::new(Position(0), 1, Bytes::from_static(bytes));
        let mut records = chunk.records();
        assert!(records.next().is_none());
        assert!(!records.is_exhausted());
    }
}
