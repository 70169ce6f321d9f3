//! Which tokens are believed, and what their claims mean.

mod keys;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::{Config, Disbelief, Tokens};
use crate::error_chain::error_chain;

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

pub(super) fn config(algorithm: &str, key: &Path, rest: &str) -> Config {
    let text = format!(
        "algorithm = '{algorithm}'\nkey = 'file:{}'\n{rest}",
        key.display()
    );
    toml::from_str(&text).expect("a configuration")
}

/// Believes HS256 tokens by `SECRET`.
fn tokens(rest: &str) -> Tokens {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("secret");
    fs::write(&key, format!("{SECRET}\n")).expect("written");
    config("HS256", &key, rest).validate().expect("valid")
}

fn sign(claims: &Value) -> String {
    sign_with(&Header::default(), claims, SECRET.as_bytes())
}

pub(super) fn sign_with(header: &Header, claims: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret)).expect("signed")
}

#[test]
fn what_a_token_says_is_believed_only_when_everything_fits() {
    let tokens = tokens(
        "issuer = 'https://issuer'\naudience = 'millrace'\nuser_name_claim = 'name'\nleeway = '10s'\n",
    );
    let good = json!({
        "sub": "meter-1", "name": "m", "iss": "https://issuer", "aud": ["other", "millrace"],
        "exp": now() + 60, "nbf": now() - 60,
    });
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(key);
        claims
    };
    let cases: &[(&str, Value, Result<(), Disbelief>)] = &[
        ("as it should be", good.clone(), Ok(())),
        (
            "expired within the leeway",
            with("exp", json!(now() - 5)),
            Ok(()),
        ),
        (
            "expired",
            with("exp", json!(now() - 30)),
            Err(Disbelief::Expired),
        ),
        ("for ever", without("exp"), Err(Disbelief::MissingClaim)),
        (
            "no time",
            with("exp", json!("tomorrow")),
            Err(Disbelief::MissingClaim),
        ),
        (
            "not yet",
            with("nbf", json!(now() + 60)),
            Err(Disbelief::Immature),
        ),
        ("soon", with("nbf", json!(now() + 5)), Ok(())),
        ("valid from the start", without("nbf"), Ok(())),
        (
            "of somebody else",
            with("iss", json!("https://evil")),
            Err(Disbelief::Issuer),
        ),
        ("of nobody", without("iss"), Err(Disbelief::MissingClaim)),
        (
            "for somebody else",
            with("aud", json!("other")),
            Err(Disbelief::Audience),
        ),
        ("for nobody", without("aud"), Err(Disbelief::MissingClaim)),
        ("for us alone", with("aud", json!("millrace")), Ok(())),
        (
            "without a user",
            without("sub"),
            Err(Disbelief::MissingClaim),
        ),
        (
            "of a user without a name",
            with("sub", json!("")),
            Err(Disbelief::MissingClaim),
        ),
        (
            "of a number",
            with("sub", json!(7)),
            Err(Disbelief::MissingClaim),
        ),
        (
            "of another name",
            with("name", json!("n")),
            Err(Disbelief::UserName),
        ),
        (
            "without the name",
            without("name"),
            Err(Disbelief::UserName),
        ),
    ];
    for (what, claims, expected) in cases {
        let judged = tokens.judge(sign(claims).as_bytes(), Some("m"));
        assert_eq!(judged.map(|_| ()), *expected, "{what}");
    }
    let judged = tokens.judge(sign(&good).as_bytes(), None);
    assert_eq!(judged.map(|_| ()), Err(Disbelief::UserName));
}

