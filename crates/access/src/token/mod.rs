//! JSON web tokens (RFC 7519): what a client may bring instead of a password.
//!
//! Owns: which tokens are believed, and what their claims mean here. Never: issues one, or writes
//! one to a log. Invariant: one algorithm, named by the configuration; what a token says about its
//! own algorithm can only make it fail, and what it says about its key only chooses among those
//! that are configured.

mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use crate::config::ConfigError;
use crate::identity::{Identity, Voucher};
use crate::reload::Taken;
pub use keys::KeyError;
pub(crate) use keys::KeyId;
use keys::{Keys, Origin};

/// `[broker.auth.jwt]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How tokens are signed.
    pub algorithm: Algorithm,
    /// `file:PATH` or `env:NAME`: the secret of HS256 (at least 32 bytes), public keys in PEM, or a
    /// JWK set.
    pub key: String,
    /// What `iss` must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What `aud` must contain. A token with an audience is refused where none is configured (RFC
    /// 7519, section 4.1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The claim that names the user.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// A claim that the user name of the CONNECT must equal; without it, the user name does not
    /// matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name_claim: Option<String>,
    /// A claim with the user's groups: an array of names, or one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Variables for access rules, and the claims that give them: `{ site = "site" }` is `%{site}`
    /// there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// How far the issuer's clock may be off.
    #[serde(default = "default_leeway", with = "humantime_serde")]
    pub leeway: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: one secret for issuer and broker.
    HS256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

fn default_user_claim() -> String {
    "sub".into()
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

/// Groups of one token: each is compared with every rule's.
const GROUPS_MAX: usize = 100;
/// A clock that is further off is not off, it is wrong.
const LEEWAY_MAX: Duration = Duration::from_secs(3600);

/// Believes tokens of one issuer.
pub struct Tokens {
    keys: ArcSwap<Keys>,
    origin: Origin,
    validation: Validation,
    config: Config,
}

/// What a believed token says.
#[derive(Debug)]
pub(crate) struct Believed {
    pub(crate) user: Box<str>,
    pub(crate) groups: Vec<Box<str>>,
    pub(crate) variables: Box<[(Box<str>, Box<str>)]>,
    /// Seconds since 1970, leeway included.
    pub(crate) expires_at: u64,
    /// What it is signed with.
    pub(crate) key: KeyId,
}

/// Why a token is not believed; a bounded set, for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disbelief {
    Malformed,
    Algorithm,
    Signature,
    Expired,
    Immature,
    Issuer,
    Audience,
    MissingClaim,
    UserName,
}

impl Config {
    /// The key is written `file:PATH` or `env:NAME`; everything else is as it is by default.
    pub fn new(algorithm: Algorithm, key: impl Into<String>) -> Config {
        Config {
            algorithm,
            key: key.into(),
            issuer: None,
            audience: None,
            user_claim: default_user_claim(),
            user_name_claim: None,
            groups_claim: None,
            variables: BTreeMap::new(),
            leeway: default_leeway(),
        }
    }

