//! File descriptors: each connection takes one, and the usual soft limit of 1,024 is for programs
//! that use `select`.
//!
//! Owns: how many of them connections may take. Invariant: the journal and the database always have
//! some left, because a journal that cannot open its next file has failed for good.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Descriptors kept back: the journal, the database, sessions, watched files, listeners and
/// runtimes need about thirty, and twice as many while files are replaced. Connections that are
/// accepted only to be refused need some, too.
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
        warn!(%error, ?current, "cannot raise the open-file limit, which bounds the connections");
    }
}

/// As many of the wanted connections as the open-file limit has room for; a log line says when it
/// is fewer.
pub(super) fn connections_max(wanted: usize) -> usize {
    let default = broker::Config::default().max_connections;
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let room = room_for_connections(limit);
    if room < wanted {
        let told = format!(
            "accepting at most {room} connections, not {wanted}: the open-file limit is {limit} \
             (raise it with `ulimit -n` or LimitNOFILE=)"
        );
        // Nobody who left the default alone has asked for so many.
        if wanted == default {
            info!("{told}");
        } else {
            warn!("{told}");
        }
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