#[test]
fn how_it_is_signed_is_for_the_configuration_to_say() {
    let tokens = tokens("");
    let claims = json!({ "sub": "a", "exp": now() + 60 });
    let good = sign(&claims);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let stronger = Header::new(jsonwebtoken::Algorithm::HS512);
    let other_payload = sign(&json!({ "sub": "admin", "exp": now() + 60 }));
    let other_payload = other_payload.split('.').nth(1).expect("three parts");
    for (what, token, expected) in [
        ("good", good.clone(), Ok(())),
        (
            "with another secret",
            sign_with(&Header::default(), &claims, &[7; 32]),
            Err(Disbelief::Signature),
        ),
        (
            "with another algorithm",
            sign_with(&stronger, &claims, SECRET.as_bytes()),
            Err(Disbelief::Algorithm),
        ),
        // {"alg":"none"}
        (
            "not at all",
            format!("eyJhbGciOiJub25lIn0.{payload}."),
            Err(Disbelief::Malformed),
        ),
        (
            "not at all, but with a signature",
            format!("eyJhbGciOiJub25lIn0.{payload}.{signature}"),
            Err(Disbelief::Malformed),
        ),
        (
            "for another payload",
            format!("{header}.{other_payload}.{signature}"),
            Err(Disbelief::Signature),
        ),
        (
            "without a signature",
            format!("{header}.{payload}."),
            Err(Disbelief::Signature),
        ),
        (
            "in two parts",
            format!("{header}.{payload}"),
            Err(Disbelief::Malformed),
        ),
        ("with nothing", "..".into(), Err(Disbelief::Malformed)),
    ] {
        let judged = tokens.judge(token.as_bytes(), None).map(|_| ());
        assert_eq!(judged, expected, "signed {what}");
    }
}

#[test]
fn a_token_for_somebody_is_not_for_a_broker_that_is_nobody() {
    let claims = json!({ "sub": "a", "exp": now() + 60, "aud": "other" });
    let judged = tokens("").judge(sign(&claims).as_bytes(), None);
    assert_eq!(judged.map(|_| ()), Err(Disbelief::Audience));
}

#[test]
fn claims_become_user_groups_and_variables() {
    let tokens = tokens(
        "user_claim = 'device'\ngroups_claim = 'roles'\nleeway = '5s'\n\
         variables = { site = 'plant', line = 'line_number', unused = 'nothing' }\n",
    );
    let exp = now() + 60;
    let claims = json!({
        "device": "meter-1", "roles": ["ops", "", 7, "consoles"], "plant": "north",
        "line_number": 7, "exp": exp,
    });
    let believed = tokens.judge(sign(&claims).as_bytes(), None).expect("good");
    let identity = believed.identity(&["admins".into(), "ops".into()]);
    assert_eq!(&*identity.user, "meter-1");
    assert_eq!(
        identity
            .groups
            .iter()
            .map(|group| &**group)
            .collect::<Vec<_>>(),
        ["admins", "consoles", "ops"]
    );
    assert_eq!(identity.variable("site"), Some("north"));
    assert_eq!(identity.variable("line"), Some("7"));
    assert_eq!(identity.variable("unused"), None);
    assert_eq!(identity.expires_at, Some(exp + 5));

    let claims = json!({ "device": "a", "roles": "ops", "exp": exp as f64 + 0.5 });
    let believed = tokens.judge(sign(&claims).as_bytes(), None).expect("good");
    let identity = believed.identity(&[]);
    assert_eq!(&*identity.groups[0], "ops");
}

#[test]
fn public_keys_are_read_from_pem() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.pem");
    let pair = rcgen::KeyPair::generate().expect("a key on P-256");
    fs::write(&file, pair.public_key_pem()).expect("written");
    let tokens = config("ES256", &file, "").validate().expect("valid");
    assert!(tokens.is_slow());
    let claims = json!({ "sub": "meter-1", "exp": now() + 60 });
    let header = Header::new(jsonwebtoken::Algorithm::ES256);
    let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a private key");
    let signed = jsonwebtoken::encode(&header, &claims, &key).expect("signed");
    assert_eq!(
        &*tokens.judge(signed.as_bytes(), None).expect("good").user,
        "meter-1"
    );
    // The public key is public: whoever takes it for a secret of HS256 is not believed.
    let confused = sign_with(
        &Header::default(),
        &claims,
        pair.public_key_pem().as_bytes(),
    );
    let judged = tokens.judge(confused.as_bytes(), None).map(|_| ());
    assert_eq!(judged, Err(Disbelief::Algorithm));

    // Signed by another program, until the year 2100.
    fs::write(&file, include_str!("keys/rsa.pem")).expect("written");
    let tokens = config("RS256", &file, "").validate().expect("valid");
    let token = include_str!("keys/rs256.token").trim_end();
    assert_eq!(
        &*tokens.judge(token.as_bytes(), None).expect("good").user,
        "meter-1"
    );
    let judged = tokens.judge(signed.as_bytes(), None).map(|_| ());
    assert_eq!(judged, Err(Disbelief::Algorithm));
}

