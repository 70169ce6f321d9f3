//! JSON web tokens (RFC 7519): what a client may bring instead of a password.
//!
//! Owns: which tokens are believed, and what their claims mean here. Never: issues one, or writes one to a log. Invariant: one
//! algorithm and one key, named by the configuration; what a token says about its own algorithm can only make it fail.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::Identity;
use crate::config::ConfigError;

/// `[broker.auth.jwt]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How tokens are signed.
    pub algorithm: Algorithm,
    /// `file:PATH` or `env:NAME`: the secret of HS256 (at least 32 bytes), or the public key in PEM.
    pub key: String,
    /// What `iss` must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What `aud` must contain. A token with an audience is refused where none is configured (RFC 7519, section 4.1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The claim that names the user.
    #[serde(default = "default_user_claim")]
    pub user_claim: String,
    /// A claim that the user name of the CONNECT must equal; without it, the user name does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name_claim: Option<String>,
    /// A claim with the user's groups: an array of names, or one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Variables for access rules, and the claims that give them: `{ site = "site" }` is `%{site}` there.
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

/// RFC 7518, section 3.2: a key of HS256 is at least as long as its hash.
const SECRET_BYTES_MIN: usize = 32;
/// A key file is a few KB; more is another file.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Groups of one token: each is compared with every rule's.
const GROUPS_MAX: usize = 100;
/// A clock that is further off is not off, it is wrong.
const LEEWAY_MAX: Duration = Duration::from_secs(3600);

/// Believes tokens of one issuer.
#[derive(Debug)]
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
    config: Config,
}

/// What a believed token says.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) user: Box<str>,
    pub(super) groups: Vec<Box<str>>,
    pub(super) variables: Box<[(Box<str>, Box<str>)]>,
    /// Seconds since 1970, leeway included.
    pub(super) expires_at: u64,
}

/// Why a token is not believed; a bounded set, for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disbelief {
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

    /// Checks the values and reads the key.
    pub(super) fn validate(&self) -> Result<Tokens, ConfigError> {
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
        let key = self.decoding_key(&self.key_bytes()?)?;
        Ok(Tokens {
            key,
            validation: self.validation(),
            config: self.clone(),
        })
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(match self.algorithm {
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        });
        validation.leeway = self.leeway.as_secs();
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

    fn key_bytes(&self) -> Result<Vec<u8>, ConfigError> {
        let hint = "write \"file:PATH\" or \"env:NAME\"; the key itself does not belong here";
        if let Some(path) = self.key.strip_prefix("file:") {
            read_key(Path::new(path))
                .map_err(|error| wrong("auth.jwt.key", format!("names `{path}`: {error}"), hint))
        } else if let Some(name) = self.key.strip_prefix("env:") {
            std::env::var(name).map(String::into_bytes).map_err(|_| {
                let problem = format!("names the variable `{name}`, which is not set");
                wrong("auth.jwt.key", problem, hint)
            })
        } else {
            Err(wrong(
                "auth.jwt.key",
                "is neither a file nor a variable".into(),
                hint,
            ))
        }
    }

    fn decoding_key(&self, bytes: &[u8]) -> Result<DecodingKey, ConfigError> {
        let not_pem = |_| {
            wrong(
                "auth.jwt.key",
                format!("holds no public key for {:?}", self.algorithm),
                "a PEM file that begins with `-----BEGIN PUBLIC KEY-----` is needed",
            )
        };
        match self.algorithm {
            Algorithm::HS256 => {
                // A line end that an editor or `echo` left.
                let secret = bytes.trim_ascii_end();
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(wrong(
                        "auth.jwt.key",
                        format!("holds fewer than {SECRET_BYTES_MIN} bytes"),
                        "make one with `openssl rand -hex 32`",
                    ));
                }
                Ok(DecodingKey::from_secret(secret))
            }
            Algorithm::RS256 => DecodingKey::from_rsa_pem(bytes).map_err(not_pem),
            Algorithm::ES256 => DecodingKey::from_ec_pem(bytes).map_err(not_pem),
        }
    }
}

impl Tokens {
    /// Whether checking takes long enough to matter to the thread it runs on: public keys take some hundred microseconds.
    pub(super) fn is_slow(&self) -> bool {
        self.config.algorithm != Algorithm::HS256
    }

    /// Whether the password is meant to be a token: three parts of base64url, of which the first is a JSON object.
    pub(super) fn is_meant(password: &[u8]) -> bool {
        let is_part = |part: &[u8]| {
            part.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
        };
        password.starts_with(b"eyJ")
            && password.split(|byte| *byte == b'.').count() == 3
            && password.split(|byte| *byte == b'.').all(is_part)
    }

    /// What the token says, if it is to be believed now. `user_name` is that of the CONNECT.
    pub(super) fn judge(
        &self,
        token: &[u8],
        user_name: Option<&str>,
    ) -> Result<Believed, Disbelief> {
        let decoded =
            jsonwebtoken::decode::<BTreeMap<String, Value>>(token, &self.key, &self.validation)
                .map_err(|error| disbelief(error.kind()))?;
        let claims = decoded.claims;
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
        })
    }
}

impl Disbelief {
    pub(super) fn words(self) -> &'static str {
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
    pub(super) fn identity(self, groups_of_user: &[Box<str>]) -> Identity {
        let mut groups = self.groups;
        groups.extend(groups_of_user.iter().cloned());
        groups.sort_unstable();
        groups.dedup();
        Identity {
            user: self.user,
            groups: Arc::from(groups),
            variables: self.variables,
            expires_at: Some(self.expires_at),
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

fn read_key(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(KEY_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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
