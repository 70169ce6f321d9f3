//! Keys that take over from each other, in the formats they come in.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::{SECRET, config, now, sign_with};
use crate::reload::Taken;
use crate::token::{Disbelief, KeyError};

/// An issuer's key on P-256.
struct Issuer(rcgen::KeyPair);

impl Issuer {
    fn new() -> Issuer {
        Issuer(rcgen::KeyPair::generate().expect("a key on P-256"))
    }

    fn pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// As a key of a JWK set, by this name.
    fn jwk(&self, name: &str) -> Value {
        // Uncompressed: 4, and two numbers of 32 bytes.
        let point = self.0.public_key_raw();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (text(&point[1..33]), text(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "kid": name, "x": x, "y": y })
    }

    fn sign(&self, name: Option<&str>) -> String {
        let claims = json!({ "sub": "meter-1", "exp": now() + 60 });
        let header = Header {
            kid: name.map(str::to_owned),
            ..Header::new(jsonwebtoken::Algorithm::ES256)
        };
        let key = EncodingKey::from_ec_pem(self.0.serialize_pem().as_bytes());
        jsonwebtoken::encode(&header, &claims, &key.expect("a private key")).expect("signed")
    }
}

#[test]
fn keys_take_over_from_each_other_without_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    let (old, new) = (Issuer::new(), Issuer::new());
    let write = |text: String| fs::write(&file, text).expect("written");
    write(old.pem());
    let tokens = config("ES256", &file, "").validate().expect("valid");
    let believes = |issuer: &Issuer| tokens.judge(issuer.sign(None).as_bytes(), None).is_ok();
    assert_eq!((believes(&old), believes(&new)), (true, false));
    assert_eq!(tokens.take().expect("usable"), Taken::Same);

    write(format!(
        "the old one\n{}\nand the new\n{}",
        old.pem(),
        new.pem()
    ));
    assert_eq!(tokens.take().expect("usable"), Taken::New);
    assert_eq!((believes(&old), believes(&new)), (true, true));
    let signed = old.sign(None);
    let judged = tokens.judge(signed.as_bytes(), None).expect("good");
    let key = judged.identity(&[]).token_key.expect("signed with one");
    assert!(tokens.knows(&key));

    // Nothing, or half of it: all of it counts or nothing.
    write(String::new());
    assert!(matches!(tokens.take(), Err(KeyError::NoPem(_))));
    let both = format!("{}{}", old.pem(), new.pem());
    write(both[..both.len() - 40].to_owned());
    assert!(matches!(tokens.take(), Err(KeyError::NoPem(_))));
    fs::remove_file(&file).expect("removed");
    assert!(matches!(tokens.take(), Err(KeyError::Read { .. })));
    assert_eq!((believes(&old), believes(&new)), (true, true));

    write(new.pem());
    assert_eq!(tokens.take().expect("usable"), Taken::New);
    assert_eq!((believes(&old), believes(&new)), (false, true));
    assert!(!tokens.knows(&key));
    // The same key in the other format is the same key, by a name now.
    write(json!({ "keys": [new.jwk("2027")] }).to_string());
    assert_eq!(tokens.take().expect("usable"), Taken::New);
    let judged = tokens.judge(new.sign(Some("2027")).as_bytes(), None);
    let key = judged.expect("good").identity(&[]).token_key;
    write(new.pem());
    assert_eq!(tokens.take().expect("usable"), Taken::New);
    assert!(tokens.knows(&key.expect("signed with one")));
}

#[test]
fn the_name_of_a_key_chooses_among_those_of_a_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let (a, b, nameless, stranger) = (Issuer::new(), Issuer::new(), Issuer::new(), Issuer::new());
    let mut without_name = nameless.jwk("");
    without_name
        .as_object_mut()
        .expect("an object")
        .remove("kid");
    let mut of_encryption = stranger.jwk("c");
    of_encryption["use"] = json!("enc");
    let mut other_algorithm = stranger.jwk("d");
    other_algorithm["alg"] = json!("ES384");
    let set = json!({ "keys": [
        a.jwk("a"), b.jwk("b"), without_name, of_encryption, other_algorithm,
        { "kty": "OKP", "crv": "X25519", "kid": "e", "x": "AAAA" },
        { "kty": "a kind that comes later", "kid": "f" },
    ]});
    fs::write(&file, set.to_string()).expect("written");
    let tokens = config("ES256", &file, "").validate().expect("valid");
    assert_eq!(tokens.describe(), "ES256, 3 keys");
    for (issuer, name, expected) in [
        (&a, Some("a"), Ok(())),
        (&b, Some("b"), Ok(())),
        (&a, None, Ok(())),
        (&b, None, Ok(())),
        (&nameless, None, Ok(())),
        (&nameless, Some("nobody knows"), Ok(())),
        // The name of another's key.
        (&a, Some("b"), Err(Disbelief::Signature)),
        (&nameless, Some("a"), Err(Disbelief::Signature)),
        (&a, Some("nobody knows"), Err(Disbelief::Signature)),
        (&a, Some("../../a"), Err(Disbelief::Signature)),
        (&stranger, Some("c"), Err(Disbelief::Signature)),
        (&stranger, Some("d"), Err(Disbelief::Signature)),
        (&stranger, None, Err(Disbelief::Signature)),
    ] {
        let judged = tokens.judge(issuer.sign(name).as_bytes(), None);
        assert_eq!(judged.map(|_| ()), expected, "{name:?}");
    }
}

#[test]
fn a_secret_whose_file_is_emptied_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    fs::write(&file, "0123456789abcdef0123456789abcdef").expect("written");
    let tokens = config("HS256", &file, "").validate().expect("valid");
    fs::write(&file, "").expect("emptied");
    assert!(matches!(tokens.take(), Err(KeyError::Short)));
    assert_eq!(tokens.describe(), "HS256, 1 key");
}

#[test]
fn secrets_may_come_in_a_set_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let other = [7; 32];
    let secret = |bytes: &[u8], name: &str| {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "oct", "kid": name, "alg": "HS256", "k": text })
    };
    let set = json!({ "keys": [secret(SECRET.as_bytes(), "old"), secret(&other, "new")] });
    fs::write(&file, set.to_string()).expect("written");
    let tokens = config("HS256", &file, "").validate().expect("valid");
    let claims = json!({ "sub": "a", "exp": now() + 60 });
    for (secret, expected) in [
        (SECRET.as_bytes(), Ok(())),
        (&other, Ok(())),
        (&[8; 32], Err(Disbelief::Signature)),
    ] {
        let token = sign_with(&Header::default(), &claims, secret);
        assert_eq!(tokens.judge(token.as_bytes(), None).map(|_| ()), expected);
    }
}