#[test]
fn a_key_that_cannot_be_used_is_told_without_showing_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = folder.path().join("short");
    fs::write(&short, "hunter2\n").expect("written");
    let missing = folder.path().join("missing");
    let problem = |config: Config| {
        let error = config.validate().expect_err("wrong");
        assert!(!format!("{error:?}").contains("hunter2"));
        let told = error_chain(&error);
        (error.key.into_owned(), told)
    };
    let key = |config: Config, expected: &str| {
        let (key, problem) = problem(config);
        assert_eq!(key, "auth.jwt.key");
        assert!(problem.contains(expected), "{problem}");
    };
    key(config("HS256", &short, ""), "has fewer than 32 bytes");
    let no_key = |algorithm: &str| format!("there is no public key for {algorithm}");
    key(config("RS256", &short, ""), &no_key("RS256"));
    key(config("ES256", &short, ""), &no_key("ES256"));
    key(config("HS256", &missing, ""), "No such file");
    for (set, expected) in [
        ("{ \"keys\": [\"hunter2\"", "a mistake in line 1"),
        ("{ \"hunter2\": 1 }", "a mistake in line 1"),
        ("{ \"keys\": [] }", "has no key for HS256"),
        (
            // Meant for something else: an issuer may publish such, but there must be one for
            // tokens.
            "{\"keys\":[{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"hunter2\"}]}",
            "has no key for HS256",
        ),
        (
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"hunter2A\"}]}",
            "has fewer than 32 bytes",
        ),
        (
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"!hunter2\"}]}",
            "key 0 of the JWK set cannot be used",
        ),
    ] {
        fs::write(&short, set).expect("written");
        key(config("HS256", &short, ""), expected);
    }
    let weak = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}";
    fs::write(&short, weak).expect("written");
    key(config("RS256", &short, ""), "has fewer than 2048 bits");
    let pem = |_| rcgen::KeyPair::generate().expect("a key").public_key_pem();
    let many: String = (0..17).map(pem).collect();
    fs::write(&short, many).expect("written");
    key(config("ES256", &short, ""), "more than 16 keys");
    fs::write(&short, key_on_p384()).expect("written");
    key(config("ES256", &short, ""), &no_key("ES256"));
    let of = |key: &str| Config {
        key: key.into(),
        ..config("HS256", &short, "")
    };
    key(of("env:MILLRACE_TEST_NO_SUCH_KEY"), "is not set");
    key(of("hunter2"), "is neither a file nor a variable");
    for (rest, expected) in [
        ("variables = { Site = 'site' }", "auth.jwt.variables"),
        ("variables = { site = '' }", "auth.jwt.variables"),
        ("user_claim = ''", "auth.jwt.user_claim"),
        ("leeway = '2h'", "auth.jwt.leeway"),
    ] {
        assert_eq!(problem(config("HS256", &short, rest)).0, expected, "{rest}");
    }
}

#[test]
fn only_what_looks_like_a_token_is_one() {
    for (password, expected) in [
        (&b"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln"[..], true),
        (b"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", true),
        (b"eyJhbGciOiJub25lIn0.eyJhIjoxfQ", false),
        (b"eyJ.a b.c", false),
        (b"secret", false),
        (b"a.b.c", false),
        (b"", false),
    ] {
        assert_eq!(Tokens::is_meant(password), expected);
    }
    assert!(!tokens("").is_slow());
}

fn key_on_p384() -> String {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384);
    pair.expect("a key on P-384").public_key_pem()
}
