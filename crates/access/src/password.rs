//! Passwords: how they are hashed, checked and made up.
//!
//! Owns: the cost of a hash. Never: keeps a password. Invariant: a hash says how it was made, so
//! the cost can be raised without a user noticing, and its text never shows up in a debug output.

use std::fmt;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, RECOMMENDED_SALT_LEN, Version};
use ring::rand::{SecureRandom, SystemRandom};

/// Memory for one hash, and passes over it: the argon2id parameters of OWASP's Password Storage
/// Cheat Sheet (2025: "19 MiB of memory, an iteration count of 2, and 1 degree of parallelism").
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// What a hash in a user file may ask for at most: beyond it one login could take the machine's
/// memory or minutes.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 100;

/// glibc takes what is larger than 32 MiB from the system each time and gives it back when it is
/// freed. What is smaller it keeps, once for every thread that ever hashed: a storm of logins left
/// hundreds of megabytes behind. Room that is not touched costs nothing.
const MEMORY_BLOCKS_MIN: usize = 33 * 1024;

/// A generated password has so many letters and digits: 24 of 32 are 120 bits, and four groups of
/// six can be typed.
const GENERATED_LENGTH: usize = 24;
const GENERATED_GROUP: usize = 6;
/// Without those that are taken for each other (i, l, o, u; 32 of them, so that a random byte
/// chooses evenly).
const GENERATED_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An argon2id hash in the PHC string format, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(phc::PasswordHash);

/// Why a text is no usable hash, or a password could not be hashed. Never says what the text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("is not a hash in the PHC format, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`")]
    NotAHash,
    #[error("is not an argon2id hash")]
    NotArgon2id,
    #[error("asks for more than {MEMORY_KIB_MAX} KiB of memory or {PASSES_MAX} passes")]
    TooExpensive,
    #[error("cannot be hashed: the system gives no random numbers, or no memory")]
    NoResources,
    #[error("is empty")]
    Empty,
}

impl PasswordHash {
    /// Reads a hash as it stands in a user file.
    pub fn parse(text: &str) -> Result<PasswordHash, PasswordError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| PasswordError::NotAHash)?;
        if hash.algorithm != ARGON2ID_IDENT {
            return Err(PasswordError::NotArgon2id);
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordError::NotAHash);
        }
        let params = Params::try_from(&hash).map_err(|_| PasswordError::NotAHash)?;
        if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
            return Err(PasswordError::TooExpensive);
        }
        Ok(PasswordHash(hash))
    }

    /// Hashes a password with a fresh salt at today's cost; takes tens of milliseconds and 19 MiB.
    pub fn create(password: &[u8]) -> Result<PasswordHash, PasswordError> {
        PasswordHash::create_at(password, MEMORY_KIB, PASSES)
    }

    /// The same at another cost. A cost below the default's is for tests: it makes guessing cheap.
    pub fn create_at(
        password: &[u8],
        memory_kib: u32,
        passes: u32,
    ) -> Result<PasswordHash, PasswordError> {
        if password.is_empty() {
            return Err(PasswordError::Empty);
        }
        let params =
            Params::new(memory_kib, passes, 1, None).map_err(|_| PasswordError::TooExpensive)?;
        let mut salt = [0; RECOMMENDED_SALT_LEN];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| PasswordError::NoResources)?;
        let described = ParamsString::try_from(&params)
            .ok()
            .zip(Salt::new(&salt).ok());
        let (described, salt) = described.ok_or(PasswordError::TooExpensive)?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = output(&hasher, password, &salt, Params::DEFAULT_OUTPUT_LEN);
        Ok(PasswordHash(phc::PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: described,
            salt: Some(salt),
            hash: Some(hash.ok_or(PasswordError::NoResources)?),
        }))
    }

    /// Whether the password is the one that was hashed. Takes as long as `create` did: not for a
    /// thread that serves others.
    pub fn verify(&self, password: &[u8]) -> bool {
        let hash = &self.0;
        // `parse` took none without them.
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return false;
        };
        let version = hash
            .version
            .map_or(Ok(Version::default()), Version::try_from);
        let (Ok(version), Ok(params)) = (version, Params::try_from(hash)) else {
            return false;
        };
        let hasher = Argon2::new(Algorithm::Argon2id, version, params);
        // Outputs are compared in constant time.
        output(&hasher, password, salt, expected.len()).is_some_and(|output| output == *expected)
    }

    /// A hash of nothing anybody knows, at the same cost: to be verified in place of a user who
    /// does not exist.
    pub(crate) fn decoy(&self) -> Option<PasswordHash> {
        let mut decoy = self.0.clone();
        let mut output = [0; 32];
        SystemRandom::new().fill(&mut output).ok()?;
        decoy.hash = Some(Output::new(&output).ok()?);
        Some(PasswordHash(decoy))
    }
}

