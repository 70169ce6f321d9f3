//! Keys of tokens that change while clients are logged in by them.
//!
//! Owns: the end of the connections whose token no key vouches for any more. Never: reads the keys
//! itself. Invariant: a connection whose token's key is gone is ended with the same look that found
//! it gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::reload::{Fault, Source, Taken};
use access::token::Tokens;
use mqtt::ReasonCode;
use tracing::info;

use crate::gate::Gate;

/// The file of the keys. Connections whose token is signed with a key that is gone end.
pub(crate) struct TokenKeys {
    gate: Arc<Gate>,
    tokens: Arc<Tokens>,
    file: PathBuf,
}

impl TokenKeys {
    /// `None`: there are no tokens, or their key cannot change.
    pub(crate) fn of(gate: &Arc<Gate>) -> Option<TokenKeys> {
        let tokens = Arc::clone(gate.authenticator.tokens()?);
        Some(TokenKeys {
            file: tokens.file()?.to_owned(),
            gate: Arc::clone(gate),
            tokens,
        })
    }
}

impl Source for TokenKeys {
    fn name(&self) -> String {
        format!("keys of tokens in `{}`", self.file.display())
    }

    fn files(&self) -> Vec<&Path> {
        vec![&self.file]
    }

    fn take(&self) -> Result<Taken, Fault> {
        let taken = self.tokens.take()?;
        if taken == Taken::New {
            let closed = self
                .gate
                .registry
                .close_where(ReasonCode::NotAuthorized, |session| {
                    let key = &session.identity().token_key;
                    key.as_ref().is_some_and(|key| !self.tokens.knows(key))
                });
            if closed > 0 {
                info!(closed, "connections whose token's key is gone ended");
            }
        }
        Ok(taken)
    }
}
