use std::time::Duration;

use super::*;

fn broker(version: MqttVersion) -> Broker {
    Broker {
        host: "localhost".into(),
        port: 1883,
        tls: None,
        username: Some("bob".into()),
        password: Some("secret".into()),
        version,
        keep_alive: Duration::from_secs(60),
        clean: true,
    }
}

fn buffer(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}

#[test]
fn publishes_read_back_as_rumqttc_reads_them() {
    for payload in [vec![], b"{}".to_vec(), vec![7; 200], vec![7; 70_000]] {
        for qos in 0..=2 {
            let mut packet = Packet::default();
            packet.encode(MqttVersion::V3, qos, true, "a/é".as_bytes(), &payload);
            if qos > 0 {
                packet.set_id(513);
            }
            let read = v4::Packet::read(&mut buffer(packet.bytes()), 1 << 20).unwrap();
            let v4::Packet::Publish(publish) = read else {
                panic!("{read:?}")
            };
            assert_eq!(
                (publish.topic.as_str(), &publish.payload[..]),
                ("a/é", &payload[..])
            );
            assert_eq!(publish.pkid, if qos > 0 { 513 } else { 0 });
            assert_eq!(
                (publish.qos as u8, publish.retain, publish.dup),
                (qos, true, false)
            );

            packet.encode(MqttVersion::V5, qos, false, b"t", &payload);
            if qos > 0 {
                packet.set_id(65_535);
                packet.set_dup();
            }
            let read = v5::Packet::read(&mut buffer(packet.bytes()), None).unwrap();
            let v5::Packet::Publish(publish) = read else {
                panic!("{read:?}")
            };
            assert_eq!(
                (&publish.topic[..], &publish.payload[..]),
                (&b"t"[..], &payload[..])
            );
            assert_eq!(publish.pkid, if qos > 0 { 65_535 } else { 0 });
            assert_eq!(
                (publish.qos as u8, publish.retain, publish.dup),
                (qos, false, qos > 0)
            );
        }
    }
}

#[test]
fn connects_read_back_as_rumqttc_reads_them() {
    let mut out = Vec::new();
    write_connect(&mut out, &broker(MqttVersion::V3), "c/1");
    let read = v4::Packet::read(&mut buffer(&out), 1_000).unwrap();
    let v4::Packet::Connect(connect) = read else {
        panic!("{read:?}")
    };
    assert_eq!(
        (connect.client_id.as_str(), connect.keep_alive),
        ("c/1", 60)
    );
    assert_eq!(connect.login.unwrap().password, "secret");

    let mut out = Vec::new();
    write_connect(
        &mut out,
        &Broker {
            clean: false,
            ..broker(MqttVersion::V5)
        },
        "c/1",
    );
    let read = v5::Packet::read(&mut buffer(&out), None).unwrap();
    let v5::Packet::Connect(connect, None, Some(login)) = read else {
        panic!("{read:?}")
    };
    assert!(!connect.clean_start);
    assert_eq!(
        connect.properties.unwrap().session_expiry_interval,
        Some(3_600)
    );
    assert_eq!(login.username, "bob");
}

#[test]
fn what_a_server_says_is_understood() {
    let taken = Verdict::Taken;
    let table: [(MqttVersion, &[u8], Incoming); 11] = [
        (
            MqttVersion::V3,
            &[0x40, 2, 1, 2],
            Incoming::PubAck(258, taken),
        ),
        (
            MqttVersion::V5,
            &[0x40, 2, 1, 2],
            Incoming::PubAck(258, taken),
        ),
        (
            MqttVersion::V5,
            &[0x40, 3, 0, 9, 0x10],
            Incoming::PubAck(9, taken),
        ),
        (
            MqttVersion::V5,
            &[0x40, 3, 0, 9, 0x97],
            Incoming::PubAck(9, Verdict::Later),
        ),
        (
            MqttVersion::V5,
            &[0x40, 4, 0, 9, 0x87, 0],
            Incoming::PubAck(9, Verdict::Refused("not authorized")),
        ),
        (
            MqttVersion::V3,
            &[0x50, 2, 0, 9],
            Incoming::PubRec(9, taken),
        ),
        (MqttVersion::V3, &[0x70, 2, 0, 9], Incoming::PubComp(9)),
        (MqttVersion::V3, &[0xd0, 0], Incoming::PingResp),
        (
            MqttVersion::V3,
            &[0x20, 2, 0, 4],
            Incoming::Refused("bad user name password".into()),
        ),
        (
            MqttVersion::V5,
            &[0x20, 8, 1, 0, 5, 0x21, 0, 20, 0x24, 1],
            Incoming::Accepted(Accepted {
                session_present: true,
                receive_max: 20,
                max_qos: 1,
                max_packet: usize::MAX,
            }),
        ),
        (
            MqttVersion::V5,
            &[0xe0, 2, 0x8b, 0],
            Incoming::Disconnect("server shutting down".into()),
        ),
    ];
    for (version, bytes, expected) in table {
        for cut in 0..bytes.len() {
            assert_eq!(
                read(&mut buffer(&bytes[..cut]), version).unwrap(),
                None,
                "{bytes:x?}"
            );
        }
        let mut whole = buffer(bytes);
        assert_eq!(
            read(&mut whole, version).unwrap(),
            Some(expected),
            "{bytes:x?}"
        );
        assert!(whole.is_empty());
    }
}

#[test]
fn what_is_not_mqtt_is_an_error() {
    for bytes in [
        &[0x00, 0x00][..],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x20, 0x01, 0x00],
    ] {
        assert!(
            read(&mut buffer(bytes), MqttVersion::V3).is_err(),
            "{bytes:?}"
        );
        assert!(
            read(&mut buffer(bytes), MqttVersion::V5).is_err(),
            "{bytes:?}"
        );
    }
}
