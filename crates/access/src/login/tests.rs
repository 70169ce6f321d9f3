//! Who is let in: passwords, secrets, certificates, and nobody in particular.

use std::fs;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Anonymous, Authenticator, Config, Logins, OpenError};
use crate::devices::{DeviceCredentials, Lookup};
use crate::digest::secret_digest;
use crate::identity::Identity;
use crate::password::PasswordHash;
use crate::peer::Peer;
use mqtt::{Connect, ConnectProperties, ReasonCode, Version};

/// A hash that costs a test nothing.
fn hash(password: &str) -> PasswordHash {
    PasswordHash::create_at(password.as_bytes(), 8, 1).expect("hashed")
}

/// One device, `meter`, with the secret `s3cret`; of `lost` nothing is known.
struct Devices;

impl DeviceCredentials for Devices {
    fn find(&self, device: &str) -> Lookup {
        match device {
            "meter" => Lookup::Known {
                current: secret_digest(b"s3cret"),
                previous: None,
            },
            "lost" => Lookup::Unavailable,
            _ => Lookup::Unknown,
        }
    }

    fn any(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// A broker's judge, and what it is made of.
struct Setup {
    folder: tempfile::TempDir,
    config: Config,
    anonymous: Anonymous,
    devices: bool,
}

impl Setup {
    fn empty() -> Setup {
        Setup {
            folder: tempfile::tempdir().expect("a folder"),
            config: Config::default(),
            anonymous: Anonymous::WithoutUsers,
            devices: false,
        }
    }

    /// alice (ops), bob without a password (certs), carol who is disabled.
    fn with_users() -> Setup {
        let setup = Setup::empty();
        let text = format!(
            "[user.alice]\npassword = \"{}\"\ngroups = [\"ops\"]\n[user.bob]\ngroups = [\"certs\"]\n\
             [user.carol]\npassword = \"{}\"\ndisabled = true\n",
            hash("secret"),
            hash("secret")
        );
        fs::write(setup.folder.path().join("users.toml"), text).expect("written");
        setup
    }

    fn judge(&self) -> Judge {
        self.try_judge().expect("opened")
    }

    fn try_judge(&self) -> Result<Judge, OpenError> {
        let logins = Arc::<Logins>::default();
        let devices = self
            .devices
            .then(|| Arc::new(Devices) as Arc<dyn DeviceCredentials>);
        let authenticator = Authenticator::open(
            self.config.validate().expect("valid"),
            self.anonymous,
            self.folder.path(),
            devices,
            Arc::clone(&logins),
            CancellationToken::new(),
        )?;
        Ok(Judge {
            authenticator,
            logins,
        })
    }
}

struct Judge {
    authenticator: Authenticator,
    logins: Arc<Logins>,
}

/// What a client brings.
#[derive(Debug, Clone, Copy, Default)]
struct Brings<'a> {
    certificate: Option<&'a str>,
    client_id: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
}

fn login<'a>(user: &'a str, password: &'a str) -> Brings<'a> {
    Brings {
        user: Some(user),
        password: Some(password),
        ..Brings::default()
    }
}

fn certificate(name: &str) -> Brings<'_> {
    Brings {
        certificate: Some(name),
        ..Brings::default()
    }
}

impl Judge {
    async fn of(&self, brings: Brings<'_>) -> Result<Arc<Identity>, ReasonCode> {
        self.from("192.0.2.1", brings).await
    }

    async fn from(&self, address: &str, brings: Brings<'_>) -> Result<Arc<Identity>, ReasonCode> {
        let peer = Peer {
            certificate: brings.certificate.map(Into::into),
            ..Peer::at(
                (
                    address.parse::<std::net::IpAddr>().expect("an address"),
                    5000,
                )
                    .into(),
            )
        };
        let connect = Connect {
            version: Version::V5,
            is_v31: false,
            is_bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: brings.client_id,
            will: None,
            user: brings.user,
            password: brings.password.map(str::as_bytes),
            properties: ConnectProperties::default(),
        };
        let judged = self.authenticator.authenticate(&peer, &connect).await;
        judged.map_err(|refusal| refusal.reason_code())
    }

    /// `user [groups] (certificate)`, or the reason for the refusal.
    async fn says(&self, brings: Brings<'_>) -> String {
        match self.of(brings).await {
            Ok(identity) => {
                let certificate = identity.certificate.as_deref();
                let certificate = certificate.map_or(String::new(), |name| format!(" ({name})"));
                format!(
                    "{} [{}]{certificate}",
                    identity.user,
                    identity.groups.join(",")
                )
            }
            Err(reason) => reason.name().to_owned(),
        }
    }
}

