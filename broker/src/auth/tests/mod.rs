//! Who is let in, as tables; over sockets it is tried in `broker/tests/auth`.

mod judge;
mod keys;
mod reload;
mod token;

use super::PasswordHash;

/// A hash that costs a test nothing.
fn hash(password: &str) -> PasswordHash {
    PasswordHash::create_at(password.as_bytes(), 8, 1).expect("hashed")
}
