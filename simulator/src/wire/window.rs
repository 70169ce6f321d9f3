//! What has been sent and not yet been acknowledged.
//!
//! Owns: packet ids, the packets to send again, and what each of them stands for. Never: touches a
//! socket. Invariant: a message leaves the window exactly once, acknowledged, refused or given up;
//! until then it is sent again after every reconnect, in its original order.

use std::collections::VecDeque;
use std::time::Instant;

use super::packet::{Packet, write_pubrel};

/// Packet ids in use at most, acknowledged ones behind an unacknowledged one included: half of all
/// there are.
const SPAN_MAX: usize = 32_768;
/// Spent messages kept for their buffers.
const SPARE_MAX: usize = 64;

/// One message on its way.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// When it was meant to be sent: what latency counts from.
    pub(crate) intended: Instant,
    pub(crate) packet: Packet,
    /// Its samples as lines of the expect file.
    pub(crate) lines: Vec<u8>,
    pub(crate) samples: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Sent,
    /// QoS 2: the server has it (PUBREC), PUBREL is on its way.
    Released,
    /// Out of the window's account; waits for those before it.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    open: usize,
    /// In the order of their ids, which are consecutive; the first one is `first_id`.
    entries: VecDeque<InFlight>,
    first_id: u16,
    /// To be sent with a new id as soon as there is room.
    again: VecDeque<InFlight>,
    spare: Vec<InFlight>,
}

impl Window {
    pub(crate) fn new(limit: u16) -> Self {
        Self {
            limit: usize::from(limit),
            open: 0,
            entries: VecDeque::new(),
            first_id: 1,
            again: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// The server's limit, when it is lower.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.open < self.limit && self.entries.len() < SPAN_MAX
    }

    /// Messages that are neither acknowledged nor refused.
    pub(crate) fn len(&self) -> usize {
        self.open + self.again.len()
    }

    pub(crate) fn wants_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// An empty message, with the buffers of a spent one.
    pub(crate) fn take_spare(&mut self, intended: Instant) -> InFlight {
        let mut message = self.spare.pop().unwrap_or_else(|| InFlight {
            intended,
            packet: Packet::default(),
            lines: Vec::new(),
            samples: 0,
            stage: Stage::Sent,
        });
        message.intended = intended;
        message.stage = Stage::Sent;
        message.lines.clear();
        message
    }

    pub(crate) fn give_spare(&mut self, message: InFlight) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(message);
        }
    }

    /// Gives the message its id and takes it in.
    pub(crate) fn push(&mut self, mut message: InFlight) -> &Packet {
        let id = advance(self.first_id, self.entries.len());
        message.packet.set_id(id);
        self.open += 1;
        self.entries.push_back(message);
        &self.entries[self.entries.len() - 1].packet
    }

    /// Takes in a message for which there is no room yet.
    pub(crate) fn queue(&mut self, message: InFlight) {
        self.again.push_back(message);
    }

    /// Sends a message that had to wait.
    pub(crate) fn push_again(&mut self) -> Option<&Packet> {
        if !self.has_room() {
            return None;
        }
        let message = self.again.pop_front()?;
        Some(self.push(message))
    }

    /// The message is done; `None` for an id that is not in flight.
    pub(crate) fn settle(&mut self, id: u16) -> Option<&mut InFlight> {
        let index = self.index(id)?;
        self.entries[index].stage = Stage::Gone;
        self.open -= 1;
        Some(&mut self.entries[index])
    }

    /// QoS 2: the server has the message; false for an id that is not in flight.
    pub(crate) fn release(&mut self, id: u16) -> bool {
        let index = self.index(id);
        if let Some(index) = index {
            self.entries[index].stage = Stage::Released;
        }
        index.is_some()
    }

    /// The server does not take the message now: it gets a new id when it is sent again.
    pub(crate) fn put_off(&mut self, id: u16) {
        let Some(index) = self.index(id) else { return };
        let spare = self.take_spare(self.entries[index].intended);
        let mut message = std::mem::replace(&mut self.entries[index], spare);
        self.entries[index].stage = Stage::Gone;
        self.open -= 1;
        message.stage = Stage::Sent;
        self.again.push_back(message);
    }

    /// Frees the ids of done messages at the front.
    pub(crate) fn reclaim(&mut self) {
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.stage == Stage::Gone)
        {
            if let Some(entry) = self.entries.pop_front() {
                self.first_id = advance(self.first_id, 1);
                self.give_spare(entry);
            }
        }
    }

    /// After a reconnect: appends everything unacknowledged to `out`, in order, marked as sent
    /// before. Returns how many.
    pub(crate) fn resend(&mut self, out: &mut Vec<u8>) -> u64 {
        let mut count = 0;
        for (index, entry) in self.entries.iter_mut().enumerate() {
            match entry.stage {
                Stage::Sent => {
                    entry.packet.set_dup();
                    out.extend_from_slice(entry.packet.bytes());
                    count += 1;
                }
                Stage::Released => write_pubrel(out, advance(self.first_id, index)),
                Stage::Gone => {}
            }
        }
        count
    }

    /// Everything that is still in flight, for the report.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &InFlight> {
        let open = self
            .entries
            .iter()
            .filter(|entry| entry.stage != Stage::Gone);
        open.chain(&self.again)
    }

    fn index(&self, id: u16) -> Option<usize> {
        // Ids run from 1 to 65,535 and begin again.
        let distance = (i32::from(id) - i32::from(self.first_id)).rem_euclid(65_535);
        let index = usize::try_from(distance).ok()?;
        let entry = self.entries.get(index).filter(|_| id != 0)?;
        (entry.stage != Stage::Gone).then_some(index)
    }
}

