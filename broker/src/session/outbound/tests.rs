use std::sync::Arc;

use super::*;
use crate::budget::Budget;
use crate::delivery::{Options, QueueLimits};
use crate::message::Message;
use crate::session::Session;
use crate::session::outbound::Bounds;
use crate::stats::Stats;
use crate::subscriptions::Group;

const LIMITS: QueueLimits = QueueLimits {
    messages: 10,
    bytes: 10_000,
};

fn delivery(name: &str, qos: Qos, share: Option<&Arc<Group>>) -> Delivery {
    let message = Arc::new(Message {
        topic: name.into(),
        payload: bytes::Bytes::new(),
        qos,
        retain: false,
        properties: bytes::Bytes::new(),
        expiry_seconds: None,
        publisher: 0,
        received_at: 0,
        origin: Default::default(),
        holders: Default::default(),
    });
    let options = Options {
        qos,
        no_local: false,
        retain_as_published: false,
        identifier: None,
    };
    Delivery {
        share: share.cloned(),
        ..Delivery::live(&message, &options)
    }
}

/// Room for everything here.
fn budget() -> Budget {
    Budget::new(1_000_000, Arc::default())
}

fn bounds(budget: &Budget) -> Bounds<'_> {
    Bounds {
        limits: LIMITS,
        budget,
    }
}

fn outbound(presence: Presence) -> Outbound {
    let mut outbound = Outbound::fresh(&"client".into());
    outbound.stay.presence = presence;
    outbound
}

/// Queues the delivery and takes it into the window.
fn assign(outbound: &mut Outbound, delivery: Delivery) {
    outbound.push(delivery, bounds(&budget()), &Stats::default());
    let Next::Delivery(delivery, source) = outbound.pop(true) else {
        panic!("it may leave at once");
    };
    outbound.assign(&delivery, source);
}

/// Otherwise a message that comes just when the last member leaves would find nobody.
#[test]
fn a_session_takes_messages_for_a_client_that_is_away_from_the_moment_it_leaves() {
    for (presence, connected, offline) in [
        (Presence::Here, true, false),
        (Presence::Leaving, false, true),
        (Presence::Away, false, true),
    ] {
        let budget = budget();
        let mut outbound = outbound(presence);
        let mut takes = |qos, to| {
            outbound
                .offer(delivery("a", qos, None), to, bounds(&budget))
                .is_ok()
        };
        assert_eq!(takes(Qos::AtLeastOnce, To::Connected), connected);
        assert_eq!(takes(Qos::AtMostOnce, To::Connected), connected);
        assert_eq!(takes(Qos::AtLeastOnce, To::Offline), offline);
        assert!(!takes(Qos::AtMostOnce, To::Offline));
        outbound.stay.ended = true;
        for to in [To::Connected, To::Offline] {
            let refused =
                outbound.offer(delivery("a", Qos::AtLeastOnce, None), to, bounds(&budget));
            assert_eq!(refused, Err(Refused));
        }
    }
}

#[test]
fn what_goes_to_other_members_is_all_but_what_was_begun_at_qos_2() {
    let group = Arc::new(Group::new("g", "a"));
    let budget = budget();
    let mut outbound = outbound(Presence::Here);
    let stats = Stats::default();
    let sent = |outbound: &mut Outbound, name, qos, share| {
        assign(outbound, delivery(name, qos, share));
        outbound.mark_sent();
    };
    sent(&mut outbound, "sent 2", Qos::ExactlyOnce, Some(&group));
    sent(&mut outbound, "sent 1", Qos::AtLeastOnce, Some(&group));
    sent(&mut outbound, "own 1", Qos::AtLeastOnce, None);
    let assigned = delivery("assigned 2", Qos::ExactlyOnce, Some(&group));
    assign(&mut outbound, assigned);
    for (name, qos, share) in [
        ("queued 0", Qos::AtMostOnce, Some(&group)),
        ("own 0", Qos::AtMostOnce, None),
        ("queued 2", Qos::ExactlyOnce, Some(&group)),
        ("queued 1", Qos::AtLeastOnce, Some(&group)),
        ("own 2", Qos::ExactlyOnce, None),
    ] {
        outbound.push(delivery(name, qos, share), bounds(&budget), &stats);
    }
    let shared = outbound.shared();
    let names: Vec<_> = shared.iter().map(|(_, d)| &*d.message.topic).collect();
    let expected = ["sent 1", "assigned 2", "queued 0", "queued 2", "queued 1"];
    assert_eq!(names, expected);

    // All but the second and the third found another member.
    let gone: Vec<_> = [0, 3, 4].map(|at| shared[at].0).to_vec();
    outbound.remove(&gone);
    let window: Vec<_> = outbound
        .window()
        .entries()
        .filter_map(|entry| match &entry.stage {
            Stage::Published(delivery) => Some(&*delivery.message.topic),
            Stage::Released => None,
        })
        .collect();
    assert_eq!(window, ["sent 2", "own 1", "assigned 2"]);
    let mut queue = Vec::new();
    while let Next::Delivery(delivery, source) = outbound.pop(true) {
        queue.push(delivery.message.topic.to_string());
        outbound.discard(&delivery, source);
    }
    assert_eq!(queue, ["queued 0", "own 0", "own 2"]);
    assert_eq!(outbound.load.messages, 0);
    let left = ["sent 2", "own 1", "assigned 2"].map(|name| {
        let qos = Qos::AtLeastOnce;
        delivery(name, qos, None).bytes()
    });
    assert_eq!(outbound.load.bytes, left.iter().sum::<usize>());
}

#[test]
fn a_spell_of_dropping_is_counted_as_one_slow_session_until_the_queue_is_empty() {
    let session = Session::new(1, "slow", LIMITS, Arc::new(budget()), None);
    let stats = Stats::default();
    session.lock_outbound().stay.presence = Presence::Here;
    for _ in 0..LIMITS.messages + 3 {
        session.enqueue(delivery("a", Qos::AtMostOnce, None), &stats);
    }
    assert_eq!(stats.dropped_slow_consumer.get(), 3);
    assert_eq!(stats.sessions_slow.get(), 1);
    let slow = session.slow().expect("it is slow");
    assert_eq!((slow.dropped, slow.queued_messages), (3, LIMITS.messages));
    let outbound = &mut *session.lock_outbound();
    for left in (0..LIMITS.messages).rev() {
        assert!(matches!(outbound.pop(true), Next::Delivery(..)));
        assert_eq!(outbound.caught_up(), (left == 0).then_some(3));
    }
}

/// A queue may hold ten thousand of them, and of nearly all sessions holds messages alone.
#[test]
fn an_entry_of_a_queue_costs_what_its_message_costs() {
    assert_eq!(size_of::<Waiting>(), size_of::<Delivery>());
}