const WRONG: &str = "bad user name or password";
const NOBODY: &str = " []";

#[tokio::test]
async fn with_users_a_password_decides() {
    let judge = Setup::with_users().judge();
    for (brings, expected) in [
        (login("alice", "secret"), "alice [ops]"),
        (login("alice", "Secret"), WRONG),
        (login("alice", ""), WRONG),
        (login("ALICE", "secret"), WRONG),
        (login("bob", "secret"), WRONG),
        (login("bob", ""), WRONG),
        (login("nobody", "secret"), WRONG),
        (login("", "secret"), WRONG),
        (login("carol", "secret"), "banned"),
        (login("carol", "wrong"), WRONG),
        (Brings::default(), "not authorized"),
        (
            Brings {
                user: Some("alice"),
                ..Brings::default()
            },
            "not authorized",
        ),
        // MQTT 5 allows a password without a name: the client id is one.
        (
            Brings {
                client_id: "alice",
                password: Some("secret"),
                ..Brings::default()
            },
            "alice [ops]",
        ),
        // No devices, and no tokens.
        (login("meter", "s3cret"), WRONG),
        (login("alice", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ."), WRONG),
    ] {
        assert_eq!(judge.says(brings).await, expected, "{brings:?}");
    }
    assert_eq!(judge.logins.by_password.get(), 2);
    assert_eq!(judge.logins.refused_disabled.get(), 1);
    assert_eq!(judge.logins.refused_anonymous.get(), 2);
    assert_eq!(judge.logins.refused_wrong.get(), 10);
    // alice's once, for it is remembered then, and each wrong one.
    assert_eq!(judge.logins.passwords_hashed.get(), 12);
}

#[tokio::test]
async fn a_certificate_is_a_user_by_itself() {
    let mut setup = Setup::with_users();
    let judge = setup.judge();
    for (brings, expected) in [
        (certificate("bob"), "bob [certs] (bob)"),
        (certificate("stranger"), "stranger [] (stranger)"),
        (certificate("carol"), "banned"),
        (
            Brings {
                user: Some("bob"),
                ..certificate("bob")
            },
            "bob [certs] (bob)",
        ),
        (
            Brings {
                user: Some("alice"),
                ..certificate("bob")
            },
            WRONG,
        ),
        // Who brings a password is who knows it.
        (
            Brings {
                certificate: Some("bob"),
                ..login("alice", "secret")
            },
            "alice [ops] (bob)",
        ),
        (
            Brings {
                certificate: Some("bob"),
                ..login("alice", "x")
            },
            WRONG,
        ),
    ] {
        assert_eq!(judge.says(brings).await, expected, "{brings:?}");
    }
    setup.config.certificate_is_user = false;
    assert_eq!(
        setup.judge().says(certificate("bob")).await,
        "not authorized"
    );
    setup.anonymous = Anonymous::Always;
    assert_eq!(setup.judge().says(certificate("bob")).await, " [] (bob)");
}

#[tokio::test]
async fn devices_have_their_secret() {
    let mut setup = Setup::with_users();
    setup.devices = true;
    let judge = setup.judge();
    for (brings, expected) in [
        (login("meter", "s3cret"), "meter [devices]"),
        (login("meter", "secret"), WRONG),
        (
            Brings {
                client_id: "meter",
                password: Some("s3cret"),
                ..Brings::default()
            },
            "meter [devices]",
        ),
        (login("lost", "s3cret"), "server unavailable"),
        (login("other", "s3cret"), WRONG),
        (login("alice", "secret"), "alice [ops]"),
        // A user without a password does not hide a device, and there is none of this name.
        (login("bob", "s3cret"), WRONG),
    ] {
        assert_eq!(judge.says(brings).await, expected, "{brings:?}");
    }
    assert_eq!(judge.logins.by_device_secret.get(), 2);
    assert_eq!(judge.logins.refused_unavailable.get(), 1);
}

#[tokio::test]
async fn nobody_is_let_in_only_where_that_is_meant() {
    for (anonymous, users, devices, nothing, wrong) in [
        (Anonymous::WithoutUsers, false, false, NOBODY, NOBODY),
        (
            Anonymous::WithoutUsers,
            true,
            false,
            "not authorized",
            WRONG,
        ),
        (
            Anonymous::WithoutUsers,
            false,
            true,
            "not authorized",
            WRONG,
        ),
        (Anonymous::Never, false, false, "not authorized", WRONG),
        (Anonymous::Never, true, true, "not authorized", WRONG),
        (Anonymous::Always, false, false, NOBODY, NOBODY),
        // Credentials are checked all the same: a typo must not become somebody with other rights.
        (Anonymous::Always, true, false, NOBODY, WRONG),
        (Anonymous::Always, false, true, NOBODY, WRONG),
    ] {
        let setup = Setup {
            anonymous,
            devices,
            ..if users {
                Setup::with_users()
            } else {
                Setup::empty()
            }
        };
        let judge = setup.judge();
        let what = format!("{anonymous:?}, users {users}, devices {devices}");
        assert_eq!(judge.says(Brings::default()).await, nothing, "{what}");
        assert_eq!(judge.says(login("x", "y")).await, wrong, "{what}");
    }
    // A file that was named is meant, also while it has nobody in it.
    let mut setup = Setup::empty();
    let named = setup.folder.path().join("named.toml");
    fs::write(&named, "").expect("written");
    setup.config.users = Some(named);
    assert_eq!(
        setup.judge().says(Brings::default()).await,
        "not authorized"
    );
}

#[tokio::test]
async fn credentials_that_are_lost_let_nobody_in() {
    let all = fs::read(Setup::with_users().folder.path().join("users.toml")).expect("read");
    // Emptied, cut anywhere, or away: while it runs, and at the next start.
    let cuts = (0..=all.len()).step_by(7).map(Some).chain([None]);
    for cut in cuts {
        let setup = Setup::with_users();
        let users = setup.folder.path().join("users.toml");
        let judge = setup.judge();
        match cut {
            Some(cut) => fs::write(&users, &all[..cut]).expect("written"),
            None => fs::remove_file(&users).expect("removed"),
        }
        let refused = "not authorized";
        // While it runs: what cannot be read changes nothing.
        let _ = judge.authenticator.users().take();
        judge.authenticator.review_entry();
        assert_eq!(judge.says(Brings::default()).await, refused, "{cut:?}");
        assert_eq!(judge.says(login("x", "y")).await, WRONG, "{cut:?}");
        drop(judge);
        if let Ok(again) = setup.try_judge() {
            assert_eq!(again.says(Brings::default()).await, refused, "{cut:?}");
        }
    }
    // A folder from before the mark: the file of the default place comes with the first user.
    let setup = Setup::empty();
    fs::write(setup.folder.path().join("users.toml"), "").expect("written");
    let judge = setup.judge();
    assert_eq!(judge.says(Brings::default()).await, "not authorized");
    // A device that was there once.
    let mut setup = Setup::empty();
    setup.devices = true;
    drop(setup.judge());
    setup.devices = false;
    let judge = setup.judge();
    assert_eq!(judge.says(Brings::default()).await, "not authorized");
    drop(judge);
    // Whoever writes it down means it.
    setup.anonymous = Anonymous::Always;
    assert_eq!(setup.judge().says(Brings::default()).await, NOBODY);
}

#[tokio::test]
async fn failures_are_throttled_by_address_without_being_hashed() {
    let mut setup = Setup::with_users();
    setup.config.max_failures_per_address = 5;
    setup.config.max_failures_per_user = 100;
    setup.devices = true;
    let judge = setup.judge();
    let throttled = "connection rate exceeded";
    assert_eq!(judge.says(login("alice", "secret")).await, "alice [ops]");
    for number in 0..5 {
        let name = format!("guess-{number}");
        assert_eq!(judge.says(login(&name, "x")).await, WRONG);
    }
    let hashed = judge.logins.passwords_hashed.get();
    for brings in [
        login("guess", "x"),
        login("alice", "wrong"),
        login("carol", "secret"),
        login("meter", "wrong"),
    ] {
        assert_eq!(judge.says(brings).await, throttled, "{brings:?}");
    }
    assert_eq!(judge.logins.passwords_hashed.get(), hashed);
    assert_eq!(judge.logins.refused_throttled.get(), 4);
    // Behind the same address: who was let in before, and who has a secret that nobody guesses.
    assert_eq!(judge.says(login("alice", "secret")).await, "alice [ops]");
    assert_eq!(
        judge.says(login("meter", "s3cret")).await,
        "meter [devices]"
    );
    // And everybody elsewhere.
    assert!(
        judge
            .from("192.0.2.2", login("alice", "secret"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn failures_are_throttled_by_user_but_not_where_it_is_known() {
    let mut setup = Setup::with_users();
    setup.config.max_failures_per_user = 3;
    // Only the password itself: nothing is remembered.
    setup.config.remember_logins = std::time::Duration::ZERO;
    let judge = setup.judge();
    assert!(
        judge
            .from("192.0.2.1", login("alice", "secret"))
            .await
            .is_ok()
    );
    for number in 1..=3 {
        let attacker = format!("198.51.100.{number}");
        let refused = judge.from(&attacker, login("alice", "guess")).await;
        assert_eq!(refused, Err(ReasonCode::BadUserNameOrPassword));
    }
    let elsewhere = judge.from("203.0.113.1", login("alice", "secret")).await;
    assert_eq!(elsewhere, Err(ReasonCode::ConnectionRateExceeded));
    assert!(
        judge
            .from("192.0.2.1", login("alice", "secret"))
            .await
            .is_ok()
    );
    assert!(
        judge
            .from("203.0.113.1", login("carol", "x"))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_together_cost_one_hash() {
    let setup = Setup::with_users();
    let judge = Arc::new(setup.judge());
    let logins: Vec<_> = (0..200)
        .map(|_| {
            let judge = Arc::clone(&judge);
            tokio::spawn(async move { judge.of(login("alice", "secret")).await })
        })
        .collect();
    for login in logins {
        let identity = login.await.expect("no panic").expect("let in");
        assert_eq!(&*identity.user, "alice");
    }
    assert_eq!(judge.logins.passwords_hashed.get(), 1);
    assert_eq!(judge.logins.by_password.get(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_come_together_are_hashed_as_often_as_is_allowed() {
    let mut setup = Setup::with_users();
    setup.config.max_failures_per_address = 7;
    setup.config.max_failures_per_user = 7;
    let judge = Arc::new(setup.judge());
    let logins: Vec<_> = (0..200)
        .map(|number| {
            let judge = Arc::clone(&judge);
            let password = format!("guess-{number}");
            tokio::spawn(async move { judge.of(login("alice", &password)).await })
        })
        .collect();
    for login in logins {
        assert!(login.await.expect("no panic").is_err());
    }
    assert_eq!(judge.logins.passwords_hashed.get(), 7);
    assert_eq!(judge.logins.refused_wrong.get(), 7);
    assert_eq!(judge.logins.refused_throttled.get(), 193);
}

#[tokio::test]
async fn a_token_is_a_password_of_its_own() {
    let mut setup = Setup::with_users();
    let key = setup.folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef").expect("written");
    let jwt = format!(
        "algorithm = 'HS256'\nkey = 'file:{}'\ngroups_claim = 'groups'",
        key.display()
    );
    setup.config.jwt = Some(toml::from_str(&jwt).expect("a configuration"));
    let judge = setup.judge();
    let token = |user: &str, secret: &[u8]| {
        let claims = serde_json::json!({ "sub": user, "groups": "g", "exp": 4_102_444_800u64 });
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signed")
    };
    let good = b"0123456789abcdef0123456789abcdef";
    for (user, token, expected) in [
        (Some("whatever"), token("dave", good), "dave [g]"),
        (None, token("bob", good), "bob [certs,g]"),
        (None, token("carol", good), "banned"),
        (None, token("dave", &[7; 32]), WRONG),
        (Some("alice"), "secret".to_owned(), "alice [ops]"),
    ] {
        let brings = Brings {
            user,
            password: Some(&token),
            ..Brings::default()
        };
        assert_eq!(judge.says(brings).await, expected, "{user:?}");
    }
    assert_eq!(judge.logins.by_token.get(), 2);
}

#[tokio::test]
async fn a_stopping_broker_keeps_nobody_waiting() {
    let setup = Setup::with_users();
    let stop = CancellationToken::new();
    let authenticator = Authenticator::open(
        setup.config.validate().expect("valid"),
        setup.anonymous,
        setup.folder.path(),
        None,
        Arc::default(),
        stop.clone(),
    )
    .expect("opened");
    let judge = Judge {
        authenticator,
        logins: Arc::default(),
    };
    stop.cancel();
    // The turn is free, or the stop is seen: either way there is an answer.
    let answer = judge.of(login("alice", "secret")).await;
    assert!(
        matches!(answer, Ok(_) | Err(ReasonCode::ServerBusy)),
        "{answer:?}"
    );
}
