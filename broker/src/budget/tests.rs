use super::*;
use mqtt::Qos;

const BYTES_MAX: usize = 1_000_000;

fn message(payload_bytes: usize) -> Arc<Message> {
    Arc::new(Message::own(
        "a".into(),
        vec![0; payload_bytes].into(),
        Qos::AtLeastOnce,
        false,
        0,
    ))
}

fn delivery(message: &Arc<Message>, qos: Qos) -> Delivery {
    Delivery {
        message: Arc::clone(message),
        qos,
        retain: false,
        identifier: None,
        snapshot: false,
        share: None,
    }
}

/// A budget of which so many bytes are used.
fn used(bytes: usize) -> (Budget, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    stats.queued_bytes.add(bytes as u64);
    (Budget::new(BYTES_MAX, Arc::clone(&stats)), stats)
}

#[test]
fn a_queue_grows_only_while_it_is_smaller_than_what_is_free_to_it() {
    const AWAY: bool = false;
    const HERE: bool = true;
    use Qos::{AtLeastOnce as One, AtMostOnce as Zero};
    let big = KEEPING_UP_BYTES;
    for (used_bytes, own_bytes, connected, qos, expected) in [
        (0, 0, AWAY, One, true),
        (0, 749_999, AWAY, One, true),
        (0, 750_000, AWAY, One, false),
        (0, 750_000, HERE, One, true),
        (0, 1_000_000, HERE, One, false),
        (0, 499_999, HERE, Zero, true),
        (0, 500_000, HERE, Zero, false),
        // Those that are away see nothing of the last quarter, not even with an empty queue.
        (749_000, 0, AWAY, One, true),
        (750_000, 0, AWAY, One, false),
        (750_000, 249_999, HERE, One, true),
        (750_000, 250_000, HERE, One, false),
        (750_000, 124_999, HERE, Zero, true),
        (750_000, 125_000, HERE, Zero, false),
        // Whoever keeps up is served in any case.
        (2_000_000, big - 1, HERE, One, true),
        (2_000_000, big - 1, HERE, Zero, true),
        (2_000_000, big, HERE, One, false),
        (2_000_000, 0, AWAY, One, false),
    ] {
        let (budget, _) = used(used_bytes);
        let asker = Asker {
            bytes: own_bytes,
            connected,
        };
        let admits = budget.admits(&delivery(&message(10), qos), asker, &Ledger::default());
        assert_eq!(
            admits, expected,
            "{used_bytes} used, {own_bytes} its own, connected: {connected}, {qos:?}"
        );
    }
}

#[test]
fn a_message_that_others_have_already_costs_only_its_place() {
    let (budget, _) = used(700_000);
    let large = message(100_000);
    let asker = Asker {
        bytes: 0,
        connected: false,
    };
    let offered = delivery(&large, Qos::AtLeastOnce);
    assert!(!budget.admits(&offered, asker, &Ledger::default()));
    Ledger::default().take(&large);
    assert!(budget.admits(&offered, asker, &Ledger::default()));
}

#[test]
fn what_the_asker_gave_back_just_now_is_free() {
    let (budget, _) = used(750_000);
    let asker = Asker {
        bytes: 0,
        connected: false,
    };
    let offered = delivery(&message(10), Qos::AtLeastOnce);
    assert!(!budget.admits(&offered, asker, &Ledger::default()));
    let ledger = Ledger {
        bytes: -100_000,
        ..Ledger::default()
    };
    assert!(budget.admits(&offered, asker, &ledger));
}

#[test]
fn a_message_counts_once_and_each_of_its_places_on_its_own() {
    let (budget, stats) = used(0);
    let shared = message(1_000);
    let gauges = || {
        (
            stats.queued_messages.get(),
            stats.queued_copies.get(),
            stats.queued_bytes.get() as usize,
        )
    };
    let mut ledger = Ledger::default();
    (0..3).for_each(|_| ledger.take(&shared));
    assert_eq!(gauges(), (0, 0, 0), "until it is settled");
    budget.settle(&mut ledger);
    assert_eq!(gauges(), (1, 3, shared.memory_bytes() + 3 * PLACE_BYTES));
    let mut ledgers = [const {
        Ledger {
            bytes: 0,
            messages: 0,
            copies: 0,
        }
    }; 3];
    for ledger in &mut ledgers {
        ledger.give_back(&shared);
        budget.settle(ledger);
    }
    assert_eq!(gauges(), (0, 0, 0));
}

#[test]
fn a_spell_of_refusals_is_told_once_and_ends_when_half_is_free() {
    let mut spell = Spell::default();
    let mut step = |used, refused| {
        let relief = 500;
        spell.step(Level {
            used,
            relief,
            refused,
        })
    };
    assert_eq!(step(0, 0), None);
    assert_eq!(step(900, 3), Some(Turn::Begun { used_bytes: 900 }));
    assert_eq!(step(900, 5), None);
    assert_eq!(step(400, 6), None, "one was refused just now");
    assert_eq!(step(600, 6), None, "more than half is used");
    assert_eq!(step(400, 6), Some(Turn::Ended { dropped: 6 }));
    assert_eq!(step(400, 6), None);
    assert_eq!(step(900, 7), Some(Turn::Begun { used_bytes: 900 }));
    assert_eq!(step(100, 7), Some(Turn::Ended { dropped: 1 }));
}
