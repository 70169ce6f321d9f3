//! Who gets in over a socket, what the others are told in both versions, and that logging in harms
//! nobody else.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::PasswordHash;
use access::login::{self, Logins};
use access::token;
use access::users::UserFile;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker::Config;
use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;

use super::{BOTH, Running};

/// What a hash costs: nothing, or long enough that other things happen meanwhile.
#[derive(Clone, Copy)]
enum Cost {
    Cheap,
    Dear,
}

fn hash(password: &str, cost: Cost) -> PasswordHash {
    let (memory_kib, passes) = match cost {
        Cost::Cheap => (8, 1),
        Cost::Dear => (16 * 1024, 4),
    };
    PasswordHash::create_at(password.as_bytes(), memory_kib, passes).expect("hashed")
}

/// Writes the users file of a data folder as `millrace user` does.
fn write_users(data: &Path, users: &[(&str, &str, Cost)]) {
    let path = data.join("users.toml");
    let _ = fs::remove_file(&path);
    let mut file = UserFile::open(&path).expect("opened");
    for (name, password, cost) in users {
        file.put(
            name,
            Some(&hash(password, *cost)),
            Some(&["admins".to_owned()]),
        )
        .expect("put");
    }
    file.save().expect("saved");
}

fn start(auth: login::Config, users: &[(&str, &str, Cost)]) -> Running {
    let data = tempfile::tempdir().expect("a folder");
    write_users(data.path(), users);
    let config = Config {
        auth,
        ..Config::default()
    };
    Running::in_folder(config, data)
}

impl Running {
    /// Sends a CONNECT with credentials, and waits for nothing.
    fn knock(&self, version: Version, client_id: &str, user: &str, password: &str) -> Client {
        let mut line = self.open(version);
        line.send_connect(&Connect {
            user: Some(user),
            password: Some(password.as_bytes()),
            ..Connect::new(version, client_id)
        });
        line
    }

    fn logins(&self) -> &Logins {
        &self.broker.as_ref().expect("running").stats().logins
    }
}

/// The code by which both versions are answered.
fn code(version: Version, v5: &str, v311: &str) -> String {
    match version {
        Version::V5 => format!("connack {v5}"),
        Version::V311 => format!("connack {v311}"),
    }
}

#[test]
fn the_right_password_gets_in_and_everything_else_is_told_why_not() {
    let broker = start(
        login::Config::default(),
        &[("alice", "secret", Cost::Cheap)],
    );
    for version in BOTH {
        let mut alice = broker.knock(version, "a", "alice", "secret");
        assert_eq!(alice.next(), "connack 0");
        alice.is_served();
        for (user, password) in [("alice", "wrong"), ("bob", "secret"), ("alice", "")] {
            let mut refused = broker.knock(version, "b", user, password);
            assert_eq!(refused.next(), code(version, "86", "4"), "{user}");
            assert_eq!(refused.next(), "closed");
        }
        let mut nobody = broker.open(version);
        nobody.send_connect(&Connect::new(version, "c"));
        assert_eq!(nobody.next(), code(version, "87", "5"));
        assert_eq!(nobody.next(), "closed");
        alice.is_served();
    }
    assert_eq!(broker.logins().by_password.get(), 2);
    assert_eq!(broker.logins().refused_wrong.get(), 6);
    assert_eq!(broker.logins().refused_anonymous.get(), 2);
}