/// `None` when there is no memory.
fn output(hasher: &Argon2<'_>, password: &[u8], salt: &Salt, length: usize) -> Option<Output> {
    let count = hasher.params().block_count();
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(count.max(MEMORY_BLOCKS_MIN))
        .ok()?;
    memory.resize(count, Block::new());
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..length)?;
    hasher
        .hash_password_into_with_memory(password, salt, bytes, &mut memory[..])
        .ok()?;
    Output::new(bytes).ok()
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// A password that nobody guesses, in groups that can be typed: `k3v9xw-0zt4hc-…`.
pub fn generate_password() -> Result<String, PasswordError> {
    let mut random = [0; GENERATED_LENGTH];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| PasswordError::NoResources)?;
    let groups: Vec<String> = random
        .chunks(GENERATED_GROUP)
        .map(|group| group.iter().copied().map(letter).collect())
        .collect();
    Ok(groups.join("-"))
}

fn letter(random: u8) -> char {
    GENERATED_ALPHABET[usize::from(random) % GENERATED_ALPHABET.len()].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_keeps_its_parameters_and_knows_its_password() {
        let hash = PasswordHash::create_at(b"secret", 64, 1).expect("hashed");
        let text = hash.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{text}");
        let read = PasswordHash::parse(&text).expect("our own");
        assert!(read.verify(b"secret"));
        assert!(!read.verify(b"Secret"));
        assert!(!read.verify(b""));
        assert!(!read.decoy().expect("random").verify(b"secret"));
        assert_eq!(format!("{read:?}"), "PasswordHash");
    }

    /// Made with the reference implementation (argon2-cffi), which chose another cost and other
    /// lengths.
    #[test]
    fn a_hash_of_another_tool_is_known() {
        let text = "$argon2id$v=19$m=64,t=3,p=2$fph567WSUYcSn/+9$1eixo/Zfs4ToXnGUrpAZkX9Y431IXUH4";
        let hash = PasswordHash::parse(text).expect("a good one");
        assert!(hash.verify(b"secret"));
        assert!(!hash.verify(b"secret "));
        assert_eq!(hash.to_string(), text);
    }

    #[test]
    fn a_new_hash_has_the_recommended_cost() {
        let text = PasswordHash::create(b"secret").expect("hashed").to_string();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        assert_eq!(
            PasswordHash::create(b"").expect_err("empty"),
            PasswordError::Empty
        );
    }

    #[test]
    fn what_is_not_a_usable_hash_is_refused() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$\
                             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (text, expected) in [
            ("secret", PasswordError::NotAHash),
            ("", PasswordError::NotAHash),
            ("$argon2id$v=19$m=64,t=1,p=1", PasswordError::NotAHash),
            (
                &format!("$argon2i$v=19$m=64,t=1,p=1${salt_and_hash}"),
                PasswordError::NotArgon2id,
            ),
            (
                &format!("$argon2id$v=19$m=4194304,t=1,p=1${salt_and_hash}"),
                PasswordError::TooExpensive,
            ),
            (
                &format!("$argon2id$v=19$m=64,t=4000,p=1${salt_and_hash}"),
                PasswordError::TooExpensive,
            ),
        ] {
            assert_eq!(
                PasswordHash::parse(text).expect_err(text),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_generated_password_can_be_typed_and_is_never_the_same() {
        let password = generate_password().expect("random");
        assert_eq!(password.len(), 27);
        assert!(
            password
                .bytes()
                .all(|byte| byte == b'-' || GENERATED_ALPHABET.contains(&byte)),
            "{password}"
        );
        assert_ne!(password, generate_password().expect("random"));
    }
}
