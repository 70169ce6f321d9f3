//! The line with which a server ends: what became of every message.

use testkit::ChildGuard;

use crate::server::PATIENCE;

/// In messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) filtered: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) pending: u64,
}

impl Account {
    /// # Panics
    ///
    /// When the line is not one, or its sum is wrong.
    fn parse(line: &str) -> Account {
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [received, stored, filtered, dead_lettered, pending] = numbers[..] else {
            panic!("not an account: {line}");
        };
        let sum = stored + filtered + dead_lettered + pending;
        assert_eq!(received, sum, "{line}");
        Account {
            received,
            stored,
            filtered,
            dead_lettered,
            pending,
        }
    }
}

/// Ends a server as an operator would, and returns its account.
pub(crate) fn end(server: ChildGuard) -> Account {
    server.signal("TERM");
    ended(server)
}

/// The account of a server that was asked to end.
pub(crate) fn ended(mut server: ChildGuard) -> Account {
    let status = server.wait(PATIENCE);
    let lines = server.lines();
    assert!(status.success(), "{status}: {lines:#?}");
    let line = lines.iter().find(|line| line.contains("messages received"));
    Account::parse(line.unwrap_or_else(|| panic!("no account in {lines:#?}")))
}
