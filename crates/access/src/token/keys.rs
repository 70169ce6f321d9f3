//! The keys that tokens are believed by: one secret or public key, or several while one takes over
//! from another.
//!
//! Owns: where they are written and in which formats. Never: shows a key, or any of its text, in an
//! error. Invariant: `Keys` holds one key at least, and all are for the algorithm that was asked
//! for.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse, ThumbprintHash,
};

use super::Algorithm;
use crate::reload::Fault;

/// RFC 7518, section 3.2: a key of HS256 is at least as long as its hash.
const SECRET_BYTES_MIN: usize = 32;
/// RFC 7518, section 3.3: 2,048 bits.
const MODULUS_BYTES_MIN: usize = 256;
/// A key file is a few KB, and a set of an issuer some ten; more is another file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// A token that does not say which key it is signed with is tried with each; two are enough to
/// rotate.
const KEYS_MAX: usize = 16;
/// The first character of a JWK set, and of nothing else that is a key.
const SET_BEGIN: u8 = b'{';
const PEM_BEGIN: &str = "-----BEGIN";

/// Where keys are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    /// Of the environment; it never changes.
    Variable(String),
}

/// Why there are no keys that could be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the variable `{0}` is not set")]
    Unset(String),
    #[error("a secret has fewer than {SECRET_BYTES_MIN} bytes")]
    Short,
    #[error("a key of RS256 has fewer than 2048 bits")]
    Weak,
    #[error("there is no public key for {0:?}")]
    NoPem(Algorithm),
    #[error("not a JWK set: a mistake in line {line}, column {column}")]
    NoSet { line: usize, column: usize },
    #[error("the JWK set has no key for {0:?}")]
    EmptySet(Algorithm),
    #[error("key {index} of the JWK set cannot be used")]
    Malformed { index: usize },
    #[error("there are more than {KEYS_MAX} keys")]
    Many,
}

/// Keys that are good at the same time.
pub(super) struct Keys(Vec<Key>);

pub(super) struct Key {
    /// What it is called in tokens (`kid`), if it has a name.
    name: Option<Box<str>>,
    pub(super) id: KeyId,
    pub(super) decoding: DecodingKey,
}

/// The same for the same key in whatever format (RFC 7638).
pub(crate) type KeyId = Arc<str>;