/// The id `count` after `id`, leaving out 0.
fn advance(id: u16, count: usize) -> u16 {
    ((usize::from(id) - 1 + count) % 65_535) as u16 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MqttVersion;

    fn window(limit: u16) -> Window {
        Window::new(limit)
    }

    fn push(window: &mut Window, payload: &str) -> u16 {
        let mut message = window.take_spare(Instant::now());
        message
            .packet
            .encode(MqttVersion::V3, 1, false, b"t", payload.as_bytes());
        let bytes = window.push(message).bytes();
        u16::from_be_bytes([bytes[5], bytes[6]])
    }

    /// Ids and payloads of what would be sent again.
    fn resent(window: &mut Window) -> Vec<(u16, String)> {
        let mut out = Vec::new();
        window.resend(&mut out);
        let mut list = Vec::new();
        while !out.is_empty() {
            let length = 2 + usize::from(out[1]);
            assert_eq!(out[0], 0x3a, "QoS 1 with DUP");
            let id = u16::from_be_bytes([out[5], out[6]]);
            list.push((id, String::from_utf8(out[7..length].to_vec()).unwrap()));
            out.drain(..length);
        }
        list
    }

    #[test]
    fn ids_are_given_in_order_and_freed_from_the_front() {
        let mut window = window(3);
        assert_eq!(
            [
                push(&mut window, "a"),
                push(&mut window, "b"),
                push(&mut window, "c")
            ],
            [1, 2, 3]
        );
        assert!(!window.has_room());
        assert!(window.settle(2).is_some());
        window.reclaim();
        assert!(window.has_room());
        assert_eq!(push(&mut window, "d"), 4);
        assert_eq!(
            resent(&mut window),
            [(1, "a".into()), (3, "c".into()), (4, "d".into())]
        );
        assert!(
            window.settle(2).is_none() && window.settle(0).is_none() && window.settle(99).is_none()
        );
        for id in [1, 3, 4] {
            assert!(window.settle(id).is_some());
        }
        window.reclaim();
        assert_eq!(window.len(), 0);
        assert!(resent(&mut window).is_empty());
    }

    #[test]
    fn ids_begin_again_after_the_last_one_and_leave_out_zero() {
        let mut window = window(10);
        for expected in (1..=65_535).chain(1..=100) {
            assert_eq!(push(&mut window, "x"), expected);
            assert!(window.settle(expected).is_some());
            window.reclaim();
        }
    }

    #[test]
    fn what_the_server_puts_off_gets_a_new_id() {
        let mut window = window(2);
        push(&mut window, "a");
        push(&mut window, "b");
        window.put_off(1);
        window.reclaim();
        assert_eq!((window.len(), window.wants_again()), (2, true));
        let bytes = window.push_again().unwrap().bytes().to_vec();
        assert_eq!(
            (u16::from_be_bytes([bytes[5], bytes[6]]), bytes[7]),
            (3, b'a')
        );
        assert!(!window.wants_again() && !window.has_room());
        assert_eq!(window.unacknowledged().count(), 2);
    }

    #[test]
    fn a_released_message_is_not_published_again() {
        let mut window = window(2);
        push(&mut window, "a");
        assert!(window.release(1));
        let mut out = Vec::new();
        assert_eq!(window.resend(&mut out), 0);
        assert_eq!(out, [0x62, 2, 0, 1]);
        assert!(window.settle(1).is_some());
    }
}
