//! Sequence numbers as payloads, which are all that travels through the router.
//!
//! Owns: their encoding (eight bytes, little endian). Never: allocates for each of them.

use bytes::Bytes;

/// The length of a ticket.
pub(super) const TICKET_BYTES: usize = 8;

/// Numbers as payloads, a block of them in one allocation.
#[derive(Default)]
pub(super) struct Tickets {
    block: u64,
    bytes: Bytes,
}

/// The router's logs keep a block as long as any of its numbers: 256 bytes for the sake of one.
const TICKETS_IN_BLOCK: u64 = 32;

impl Tickets {
    pub(super) fn of(&mut self, number: u64) -> Bytes {
        let block = number / TICKETS_IN_BLOCK;
        if block != self.block || self.bytes.is_empty() {
            let first = block * TICKETS_IN_BLOCK;
            self.block = block;
            self.bytes = (first..first + TICKETS_IN_BLOCK)
                .flat_map(u64::to_le_bytes)
                .collect();
        }
        let start = (number % TICKETS_IN_BLOCK) as usize * TICKET_BYTES;
        self.bytes.slice(start..start + TICKET_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_its_number() {
        let mut tickets = Tickets::default();
        for number in [0, 1, 31, 32, 33, 5, 64, u64::from(u32::MAX) + 7] {
            assert_eq!(tickets.of(number), number.to_le_bytes().as_slice());
        }
    }
}