impl Origin {
    /// `file:PATH` or `env:NAME`.
    pub(super) fn parse(written: &str) -> Option<Origin> {
        let file = || Some(Origin::File(written.strip_prefix("file:")?.into()));
        let variable = || Some(Origin::Variable(written.strip_prefix("env:")?.into()));
        file().or_else(variable)
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, KeyError> {
        match self {
            Origin::File(path) => read(path).map_err(|source| KeyError::Read {
                path: path.clone(),
                source,
            }),
            Origin::Variable(name) => std::env::var(name)
                .map(String::into_bytes)
                .map_err(|_| KeyError::Unset(name.clone())),
        }
    }
}

impl KeyError {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            KeyError::Read { .. } | KeyError::Unset(_) => {
                "write \"file:PATH\" or \"env:NAME\"; the key itself does not belong here"
            }
            KeyError::Short => "make one with `openssl rand -hex 32`",
            KeyError::Weak => "have the issuer use a longer key, or ES256",
            KeyError::NoPem(_) => {
                "a PEM file that begins with `-----BEGIN PUBLIC KEY-----` is needed, or a JWK set"
            }
            KeyError::NoSet { .. } | KeyError::EmptySet(_) | KeyError::Malformed { .. } => {
                "what begins with `{` is read as a JWK set (RFC 7517): { \"keys\": [ … ] }"
            }
            KeyError::Many => "leave out those that no valid token is signed with any more",
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Fault {
        match error {
            KeyError::Read { .. } => Fault::unreadable(&error),
            _ => Fault::wrong(&error),
        }
    }
}

impl Keys {
    /// A JWK set; or else a secret of HS256, or public keys in PEM.
    pub(super) fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<Keys, KeyError> {
        let keys = if bytes.trim_ascii_start().first() == Some(&SET_BEGIN) {
            from_set(algorithm, bytes)?
        } else if algorithm == Algorithm::HS256 {
            // A line end that an editor or `echo` left.
            let secret = DecodingKey::from_secret(bytes.trim_ascii_end());
            vec![Key::new(algorithm, None, secret)?]
        } else {
            from_pem(algorithm, bytes)?
        };
        match keys.len() {
            0..=KEYS_MAX => Ok(Keys(keys)),
            _ => Err(KeyError::Many),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that a token may be signed with: the one it names; if none is called so, those without
    /// a name; all, if it names none.
    pub(super) fn of_name<'k>(&'k self, name: Option<&'k str>) -> impl Iterator<Item = &'k Key> {
        let is_known = name.is_some() && self.0.iter().any(|key| key.name.as_deref() == name);
        self.0.iter().filter(move |key| {
            if is_known {
                key.name.as_deref() == name
            } else {
                name.is_none() || key.name.is_none()
            }
        })
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|key| &*key.id == id)
    }

    /// Whether both believe the same tokens.
    pub(super) fn is_as(&self, other: &Keys) -> bool {
        let parts = |keys: &Keys| -> Vec<_> {
            let parts = keys.0.iter().map(|key| (key.id.clone(), key.name.clone()));
            parts.collect()
        };
        parts(self) == parts(other)
    }
}

impl Key {
    /// Looks closer than the decoder does: a key that is too short for its purpose is refused here,
    /// not met by clients.
    fn new(
        algorithm: Algorithm,
        name: Option<String>,
        decoding: DecodingKey,
    ) -> Result<Key, KeyError> {
        let unusable = || KeyError::NoPem(algorithm);
        let public = Jwk::from_decoding_key(&decoding, None).map_err(|_| unusable())?;
        match &public.algorithm {
            AlgorithmParameters::OctetKey(key) if decoded_len(&key.value) < SECRET_BYTES_MIN => {
                return Err(KeyError::Short);
            }
            AlgorithmParameters::RSA(key) if decoded_len(&key.n) < MODULUS_BYTES_MIN => {
                return Err(KeyError::Weak);
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve != EllipticCurve::P256 => {
                return Err(unusable());
            }
            _ => {}
        }
        let id = public.thumbprint(ThumbprintHash::SHA256);
        Ok(Key {
            name: name.map(String::into_boxed_str),
            id: id.map_err(|_| unusable())?.into(),
            decoding,
        })
    }
}

/// One key for each block, all of the same kind.
fn from_pem(algorithm: Algorithm, bytes: &[u8]) -> Result<Vec<Key>, KeyError> {
    let unusable = |_| KeyError::NoPem(algorithm);
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NoPem(algorithm))?;
    let begins: Vec<_> = text.match_indices(PEM_BEGIN).map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([text.len()]);
    let blocks = begins.iter().zip(ends).map(|(begin, end)| {
        let block = &bytes[*begin..end];
        let decoding = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(block),
            _ => DecodingKey::from_ec_pem(block),
        };
        Key::new(algorithm, None, decoding.map_err(unusable)?)
    });
    let keys: Vec<_> = blocks.collect::<Result<_, _>>()?;
    if keys.is_empty() {
        Err(KeyError::NoPem(algorithm))
    } else {
        Ok(keys)
    }
}

/// Those keys of a set that are meant for the algorithm; an issuer may publish others beside them.
fn from_set(algorithm: Algorithm, bytes: &[u8]) -> Result<Vec<Key>, KeyError> {
    // The parser's own words may quote what it read.
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| KeyError::NoSet {
        line: error.line(),
        column: error.column(),
    })?;
    let mut keys = Vec::new();
    for (index, jwk) in set.keys.into_iter().enumerate() {
        if !is_meant_for(algorithm, &jwk) {
            continue;
        }
        let malformed = |_| KeyError::Malformed { index };
        let decoding = DecodingKey::from_jwk(&jwk).map_err(malformed)?;
        let key = Key::new(algorithm, jwk.common.key_id, decoding);
        keys.push(key.map_err(|error| match error {
            KeyError::NoPem(_) => KeyError::Malformed { index },
            error => error,
        })?);
    }
    if keys.is_empty() {
        Err(KeyError::EmptySet(algorithm))
    } else {
        Ok(keys)
    }
}

fn is_meant_for(algorithm: Algorithm, jwk: &Jwk) -> bool {
    let fits = match (&jwk.algorithm, algorithm) {
        (AlgorithmParameters::OctetKey(_), Algorithm::HS256)
        | (AlgorithmParameters::RSA(_), Algorithm::RS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        _ => false,
    };
    let common = &jwk.common;
    let own = jsonwebtoken::Algorithm::from(algorithm).into();
    fits && common.key_algorithm.is_none_or(|named| named == own)
        && !matches!(&common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// Bytes that a text of base64url without padding stands for.
fn decoded_len(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large.
    let mut bounded = File::open(path)?.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        0..=FILE_BYTES_MAX => Ok(bytes),
        _ => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {} KiB", FILE_BYTES_MAX / 1024),
        )),
    }
}
