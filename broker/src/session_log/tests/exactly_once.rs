//! Each place where a crash can part the two logs, for QoS 2 telemetry.

use journal::{Journal, Position};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use testkit::PATIENCE;
use testkit::disk::{Loss, SimDisk};

use super::model::*;
use crate::session::{IncomingQos2, State};
use crate::session_log::Event;

const CLIENT: &str = "device";

fn created(logs: &Logs) -> Event<'static> {
    Event::Created {
        identity: &NOBODY,
        expiry_seconds: 600,
        held_through: logs.log.telemetry_end(),
    }
}

/// Two logs with one session.
fn begin() -> Logs {
    let (logs, sessions) = Logs::open(SimDisk::default(), SimDisk::default());
    assert!(sessions.is_empty());
    logs.write(CLIENT, &[created(&logs)]);
    logs.settle();
    logs
}

/// What each log loses with the crash: what it has not synced, or nothing.
fn crash(logs: Logs, telemetry: Loss, sessions: Loss) -> (Logs, Vec<(u16, IncomingQos2)>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let telemetry_disk = logs.telemetry_disk.crash(telemetry, &mut rng);
    let disk = logs.disk.crash(sessions, &mut rng);
    logs.telemetry_disk.unblock_syncs();
    logs.disk.unblock_syncs();
    drop(logs);
    let (logs, sessions) = Logs::reopen(telemetry_disk, disk);
    (logs, held(&sessions))
}

fn held(sessions: &[State]) -> Vec<(u16, IncomingQos2)> {
    let session = sessions
        .iter()
        .find(|session| &*session.client_id == CLIENT);
    let session = session.expect("the session is kept");
    let held = session.incoming.iter();
    held.map(|(id, hold)| (*id, without_position(*hold)))
        .collect()
}

/// Nothing is to be done when the client publishes it again.
const fn whole(packet_id: u16) -> (u16, IncomingQos2) {
    (packet_id, IncomingQos2::Whole(None))
}

/// It is to be distributed then,
const fn journalled(packet_id: u16) -> (u16, IncomingQos2) {
    (packet_id, IncomingQos2::Journalled)
}

/// or to be journalled.
const fn distributed(packet_id: u16) -> (u16, IncomingQos2) {
    (packet_id, IncomingQos2::Distributed)
}

fn hold(logs: &Logs, packet_id: u16, position: Position) {
    let telemetry = Some(position);
    let event = Event::Held {
        packet_id,
        telemetry,
        ordinal: 0,
    };
    logs.write(CLIENT, &[event]);
}

fn publish_and_hold(logs: &Logs, packet_id: u16) {
    let exchange = logs.log.exchange();
    let position = logs.publish(CLIENT, Some(packet_id));
    hold(logs, packet_id, position);
    drop(exchange);
}

#[test]
fn a_record_without_its_note_is_noted_at_the_start() {
    let logs = begin();
    publish_and_hold(&logs, 4);
    logs.settle();
    // The process ends between the append and the note.
    logs.publish(CLIENT, Some(5));
    logs.settle_telemetry();
    let (logs, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(4), journalled(5)]);
    // And it stays noted.
    let (_, held) = crash(logs, Loss::Everything, Loss::Everything);
    assert_eq!(held, [whole(4), journalled(5)]);
}

#[test]
fn a_note_that_was_not_durable_is_made_again() {
    let logs = begin();
    logs.disk.block_syncs();
    publish_and_hold(&logs, 7);
    publish_and_hold(&logs, 8);
    logs.settle_telemetry();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Everything);
    assert_eq!(held, [journalled(7), journalled(8)]);
}

#[test]
fn a_note_without_its_record_says_that_it_was_distributed() {
    let logs = begin();
    publish_and_hold(&logs, 7);
    logs.settle();
    logs.telemetry_disk.block_syncs();
    publish_and_hold(&logs, 8);
    let end = logs.log.journal().end();
    logs.log.journal().wait_durable(end, PATIENCE).unwrap();
    let (logs, held) = crash(logs, Loss::Everything, Loss::Nothing);
    assert_eq!(
        held,
        [whole(7), distributed(8)],
        "the client sends 8 again, and it must be stored"
    );
    // It stays so, though a record has its position by now.
    logs.publish("another", Some(1));
    logs.settle();
    let (logs, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(7), distributed(8)]);
    // The client has sent it again, and the note of that is lost.
    logs.publish(CLIENT, Some(8));
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(7), whole(8)]);
}

