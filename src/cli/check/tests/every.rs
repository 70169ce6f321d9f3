//! All mistakes of a section are said at once, those of the elements of a list among them.

use expect_test::expect;

use super::check;

#[test]
fn every_mistake_of_a_section_and_of_a_list_is_shown() {
    check(
        &[(
            "millrace.toml",
            "[broker]\nlisten = 'nowhere'\nmax_inflight = 0\nreload_interval = '0s'\n\
             [[broker.listener]]\nkind = 'ws'\naddress = '127.0.0.1:1'\npath = 'x'\n\
             [[broker.listener]]\nkind = 'tls'\naddress = '127.0.0.1:2'\n\
             [[broker.listener]]\nkind = 'tcp'\naddress = '127.0.0.1:3'\npath = '/'\n\
             [store]\nurl = 'mysql'\nconnect_timeout = '0s'\n\
             [ingest]\nmax_series = 0\nbatch_rows = 0\nbatch_delay = '1h'\n\
             [[ingest.filter.rule]]\naction = 'deny'\ntopic = 'a/#/b'\n\
             [[ingest.filter.rule]]\naction = 'deny'\n\
             [[ingest.filter.rule]]\nrange = {}\n",
        )],
        expect![[r#"
            error: `broker.listen` `nowhere` is not an address and port: invalid socket address
             --> millrace.toml:2:10
              |
            2 | listen = 'nowhere'
              |          ^^^^^^^^^
              hint: write an address and a port, such as "127.0.0.1:1883"

            error: `broker.listener.0.path` `x` is not a path
             --> millrace.toml:8:8
              |
            8 | path = 'x'
              |        ^^^
              hint: write a path such as "/mqtt"

            error: `broker.listener.1.certificate` is missing: a listener of the kind `tls` needs it
             --> millrace.toml:9:1
              |
            9 | [[broker.listener]]
              | ^^^^^^^^^^^^^^^^^^^
              hint: name two PEM files: `certificate` with the server's certificate and its chain, `key` with its private key

            error: `broker.listener.2.path` has no meaning for a listener of the kind `tcp`
              --> millrace.toml:15:8
               |
            15 | path = '/'
               |        ^^^
              hint: make it `kind = "ws"` or `kind = "wss"`, or remove the key

            error: `broker.max_inflight` must lie between 1 and 65535
             --> millrace.toml:3:16
              |
            3 | max_inflight = 0
              |                ^

            error: `broker.reload_interval` must lie between 10ms and 1h
             --> millrace.toml:4:19
              |
            4 | reload_interval = '0s'
              |                   ^^^^

            error: `store.connect_timeout` must lie between 1ms and 24days
              --> millrace.toml:18:19
               |
            18 | connect_timeout = '0s'
               |                   ^^^^

            error: `store.url` names no known database
              --> millrace.toml:17:7
               |
            17 | url = 'mysql'
               |       ^^^^^^^
              hint: write `sqlite`, `sqlite:PATH` or `postgres://user:password@host:5432/database`

            error: `ingest.max_series` is 0; it may be 1 to 4294967295
              --> millrace.toml:20:14
               |
            20 | max_series = 0
               |              ^

            error: filter rule 1: `topic` is `a/#/b`, which is not an MQTT filter
              --> millrace.toml:25:9
               |
            25 | topic = 'a/#/b'
               |         ^^^^^^^

            error: filter rule 3: `range` needs `min` or `max`
              --> millrace.toml:29:9
               |
            29 | range = {}
               |         ^^

            error: `ingest.batch_rows` is 0; it may be 1 to 1000000
              --> millrace.toml:21:14
               |
            21 | batch_rows = 0
               |              ^

            error: `ingest.batch_delay` is 3600s; it may be up to 10s
              --> millrace.toml:22:15
               |
            22 | batch_delay = '1h'
               |               ^^^^
        "#]],
    );
}
