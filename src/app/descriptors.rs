//! File descriptors: each connection takes one, and the usual soft limit of 1,024 is for programs
//! that use `select`.
//!
//! Owns: how many of them connections may have. Invariant: some are left for the journal and the
//! database, whoever connects: a journal that cannot open its next file has failed for good.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What is not for connections: files of the journal, the database, the sessions, what is read
/// again when it changes, listeners, runtimes; some thirty in all, twice as many while files change
/// places. And connections that are accepted only to be refused.
const RESERVED: usize = 100;

/// Raises the soft limit to what this process is allowed.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        warn!(%error, ?current, "cannot raise the limit of open files, which bounds the connections");
    }
}

/// Of the connections that are wanted, as many as the limit of open files has room for; a warning
/// says when it is fewer.
pub(super) fn connections_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let room = room_for_connections(limit);
    if room < wanted {
        warn!(
            open_files = limit,
            wanted,
            connections = room,
            "the limit of open files allows fewer connections than `broker.max_connections`"
        );
    }
    room.min(wanted)
}

/// With a limit so low that nothing would be left, half of it.
fn room_for_connections(limit: usize) -> usize {
    limit.saturating_sub(RESERVED).max(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_never_for_connections() {
        for (limit, room) in [
            (usize::MAX, usize::MAX - RESERVED),
            (1_024, 924),
            (150, 75),
            (0, 0),
        ] {
            assert_eq!(room_for_connections(limit), room, "of {limit}");
        }
    }

    #[test]
    fn no_more_connections_are_allowed_than_wanted() {
        assert_eq!(connections_max(1), 1);
    }
}