#[test]
fn after_too_many_failures_only_who_is_remembered_gets_in_from_there() {
    let auth = login::Config {
        max_failures_per_address: 4,
        ..login::Config::default()
    };
    let users = [
        ("alice", "secret", Cost::Cheap),
        ("bob", "secret", Cost::Cheap),
    ];
    for version in BOTH {
        let broker = start(auth.clone(), &users);
        assert_eq!(
            broker.knock(version, "a", "alice", "secret").next(),
            "connack 0"
        );
        for _ in 0..4 {
            let mut wrong = broker.knock(version, "x", "bob", "guess");
            assert_eq!(wrong.next(), code(version, "86", "4"));
        }
        let mut throttled = broker.knock(version, "x", "bob", "secret");
        assert_eq!(throttled.next(), code(version, "9f", "3"));
        assert_eq!(throttled.next(), "closed");
        let mut alice = broker.knock(version, "a2", "alice", "secret");
        assert_eq!(alice.next(), "connack 0");
        alice.is_served();
    }
}

#[test]
fn a_changed_user_logs_in_again_and_others_stay() {
    let users = [
        ("alice", "old", Cost::Cheap),
        ("bob", "secret", Cost::Cheap),
    ];
    let broker = start(login::Config::default(), &users);
    let mut alice = broker.knock(Version::V5, "a", "alice", "old");
    let mut bob = broker.knock(Version::V5, "b", "bob", "secret");
    assert_eq!([alice.next(), bob.next()], ["connack 0", "connack 0"]);
    let path = broker.data.path().join("users.toml");
    let mut file = UserFile::open(&path).expect("opened");
    file.put("alice", Some(&hash("new", Cost::Cheap)), None)
        .expect("put");
    file.save().expect("saved");
    // Administrative action.
    assert_eq!([alice.next(), alice.next()], ["disconnect 98", "closed"]);
    assert_eq!(
        broker.knock(Version::V5, "a", "alice", "old").next(),
        "connack 86"
    );
    assert_eq!(
        broker.knock(Version::V5, "a", "alice", "new").next(),
        "connack 0"
    );
    bob.is_served();
    let mut file = UserFile::open(&path).expect("opened");
    assert!(file.remove("bob"));
    file.save().expect("saved");
    assert_eq!([bob.next(), bob.next()], ["disconnect 98", "closed"]);
    assert_eq!(
        broker.knock(Version::V5, "b", "bob", "secret").next(),
        "connack 86"
    );
}

/// One that keeps its session.
fn claim<'a>(version: Version, user: &'a str, clean_start: bool) -> Connect<'a> {
    Connect {
        user: Some(user),
        password: Some(b"secret"),
        clean_start,
        session_expiry: (version == Version::V5).then_some(600),
        ..Connect::new(version, "press-7")
    }
}

const ALICE_AND_BOB: [(&str, &str, Cost); 2] = [
    ("alice", "secret", Cost::Cheap),
    ("bob", "secret", Cost::Cheap),
];

#[test]
fn nobody_ends_another_users_connection_or_session_by_taking_its_client_id() {
    for version in BOTH {
        let broker = start(login::Config::default(), &ALICE_AND_BOB);
        let connect = |user: &str, clean_start| {
            let mut line = broker.open(version);
            line.send_connect(&claim(version, user, clean_start));
            line
        };
        let mut alice = connect("alice", false);
        assert_eq!(alice.next(), "connack 0");
        for is_connected in [true, false] {
            for clean_start in [false, true] {
                let mut bob = connect("bob", clean_start);
                assert_eq!(bob.next(), code(version, "85", "2"), "{is_connected}");
                assert_eq!(bob.next(), "closed");
            }
            if is_connected {
                alice.is_served();
                alice.disconnect();
                assert_eq!(alice.next(), "closed");
            }
        }
        let mut alice = connect("alice", false);
        assert_eq!(alice.next(), "connack 0 present");
        // Her own newer connection takes over, and a user that is gone has no claim.
        let mut again = connect("alice", false);
        assert_eq!(again.next(), "connack 0 present");
        let mut file = UserFile::open(&broker.data.path().join("users.toml")).expect("opened");
        assert!(file.remove("alice"));
        file.save().expect("saved");
        while again.next() != "closed" {}
        assert_eq!(connect("bob", false).next(), "connack 0");
    }
}