    /// Checks the values and reads the keys.
    pub(crate) fn validate(&self) -> Result<Tokens, ConfigError> {
        for (name, claim) in &self.variables {
            let is_word = |name: &str| {
                name.starts_with(|first: char| first.is_ascii_lowercase())
                    && name.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
                    })
            };
            if !is_word(name) || claim.is_empty() {
                return Err(wrong(
                    "auth.jwt.variables",
                    format!("`{name}` is no name of a variable, or has no claim"),
                    "write small letters, digits and `_`: { site = \"site\" }",
                ));
            }
        }
        if self.user_claim.is_empty() {
            return Err(wrong(
                "auth.jwt.user_claim",
                "is empty".into(),
                "name the claim that holds the user, such as \"sub\"",
            ));
        }
        if self.leeway > LEEWAY_MAX {
            return Err(wrong(
                "auth.jwt.leeway",
                "must not be longer than 1h".into(),
                "set the clocks instead",
            ));
        }
        let origin = Origin::parse(&self.key).ok_or_else(|| {
            wrong(
                "auth.jwt.key",
                "is neither a file nor a variable".into(),
                "write \"file:PATH\" or \"env:NAME\"; the key itself does not belong here",
            )
        })?;
        let read = origin.read();
        let keys = read.and_then(|bytes| Keys::parse(self.algorithm, &bytes));
        let keys = keys.map_err(|error| ConfigError {
            key: "auth.jwt.key".into(),
            problem: "cannot be used".into(),
            hint: Some(error.hint().into()),
            source: Some(Box::new(error)),
        })?;
        Ok(Tokens {
            keys: ArcSwap::from_pointee(keys),
            origin,
            validation: self.validation(),
            config: self.clone(),
        })
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.algorithm.into());
        // In whole seconds, and not less than was asked for.
        validation.leeway = self.leeway.as_secs() + u64::from(self.leeway.subsec_nanos() > 0);
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
        match algorithm {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

impl Tokens {
    /// Where the keys are, if that can change.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Variable(_) => None,
        }
    }

    /// Takes over the keys that are there now.
    pub fn take(&self) -> Result<Taken, KeyError> {
        let keys = Keys::parse(self.config.algorithm, &self.origin.read()?)?;
        if keys.is_as(&self.keys.load()) {
            return Ok(Taken::Same);
        }
        info!(keys = keys.len(), "took up new keys of tokens");
        self.keys.store(Arc::new(keys));
        Ok(Taken::New)
    }

    /// Whether tokens that are signed with the key are still believed.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.load().contains(key)
    }

    /// Algorithm and number of keys, for people.
    pub fn describe(&self) -> String {
        let keys = self.keys.load().len();
        let plural = if keys == 1 { "" } else { "s" };
        format!("{:?}, {keys} key{plural}", self.config.algorithm)
    }

    /// Whether checking takes long enough to matter to the thread it runs on: public keys take some
    /// hundred microseconds.
    pub(crate) fn is_slow(&self) -> bool {
        self.config.algorithm != Algorithm::HS256
    }

    /// Whether the password is meant to be a token: three parts of base64url, of which the first is
    /// a JSON object.
    pub(crate) fn is_meant(password: &[u8]) -> bool {
        let is_part = |part: &[u8]| {
            part.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
        };
        password.starts_with(b"eyJ")
            && password.split(|byte| *byte == b'.').count() == 3
            && password.split(|byte| *byte == b'.').all(is_part)
    }

    /// What the token says, if it is to be believed now. `user_name` is that of the CONNECT.
    pub(crate) fn judge(
        &self,
        token: &[u8],
        user_name: Option<&str>,
    ) -> Result<Believed, Disbelief> {
        let (claims, key) = self.claims(token)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if let Some(claim) = &self.config.user_name_claim
            && text(claim).is_none_or(|expected| user_name != Some(expected))
        {
            return Err(Disbelief::UserName);
        }
        let user = text(&self.config.user_claim)
            .filter(|user| !user.is_empty())
            .ok_or(Disbelief::MissingClaim)?;
        let groups = self
            .config
            .groups_claim
            .as_ref()
            .and_then(|name| claims.get(name));
        let expires_at = claims
            .get("exp")
            .and_then(seconds)
            .ok_or(Disbelief::MissingClaim)?;
        Ok(Believed {
            user: user.into(),
            groups: groups.map(names).unwrap_or_default(),
            // Sorted by name, as the map is.
            variables: self
                .config
                .variables
                .iter()
                .filter_map(|(name, claim)| {
                    Some((name.as_str().into(), plain(claims.get(claim)?)?))
                })
                .collect(),
            expires_at: expires_at.saturating_add(self.validation.leeway),
            key,
        })
    }

    /// The claims of a token that one of the keys has signed and that is valid now, and that key.
    fn claims(&self, token: &[u8]) -> Result<(BTreeMap<String, Value>, KeyId), Disbelief> {
        let header = jsonwebtoken::decode_header(token);
        let header = header.map_err(|error| disbelief(error.kind()))?;
        let keys = self.keys.load();
        for key in keys.of_name(header.kid.as_deref()) {
            match jsonwebtoken::decode(token, &key.decoding, &self.validation) {
                Ok(decoded) => return Ok((decoded.claims, Arc::clone(&key.id))),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(error) => return Err(disbelief(error.kind())),
            }
        }
        Err(Disbelief::Signature)
    }
}

/// Without the keys.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Disbelief {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Disbelief::Malformed => "the token is none",
            Disbelief::Algorithm => "the token is signed with another algorithm",
            Disbelief::Signature => "the token is signed with another key",
            Disbelief::Expired => "the token has expired",
            Disbelief::Immature => "the token is not valid yet",
            Disbelief::Issuer => "the token is of another issuer",
            Disbelief::Audience => "the token is for another audience",
            Disbelief::MissingClaim => "the token lacks a claim",
            Disbelief::UserName => "the user name is another than the token's",
        }
    }
}

impl Believed {
    /// The client's identity, with what the users file says about a user of that name.
    pub(crate) fn identity(self, groups_of_user: &[Box<str>]) -> Identity {
        let mut groups = self.groups;
        groups.extend(groups_of_user.iter().cloned());
        groups.sort_unstable();
        groups.dedup();
        Identity {
            user: self.user,
            vouched_by: Voucher::Token,
            groups: Arc::from(groups),
            variables: self.variables,
            expires_at: Some(self.expires_at),
            token_key: Some(self.key),
            ..Identity::default()
        }
    }
}

fn wrong(key: &'static str, problem: String, hint: &str) -> ConfigError {
    ConfigError {
        key: key.into(),
        problem,
        hint: Some(hint.into()),
        source: None,
    }
}

fn disbelief(kind: &ErrorKind) -> Disbelief {
    match kind {
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Disbelief::Algorithm,
        ErrorKind::InvalidSignature => Disbelief::Signature,
        ErrorKind::ExpiredSignature => Disbelief::Expired,
        ErrorKind::ImmatureSignature => Disbelief::Immature,
        ErrorKind::InvalidIssuer => Disbelief::Issuer,
        ErrorKind::InvalidAudience => Disbelief::Audience,
        ErrorKind::MissingRequiredClaim(_) => Disbelief::MissingClaim,
        _ => Disbelief::Malformed,
    }
}

/// A NumericDate: whole or fractional seconds.
fn seconds(value: &Value) -> Option<u64> {
    let fractional = || value.as_f64().filter(|seconds| *seconds >= 0.0);
    value
        .as_u64()
        .or_else(|| fractional().map(|seconds| seconds as u64))
}

fn names(value: &Value) -> Vec<Box<str>> {
    let name = |value: &Value| {
        value
            .as_str()
            .filter(|name| !name.is_empty())
            .map(Into::into)
    };
    match value {
        Value::Array(values) => values.iter().filter_map(name).take(GROUPS_MAX).collect(),
        value => name(value).into_iter().collect(),
    }
}

/// A text, number or boolean as it stands in a topic.
fn plain(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(bool) => Some(bool.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