/// The lost record's position is another one's now, and that one's note is lost too.
#[test]
fn positions_that_come_again_are_looked_at_again() {
    let logs = begin();
    logs.telemetry_disk.block_syncs();
    publish_and_hold(&logs, 8);
    let end = logs.log.journal().end();
    logs.log.journal().wait_durable(end, PATIENCE).unwrap();
    let (logs, held) = crash(logs, Loss::Everything, Loss::Nothing);
    assert_eq!(held, [distributed(8)]);
    logs.disk.block_syncs();
    publish_and_hold(&logs, 9);
    logs.settle_telemetry();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Everything);
    assert_eq!(held, [distributed(8), journalled(9)]);
}

#[test]
fn what_was_released_stays_released() {
    let logs = begin();
    publish_and_hold(&logs, 3);
    logs.write(CLIENT, &[Event::Released { packet_id: 3 }]);
    logs.settle();
    let (logs, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert!(held.is_empty(), "{held:?}");
    // The id is free: the next message under it is another one.
    publish_and_hold(&logs, 3);
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(3)]);
}

/// PUBCOMP waits for the release, so the client will release again.
#[test]
fn a_release_that_was_not_durable_is_not_known() {
    let logs = begin();
    publish_and_hold(&logs, 3);
    logs.settle();
    logs.disk.block_syncs();
    logs.write(CLIENT, &[Event::Released { packet_id: 3 }]);
    let (_, held) = crash(logs, Loss::Nothing, Loss::Everything);
    assert_eq!(held, [whole(3)]);
}

#[test]
fn a_new_session_does_not_inherit_the_records_of_the_old_one() {
    let logs = begin();
    // Without its note, as after a crash.
    logs.publish(CLIENT, Some(5));
    logs.write(CLIENT, &[Event::Ended]);
    logs.write(CLIENT, &[created(&logs)]);
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert!(held.is_empty(), "{held:?}");
}

#[test]
fn records_of_others_and_without_an_id_are_nobodys() {
    let logs = begin();
    logs.publish("unknown", Some(5));
    logs.publish(CLIENT, None);
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert!(held.is_empty(), "{held:?}");
}

#[test]
fn a_checkpoint_spares_the_reading_and_changes_nothing() {
    let logs = begin();
    publish_and_hold(&logs, 1);
    publish_and_hold(&logs, 2);
    logs.write(CLIENT, &[Event::Released { packet_id: 1 }]);
    logs.log.maintenance().write_checkpoint().unwrap();
    publish_and_hold(&logs, 6);
    logs.settle();
    logs.publish(CLIENT, Some(7));
    logs.settle_telemetry();
    let (logs, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(2), whole(6), journalled(7)]);
    // What lies before the last checkpoint is not read: it may be gone.
    let end = logs.telemetry.end();
    logs.telemetry.release(end);
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(2), whole(6), journalled(7)]);
}

#[test]
fn a_snapshot_keeps_what_was_accounted_for() {
    let logs = begin();
    publish_and_hold(&logs, 1);
    publish_and_hold(&logs, 2);
    logs.write(CLIENT, &[Event::Released { packet_id: 1 }]);
    let model = Model {
        expiry_seconds: 600,
        ..Model::default()
    };
    let state = model.saved(
        CLIENT,
        [(2, IncomingQos2::Whole(Some(Position(1))))],
        Position(2),
    );
    let mut batch = logs.log.batch(CLIENT);
    batch.push_state(&state);
    logs.log.write(batch, std::task::Waker::noop());
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(2)]);
}

#[test]
fn positions_of_another_journal_say_nothing() {
    let logs = begin();
    publish_and_hold(&logs, 1);
    logs.settle();
    let disk = logs
        .disk
        .crash(Loss::Nothing, &mut ChaCha8Rng::seed_from_u64(1));
    drop(logs);
    let (logs, sessions) = Logs::reopen(SimDisk::default(), disk);
    assert_eq!(held(&sessions), [whole(1)]);
    // From here on the new one counts.
    publish_and_hold(&logs, 2);
    logs.settle();
    logs.publish(CLIENT, Some(3));
    logs.settle_telemetry();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(1), whole(2), journalled(3)]);
}

#[test]
fn no_checkpoint_while_a_client_is_between_the_two_logs() {
    let logs = begin();
    let exchange = logs.log.exchange();
    let position = logs.publish(CLIENT, Some(1));
    let mut maintenance = logs.log.maintenance();
    let checkpoint = std::thread::spawn(move || maintenance.write_checkpoint().map_err(drop));
    // Held back by `exchange`, however long this takes: the note comes first in the log.
    std::thread::yield_now();
    hold(&logs, 1, position);
    drop(exchange);
    assert_eq!(checkpoint.join().unwrap(), Ok(()));
    logs.settle();
    let (_, held) = crash(logs, Loss::Nothing, Loss::Nothing);
    assert_eq!(held, [whole(1)]);
}