#[test]
fn whoever_comes_last_has_the_client_id_where_it_is_not_exclusive() {
    let auth = login::Config {
        exclusive_client_ids: false,
        ..login::Config::default()
    };
    let broker = start(auth, &ALICE_AND_BOB);
    let mut alice = broker.knock(Version::V5, "press-7", "alice", "secret");
    assert_eq!(alice.next(), "connack 0");
    let mut bob = broker.knock(Version::V5, "press-7", "bob", "secret");
    assert_eq!(bob.next(), "connack 0");
    assert_eq!([alice.next(), alice.next()], ["disconnect 8e", "closed"]);
    bob.is_served();
}

#[test]
fn the_first_user_closes_a_broker_that_was_open() {
    let broker = Running::start();
    broker.connect(Version::V311, "nobody").is_served();
    let mut with_credentials = broker.knock(Version::V311, "x", "any", "thing");
    assert_eq!(
        with_credentials.next(),
        "connack 0",
        "there is nothing to check them against"
    );
    write_users(broker.data.path(), &[("alice", "secret", Cost::Cheap)]);
    testkit::wait_until(
        "the user is known",
        Duration::from_secs(20),
        || broker.knock(Version::V311, "a", "nobody", "x").next(),
        |said| said == "connack 4",
    );
    let mut nobody = broker.open(Version::V311);
    nobody.send_connect(&Connect::new(Version::V311, "c"));
    assert_eq!(nobody.next(), "connack 5");
    assert_eq!(
        broker.knock(Version::V311, "a", "alice", "secret").next(),
        "connack 0"
    );
}

#[test]
fn the_connection_ends_with_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "0123456789abcdef0123456789abcdef";
    let key = folder.path().join("key");
    fs::write(&key, secret).expect("written");
    let auth = login::Config {
        jwt: Some(token::Config {
            leeway: Duration::ZERO,
            ..token::Config::new(token::Algorithm::HS256, format!("file:{}", key.display()))
        }),
        ..login::Config::default()
    };
    let broker = start(auth, &[]);
    let token = |seconds: u64| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let claims = serde_json::json!({ "sub": "meter", "exp": now.as_secs() + seconds });
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signed")
    };
    let mut lasting = broker.knock(Version::V5, "long", "", &token(600));
    assert_eq!(lasting.next(), "connack 0");
    for version in BOTH {
        let mut brief = broker.knock(version, "short", "", &token(2));
        assert_eq!(brief.next(), "connack 0");
        if version == Version::V5 {
            assert_eq!(brief.next(), "disconnect 87");
        }
        assert_eq!(brief.next(), "closed");
        let mut wrong = broker.knock(version, "short", "", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.");
        assert_eq!(wrong.next(), code(version, "86", "4"));
    }
    lasting.is_served();
}

#[test]
fn the_connection_ends_with_the_key_of_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let secret = |name: &str| format!("{name}-456789abcdef0123456789abcdef");
    let write = |names: &[&str]| {
        let text = |name: &&str| URL_SAFE_NO_PAD.encode(secret(name));
        let keys = names
            .iter()
            .map(|name| serde_json::json!({ "kty": "oct", "kid": name, "k": text(name) }));
        let set = serde_json::json!({ "keys": keys.collect::<Vec<_>>() });
        fs::write(&file, set.to_string()).expect("written");
    };
    write(&["2026"]);
    let jwt = token::Config::new(token::Algorithm::HS256, format!("file:{}", file.display()));
    let auth = login::Config {
        jwt: Some(jwt),
        ..login::Config::default()
    };
    let broker = start(auth, &[("alice", "secret", Cost::Cheap)]);
    let knock = |name: &str| {
        let claims = serde_json::json!({ "sub": "meter", "exp": u32::MAX });
        let key = jsonwebtoken::EncodingKey::from_secret(secret(name).as_bytes());
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
        broker.knock(Version::V5, name, "", &token.expect("signed"))
    };
    let mut old = knock("2026");
    assert_eq!(old.next(), "connack 0");
    let mut alice = broker.knock(Version::V5, "alice", "alice", "secret");
    assert_eq!(alice.next(), "connack 0");

    write(&["2026", "2027"]);
    broker.reload();
    let mut new = knock("2027");
    assert_eq!(new.next(), "connack 0");
    old.is_served();
    fs::write(&file, "{").expect("written");
    broker.reload();
    new.is_served();
    old.is_served();
    write(&["2027"]);
    broker.reload();
    assert_eq!(old.next(), "disconnect 87");
    assert_eq!(old.next(), "closed");
    assert_eq!(knock("2026").next(), "connack 86");
    new.is_served();
    alice.is_served();
}

