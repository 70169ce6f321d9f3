//! `[[broker.listener]]` as written, and what is said about it.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::config::Config;

/// The listeners of a section with this text, or what is wrong with it and where.
fn check(text: &str, expected: &str) {
    let section = format!("listen = \"\"\n{text}");
    let config: Config = toml::from_str(&section).expect("well formed");
    let found = match config.validate() {
        Ok(settings) => {
            let listeners = settings.listeners.iter();
            let listeners: Vec<_> = listeners.map(|it| it.listening().to_string()).collect();
            listeners.join(", ")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn each_kind_takes_what_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let certificate = write("server.pem", cert.pem());
    let key = write("server.key", signing_key.serialize_pem());
    let files = format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n");
    let of = |kind: &str, more: &str| {
        format!("[[listener]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:1\"\n{more}\n")
    };
    check(&of("tcp", ""), "mqtt://127.0.0.1:1");
    check(&of("tcp", "proxy_protocol = true"), "mqtt://127.0.0.1:1");
    check(&of("tls", &files), "mqtts://127.0.0.1:1");
    check(&of("ws", ""), "ws://127.0.0.1:1/mqtt");
    check(&of("ws", "path = \"/\""), "ws://127.0.0.1:1/");
    check(&of("wss", &files), "wss://127.0.0.1:1/mqtt");
    let all = of("tls", &files) + &of("ws", "");
    check(&all, "mqtts://127.0.0.1:1, ws://127.0.0.1:1/mqtt");

    check(
        "",
        "`broker.listen` is empty, and there is no other listener",
    );
    check(
        &of("tls", ""),
        "`broker.listener.0.certificate` is missing: a listener of the kind `tls` needs it",
    );
    check(
        &of("wss", &format!("certificate = \"{certificate}\"")),
        "`broker.listener.0.key` is missing: a listener of the kind `wss` needs it",
    );
    check(
        &(of("ws", "") + &of("tls", "certificate = \"a\"\nkey = \"b\"")),
        "`broker.listener.1.certificate` cannot be used",
    );
    check(
        &of("tls", &format!("{files}require_client_certificate = true")),
        "`broker.listener.0.require_client_certificate` needs `client_ca`: nobody could vouch for a \
         client",
    );
    check(
        &of("tcp", &files),
        "`broker.listener.0.certificate` has no meaning for a listener of the kind `tcp`",
    );
    check(
        &of("tls", &format!("{files}path = \"/mqtt\"")),
        "`broker.listener.0.path` has no meaning for a listener of the kind `tls`",
    );
    check(
        &of("ws", "path = \"mqtt\""),
        "`broker.listener.0.path` `mqtt` is not a path",
    );
    check(
        &of("ws", "allowed_origins = [\"example.org\"]"),
        "`broker.listener.0.allowed_origins` `example.org` is not the origin of a web page",
    );
}

#[test]
fn every_listener_that_others_reach_must_know_who_comes() {
    let needs_users = |text: &str| {
        let section = format!("listen = \"\"\n{text}");
        let config: Config = toml::from_str(&section).expect("well formed");
        config.validate().expect("good").needs_users()
    };
    let of = |address: &str, more: &str| {
        format!("[[listener]]\nkind = \"ws\"\naddress = \"{address}\"\n{more}\n")
    };
    let (inside, outside) = ("127.0.0.1:1", "0.0.0.0:1");
    assert!(!needs_users(&of(inside, "")));
    assert!(needs_users(&of(outside, "")));
    assert!(needs_users(&(of(inside, "") + &of(outside, ""))));
    // The proxy is on this machine; its clients are anywhere.
    assert!(needs_users(&of(inside, "proxy_protocol = true")));
    let open = format!("allow_anonymous = true\n{}", of(outside, ""));
    assert!(!needs_users(&open));
}
