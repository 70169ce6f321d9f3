mod every;
mod topics;

use std::fs;

use expect_test::{Expect, expect};
use rcgen::KeyPair;
use testkit::Authority;

use super::*;
use crate::config::{Override, Sources};
use crate::diagnostics::tests::plain;

/// What `check` prints for these files in one folder, errors included; the folder's name is left
/// out.
fn check(files: &[(&str, &str)], expected: Expect) {
    let folder = tempfile::tempdir().expect("temp folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let sources = Sources {
        working_folder: folder.path().into(),
        ..Sources::default()
    };
    let shown = match config::load(&sources).and_then(|settings| found(&settings)) {
        Ok(shown) => shown,
        Err(failure) => plain(&failure),
    };
    expected.assert_eq(&shown.replace(&format!("{}/", folder.path().display()), ""));
}

#[test]
fn without_a_file_the_defaults_are_shown() {
    check(
        &[],
        expect![[r#"
            ok  configuration   defaults, no file
            ok  data folder     `millrace-data`
            ok  listener        mqtt://127.0.0.1:1883
            ok  access rules    built in, 7 rules
            ok  users           none
            ok  store           millrace-data/millrace.db
            ok  topics          devices/{device}/telemetry, devices/{device}/telemetry/{metric}, v1/devices/me/telemetry
            ok  device registry none
            ok  alert rules     none
        "#]],
    );
}

#[test]
fn everything_that_was_found_is_shown() {
    check(
        &[
            (
                "millrace.toml",
                "data = 'd'\n[store]\nurl = 'postgres://ada:secret@db:5433/plant'\n[ingest]\n\
                 topics = ['{site}/{device}']\ndevices = 'devices.csv'\n[alerts]\nrules = 'a.toml'\n",
            ),
            ("devices.csv", "device,site\nboiler-*,north\n"),
            (
                "a.toml",
                "[[rule]]\nname = 'hot'\nmetric = 't'\nabove = 90\n",
            ),
        ],
        expect![[r#"
            ok  configuration   `millrace.toml`
            ok  data folder     `d`
            ok  listener        mqtt://127.0.0.1:1883
            ok  access rules    built in, 7 rules
            ok  users           none
            ok  store           postgres://ada@db:5433/plant
            ok  topics          {site}/{device} (device `{site}/{device}`)
            ok  device registry `devices.csv`, 1 line
            ok  alert rules     `a.toml`, 1 rule
        "#]],
    );
}

#[test]
fn a_listener_that_cannot_be_used_is_shown_with_its_cause() {
    let listener = |keys: &str| {
        format!("[[broker.listener]]\nkind = 'tls'\naddress = '127.0.0.1:8883'\n{keys}\n")
    };
    check(
        &[
            (
                "millrace.toml",
                &listener("certificate = 'server.pem'\nkey = 'absent.key'"),
            ),
            ("server.pem", ""),
        ],
        expect![[r#"
            error: `broker.listener.0.key` cannot be used
             --> millrace.toml:5:7
              |
            5 | key = 'absent.key'
              |       ^^^^^^^^^^^^
              caused by: cannot read `absent.key`
              caused by: No such file or directory (os error 2)
        "#]],
    );
    check(
        &[
            (
                "millrace.toml",
                &listener("certificate = 'server.pem'\nkey = 'server.key'"),
            ),
            ("server.pem", "not PEM"),
            ("server.key", "not PEM"),
        ],
        expect![[r#"
            error: `broker.listener.0.certificate` cannot be used
             --> millrace.toml:4:15
              |
            4 | certificate = 'server.pem'
              |               ^^^^^^^^^^^^
              caused by: `server.pem` holds no certificate
              hint: a PEM file holds text between `-----BEGIN …-----` and `-----END …-----`; `openssl x509 -inform der` and `openssl pkey -inform der` convert from DER
        "#]],
    );
    check(
        &[(
            "millrace.toml",
            &listener("path = '/mqtt'\ncertificat = 'a'"),
        )],
        expect![[r#"
            error: unknown key `certificat` in `[[broker.listener]]`
             --> millrace.toml:5:1
              |
            5 | certificat = 'a'
              | ^^^^^^^^^^ not a known key
              hint: did you mean `certificate`?

            error: `broker.listener.0.path` has no meaning for a listener of the kind `tls`
             --> millrace.toml:4:8
              |
            4 | path = '/mqtt'
              |        ^^^^^^^
              hint: make it `kind = "ws"` or `kind = "wss"`, or remove the key
        "#]],
    );
    check(
        &[("millrace.toml", &listener(""))],
        expect![[r#"
        error: `broker.listener.0.certificate` is missing: a listener of the kind `tls` needs it
         --> millrace.toml:1:1
          |
        1 | [[broker.listener]]
          | ^^^^^^^^^^^^^^^^^^^
          hint: name two PEM files: `certificate` with the server's certificate and its chain, `key` with its private key
    "#]],
    );
}

#[test]
fn keys_of_tokens_are_read_and_counted() {
    let file = "[broker.auth.jwt]\nalgorithm = 'ES256'\nkey = 'file:issuer.pem'\n";
    let pem = || KeyPair::generate().expect("a key").public_key_pem();
    check(
        &[("millrace.toml", file), ("issuer.pem", &(pem() + &pem()))],
        expect![[r#"
            ok  configuration   `millrace.toml`
            ok  data folder     `millrace-data`
            ok  listener        mqtt://127.0.0.1:1883
            ok  access rules    built in, 7 rules
            ok  users           none
            ok  tokens          ES256, 2 keys
            ok  store           millrace-data/millrace.db
            ok  topics          devices/{device}/telemetry, devices/{device}/telemetry/{metric}, v1/devices/me/telemetry
            ok  device registry none
            ok  alert rules     none
        "#]],
    );
    check(
        &[("millrace.toml", file), ("issuer.pem", "{ \"keys\": [\n")],
        expect![[r#"
            error: `broker.auth.jwt.key` cannot be used
             --> millrace.toml:3:7
              |
            3 | key = 'file:issuer.pem'
              |       ^^^^^^^^^^^^^^^^^
              caused by: not a JWK set: a mistake in line 2, column 0
              hint: what begins with `{` is read as a JWK set (RFC 7517): { "keys": [ … ] }
        "#]],
    );
    check(
        &[("millrace.toml", file)],
        expect![[r#"
        error: `broker.auth.jwt.key` cannot be used
         --> millrace.toml:3:7
          |
        3 | key = 'file:issuer.pem'
          |       ^^^^^^^^^^^^^^^^^
          caused by: cannot read `issuer.pem`
          caused by: No such file or directory (os error 2)
          hint: write "file:PATH" or "env:NAME"; the key itself does not belong here
    "#]],
    );
}

#[test]
fn revocation_lists_are_read_and_counted() {
    let plant = Authority::new("Plant");
    let server = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    let shown = |list: String, expected: Expect| {
        check(
            &[
                (
                    "millrace.toml",
                    "[broker]\nlisten = ''\n[[broker.listener]]\nkind = 'tls'\n\
                     address = '127.0.0.1:8883'\ncertificate = 'server.pem'\n\
                     key = 'server.key'\nclient_ca = 'plant.pem'\ncrl = 'revoked.pem'\n",
                ),
                ("server.pem", &server.cert.pem()),
                ("server.key", &server.signing_key.serialize_pem()),
                ("plant.pem", &plant.pem()),
                ("revoked.pem", &list),
            ],
            expected,
        );
    };
    shown(
        plant.list_until(&[7], 2020, 2100),
        expect![[r#"
        ok  configuration   `millrace.toml`
        ok  data folder     `millrace-data`
        ok  listener        mqtts://127.0.0.1:8883
        ok  revocations     `revoked.pem`, 1 certificate, good until 2100-01-01T00:00:00Z
        ok  access rules    built in, 7 rules
        ok  users           none
        ok  store           millrace-data/millrace.db
        ok  topics          devices/{device}/telemetry, devices/{device}/telemetry/{metric}, v1/devices/me/telemetry
        ok  device registry none
        ok  alert rules     none
    "#]],
    );
    shown(
        plant.list_until(&[7], 2020, 2021),
        expect![[r#"
        ok  configuration   `millrace.toml`
        ok  data folder     `millrace-data`
        ok  listener        mqtts://127.0.0.1:8883
        ok  revocations     `revoked.pem`, 1 certificate, expired on 2021-01-01T00:00:00Z
        ok  access rules    built in, 7 rules
        ok  users           none
        ok  store           millrace-data/millrace.db
        ok  topics          devices/{device}/telemetry, devices/{device}/telemetry/{metric}, v1/devices/me/telemetry
        ok  device registry none
        ok  alert rules     none
    "#]],
    );
    shown(
        Authority::new("Office").list(&[7], 2020),
        expect![[r#"
            error: `broker.listener.0.crl` cannot be used
             --> millrace.toml:9:7
              |
            9 | crl = 'revoked.pem'
              |       ^^^^^^^^^^^^^
              caused by: `revoked.pem` holds no revocation list of the authority `CN=Plant`
              hint: no client with a certificate of that authority could connect: add its list, which may be empty, to the file, or remove the authority from `client_ca`
        "#]],
    );
}

#[test]
fn mistakes_of_all_files_are_shown_at_once() {
    check(
        &[
            (
                "millrace.toml",
                "[broker]\nlisten = '0.0.0.0:1883'\nmax_conections = 5\n[journal]\n\
                 max_size = '10KB'\nsegment_size = 'big'\n[store]\nurl = 'mysql://x'\n[ingest]\n\
                 devices = 'devices.csv'\nbatch_rows = 0\n[alerts]\nrules = 'a.toml'\n",
            ),
            (
                "devices.csv",
                "device,metric,scale\nboiler-*,t,abc\nboiler-[,t,1\n",
            ),
            (
                "a.toml",
                "[[rule]]\nname = 'hot'\nmetric = 't'\nabove = 90\nclear = 95\n\
                 [[rule]]\nname = 'hot'\nsilent_for = '5m'\nmesage = '{devise}'\n",
            ),
        ],
        expect![[r#"
            error: unknown key `max_conections` in `[broker]`
             --> millrace.toml:3:1
              |
            3 | max_conections = 5
              | ^^^^^^^^^^^^^^ not a known key
              hint: did you mean `max_connections`?

            error: wrong value of `journal.segment_size`: string "big"
             --> millrace.toml:6:16
              |
            6 | segment_size = 'big'
              |                ^^^^^ expected a size
              hint: write a number and a unit, such as "256MB" or "64KB"

            error: `journal.max_size` must be at least `1.0 MiB`, not `9.8 KiB`
             --> millrace.toml:5:12
              |
            5 | max_size = '10KB'
              |            ^^^^^^

            error: `store.url` names no known database
             --> millrace.toml:8:7
              |
            8 | url = 'mysql://x'
              |       ^^^^^^^^^^^
              hint: write `sqlite`, `sqlite:PATH` or `postgres://user:password@host:5432/database`

            error: the device registry: `abc` is not a finite number
             --> devices.csv:2:1
              |
            2 | boiler-*,t,abc
              | ^^^^^^^^^^^^^^ column `scale`

            error: the device registry: `boiler-[` is not a glob
             --> devices.csv:3:1
              |
            3 | boiler-[,t,1
              | ^^^^^^^^^^^^ column `device`
              caused by: error parsing glob 'boiler-[': unclosed character class; missing ']'

            error: `ingest.batch_rows` is 0; it may be 1 to 1000000
              --> millrace.toml:11:14
               |
            11 | batch_rows = 0
               |              ^

            error: `clear` must not lie above `above`
             --> a.toml:5:9
              |
            5 | clear = 95
              |         ^^
              hint: it is where the alert ends, on the good side of where it begins

            error: a second rule is called `hot`
             --> a.toml:7:8
              |
            7 | name = 'hot'
              |        ^^^^^
              hint: the first one is in line 2

            error: unknown key `mesage`
             --> a.toml:9:1
              |
            9 | mesage = '{devise}'
              | ^^^^^^
              hint: did you mean `message`?
        "#]],
    );
}

#[test]
fn filter_rules_are_shown_at_their_place() {
    check(
        &[(
            "millrace.toml",
            "[ingest.filter]\nmax_age = 'never'\n[[ingest.filter.rule]]\ndevice = 'a'\n\
             action = 'deni'\n[[ingest.filter.rule]]\nrange = { min = 5.0, max = 1.0 }\n",
        )],
        expect![[r#"
            error: wrong value of `ingest.filter.max_age`: string "never"
             --> millrace.toml:2:11
              |
            2 | max_age = 'never'
              |           ^^^^^^^ expected a duration
              hint: write a number and a unit, such as "10s" or "5m"

            error: unknown value `deni` of `ingest.filter.rule.action`
             --> millrace.toml:5:10
              |
            5 | action = 'deni'
              |          ^^^^^^ expected `allow` or `deny`
              hint: did you mean `deny`?

            error: filter rule 2: `range` from 5 to 1 holds no number
             --> millrace.toml:7:9
              |
            7 | range = { min = 5.0, max = 1.0 }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^
        "#]],
    );
}

#[test]
fn files_that_are_not_there_are_named_with_their_key() {
    check(
        &[(
            "millrace.toml",
            "[ingest]\ndevices = 'nowhere.csv'\n[alerts]\nrules = 'nowhere.toml'\n",
        )],
        expect![[r#"
            error: cannot read the device registry `nowhere.csv`
             --> millrace.toml:2:11
              |
            2 | devices = 'nowhere.csv'
              |           ^^^^^^^^^^^^^
              caused by: No such file or directory (os error 2)

            error: cannot read the alert rules `nowhere.toml`
             --> millrace.toml:4:9
              |
            4 | rules = 'nowhere.toml'
              |         ^^^^^^^^^^^^^^
              caused by: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn access_rules_are_shown_and_their_mistakes_too() {
    let config = ("millrace.toml", "[broker.acl]\nfile = 'acl.toml'\n");
    check(
        &[
            config,
            (
                "acl.toml",
                "[[rule]]\nallow = 'both'\ntopics = 'devices/%u/#'\n",
            ),
        ],
        expect![[r#"
            ok  configuration   `millrace.toml`
            ok  data folder     `millrace-data`
            ok  listener        mqtt://127.0.0.1:1883
            ok  access rules    `acl.toml`, 1 rule
            ok  users           none
            ok  store           millrace-data/millrace.db
            ok  topics          devices/{device}/telemetry, devices/{device}/telemetry/{metric}, v1/devices/me/telemetry
            ok  device registry none
            ok  alert rules     none
        "#]],
    );
    check(
        &[
            config,
            (
                "acl.toml",
                "[[rule]]\nallow = 'publish'\ngruop = 'admins'\ntopics = ['a/#/b', '%u-x']\n",
            ),
        ],
        expect![[r#"
            error: unknown key `gruop`
             --> acl.toml:3:1
              |
            3 | gruop = 'admins'
              | ^^^^^
              hint: did you mean `group`?

            error: the filter `a/#/b` has a `#` that is not the whole last level
             --> acl.toml:4:11
              |
            4 | topics = ['a/#/b', '%u-x']
              |           ^^^^^^^

            error: the level `%u-x` is not a placeholder
             --> acl.toml:4:20
              |
            4 | topics = ['a/#/b', '%u-x']
              |                    ^^^^^^
              hint: a placeholder is a whole level: `%u` the user, `%c` the client id, `%{name}` a variable of the credentials
        "#]],
    );
    check(
        &[config],
        expect![[r#"
        error: cannot read the access rules `acl.toml`
         --> millrace.toml:2:8
          |
        2 | file = 'acl.toml'
          |        ^^^^^^^^^^
          caused by: No such file or directory (os error 2)
    "#]],
    );
}

/// What the repository ships is right.
#[test]
fn the_shipped_files_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let path = |name: &str| folder.join(name).display().to_string();
    let sources = Sources {
        file: Some(folder.join("millrace.toml")),
        flags: vec![
            Override::flag("--rules", "alerts.rules", path("alerts.toml")),
            Override::flag("--acl", "broker.acl.file", path("acl.toml")),
        ],
        ..Sources::default()
    };
    let settings = config::load(&sources).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    assert!(!settings.rules.is_empty());
    assert!(settings.access.rules() > 0);
}
