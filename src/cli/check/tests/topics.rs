//! What is said about the templates of topics.

use expect_test::expect;

use super::check;

#[test]
fn every_topic_that_is_wrong_is_shown() {
    check(
        &[(
            "millrace.toml",
            "[ingest]\ntopics = [\n  'a/{device}',\n  'sensors/{site}/data',\n  'b/+',\n  \
             { topic = '{site}/{device}', device = '{site}' },\n  { topic = 'c', devise = 'd' },\n  5,\n]\n",
        )],
        expect![[r#"
            error: `ingest.topics`: topic template `sensors/{site}/data`, column 1: nothing names the device: it needs `{device}`, or the level `me` for the client id, or a key `device` beside it, such as device = "{site}"
             --> millrace.toml:4:3
              |
            4 |   'sensors/{site}/data',
              |   ^^^^^^^^^^^^^^^^^^^^^

            error: `ingest.topics`: topic template `b/+`, column 3: `+` is an MQTT wildcard: name the part instead, such as `{site}`
             --> millrace.toml:5:3
              |
            5 |   'b/+',
              |   ^^^^^

            error: `ingest.topics`: topic template `{site}/{device}`, `device` `{site}`, column 1: it leaves out `{device}`: add it, or give that level of the topic another name, which makes it a label
             --> millrace.toml:6:3
              |
            6 |   { topic = '{site}/{device}', device = '{site}' },
              |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error: unknown key `devise` in `[ingest.topics]`
             --> millrace.toml:7:3
              |
            7 |   { topic = 'c', devise = 'd' },
              |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not a known key
              hint: did you mean `device`?

            error: wrong type of `ingest.topics`: integer `5`
             --> millrace.toml:8:3
              |
            8 |   5,
              |   ^ expected a template such as "devices/{device}/telemetry", or a table with `topic` and `device`
        "#]],
    );
}

/// As the mistake would look in a table of its own.
#[test]
fn topics_may_be_tables() {
    check(
        &[(
            "millrace.toml",
            "[[ingest.topics]]\ntopic = '{site}/{device}'\ndevice = '{device}'\n\
             [[ingest.topics]]\ndevice = '{site}-{device}'\ntopic = 'a/{site}/{device}'\n\
             [[ingest.topics]]\ndevice = 'x'\n",
        )],
        expect![[r#"
            error: `ingest.topics`: topic template `a/{site}/{device}`, `device` `{site}-{device}`, column 8: `{site}-{device}` holds two parts, which could not be told apart: put `/` between them, which no level of a topic holds
             --> millrace.toml:4:1
              |
            4 | [[ingest.topics]]
              | ^^^^^^^^^^^^^^^^^

            error: missing key `topic` in `[[ingest.topics]]`
             --> millrace.toml:7:1
              |
            7 | [[ingest.topics]]
              | ^^^^^^^^^^^^^^^^^
        "#]],
    );
}
