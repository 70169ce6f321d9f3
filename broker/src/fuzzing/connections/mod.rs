//! Several clients at a gate: what they send, in any order and cut anywhere, goes through the
//! handshake, the sessions and the router, and an oracle looks at every byte that comes back.
//!
//! Owns: the script's way from bytes to steps, and what must be true at its end. Never: sleeps, or
//! has a socket. Invariant: the same bytes do the same, but for what threads of the broker do at
//! the same time, which no check depends on.

mod finale;
mod hold;
#[cfg(test)]
pub(super) mod lives;
mod oracle;
mod props;
mod restart;
mod script;
mod stage;
mod wire;
mod words;

use self::script::Script;
use self::stage::Stage;

/// Connections at one time.
const LINES: usize = 4;

/// What the gate was told that the oracle must know.
#[derive(Debug, Clone, Copy)]
struct Limits {
    session_expiry_seconds: u32,
    topic_alias_max: u16,
    subscriptions: usize,
    retained_messages: usize,
}

/// Plays the script that the bytes are. With the variable `MILLRACE_FUZZ_EXPLAIN` the steps are
/// written to stderr.
pub(super) fn play(data: &[u8]) {
    let explains = std::env::var_os("MILLRACE_FUZZ_EXPLAIN").is_some();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs no more than a thread has");
    runtime.block_on(async {
        let (setting, script) = Script::of(data);
        let mut stage = Stage::set(setting);
        for (number, step) in script.enumerate() {
            if explains {
                eprintln!("{number:>3}  {step:?}");
            }
            stage.take(step).await;
        }
        stage.end().await;
    });
}