#[test]
fn waiting_for_a_hash_is_not_the_clients_silence() {
    let data = tempfile::tempdir().expect("a folder");
    let users = ["a", "b", "c", "d"].map(|name| (name, "secret", Cost::Dear));
    write_users(data.path(), &users);
    let config = Config {
        // Shorter than four of these hashes take, and far longer than a CONNECT that is sent at
        // once.
        connect_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let broker = Running::in_folder(config, data);
    let lines: Vec<_> = users
        .iter()
        .map(|(name, ..)| broker.knock(Version::V311, name, name, "secret"))
        .collect();
    for mut line in lines {
        assert_eq!(line.next(), "connack 0");
        line.is_served();
    }
}

#[test]
fn a_login_that_waits_does_not_hold_up_the_end() {
    let users: Vec<String> = (0..16).map(|number| format!("user-{number}")).collect();
    let rows: Vec<_> = users
        .iter()
        .map(|name| (&**name, "secret", Cost::Dear))
        .collect();
    let mut broker = start(login::Config::default(), &rows);
    let lines: Vec<_> = users
        .iter()
        .map(|name| broker.knock(Version::V5, name, name, "secret"))
        .collect();
    broker.stop();
    for mut line in lines {
        // Let in just before, told to come back, or closed before its CONNECT was read.
        let said = line.next();
        let expected = ["connack 0", "connack 89", "closed"];
        assert!(expected.contains(&said.as_str()), "{said}");
    }
}

/// After a restart of the network 5,000 clients come back at once, of 30 users whose passwords must
/// all be checked.
#[test]
fn a_storm_of_logins_is_let_in_while_everybody_else_is_served() {
    const CLIENTS: usize = 5_000;
    let users: Vec<String> = (0..30).map(|number| format!("user-{number}")).collect();
    let mut rows: Vec<_> = users
        .iter()
        .map(|name| (&**name, "secret", Cost::Dear))
        .collect();
    rows.push(("early", "secret", Cost::Cheap));
    let broker = start(login::Config::default(), &rows);
    let mut connected = broker.knock(Version::V5, "connected", "early", "secret");
    assert_eq!(connected.next(), "connack 0");

    let mut storm = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let user = &users[number % users.len()];
        storm.push(broker.knock(Version::V5, &format!("storm-{number}"), user, "secret"));
        if number == users.len() {
            // One login of every user waits; who is remembered or connected does not.
            let mut newcomer = broker.knock(Version::V5, "newcomer", "early", "secret");
            assert_eq!(newcomer.next(), "connack 0");
            connected.is_served();
            let let_in = broker.logins().by_password.get();
            assert!(let_in < users.len() as u64, "all {let_in} were faster");
        }
        if number % 500 == 0 {
            connected.is_served();
        }
    }
    for line in &mut storm {
        assert_eq!(line.next(), "connack 0");
    }
    let logins = broker.logins();
    assert_eq!(logins.passwords_hashed.get(), users.len() as u64 + 1);
    assert_eq!(logins.by_password.get(), CLIENTS as u64 + 2);
    connected.is_served();
    storm[CLIENTS - 1].is_served();
}
