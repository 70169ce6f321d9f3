//! What one decision about a publish or a subscribe costs, with a thousand rules.
//!
//! ```text
//! cargo bench -p access
//! ```
//!
//! Figures are medians of batches, in nanoseconds a decision, the debug event of a denial and the
//! look at the rules in force included; machines are noisy, so compare within one run.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use access::rules::{Client, Subject};
use access::{Access, Action, Policy};

const RULES: usize = 1_000;
const BATCHES: usize = 201;
const DECISIONS_PER_BATCH: usize = 2_000;

fn main() {
    println!("{:<58} {:>9} {:>9}", "", "median ns", "p90 ns");
    built_in();
    users();
    filters_of_a_group();
    placeholders();
    globs();
    many_groups();
    subscribing();
}

/// What a broker without a file does for a device.
fn built_in() {
    let access = Access::new(Policy::built_in());
    let device = client("press-500", &["devices"]);
    allowed(
        &access,
        "built-in rules, a device publishes",
        &device,
        &[OWN],
    );
}

fn users() {
    let access =
        rules(|n| format!("user = 'press-{n}'\nallow = 'both'\ntopics = 'devices/press-{n}/#'"));
    let device = client("press-500", &["devices"]);
    allowed(
        &access,
        "1,000 rules for 1,000 users, allowed",
        &device,
        &[OWN],
    );
    denied(
        &access,
        "1,000 rules for 1,000 users, denied",
        &device,
        &["devices/press-501/telemetry"],
    );
}

fn filters_of_a_group() {
    let access = rules(|n| {
        format!(
            "group = 'devices'\nallow = 'publish'\ntopics = ['plant/{n}/+/telemetry', 'hall/{n}/#']"
        )
    });
    let device = client("press-500", &["devices"]);
    let topics: Vec<_> = (0..RULES)
        .step_by(7)
        .map(|n| format!("plant/{n}/press/telemetry"))
        .collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    allowed(
        &access,
        "1,000 rules of one group, any of them",
        &device,
        &topics,
    );
}

/// Rules that no look-up tells apart come first, so that all could be in the way.
fn placeholders() {
    let mut text = String::new();
    for n in 1..RULES {
        let _ = writeln!(
            text,
            "[[rule]]\nuser = 'x-*'\ndeny = 'both'\ntopics = 'devices/%u/{n}/+'"
        );
    }
    text.push_str("[[rule]]\nallow = 'both'\ntopics = 'devices/%u/#'\n");
    let access = Access::new(Policy::parse(&text).expect("good rules"));
    let device = client("press-500", &["devices"]);
    allowed(
        &access,
        "1,000 rules with placeholders, the last one",
        &device,
        &[OWN],
    );
}

fn globs() {
    let access = rules(|n| format!("user = 'site-{n}-*'\nallow = 'both'\ntopics = 'shared/#'"));
    let device = client("site-500-press", &["devices"]);
    let topics = ["shared/press/telemetry"];
    allowed(&access, "1,000 globs on one filter", &device, &topics);
    // Looked up by what they end with.
    let access = rules(|n| format!("user = '*-{n}'\nallow = 'both'\ntopics = 'site/{n}/#'"));
    let device = client("press-500", &["devices"]);
    let topics = ["site/500/telemetry"];
    let name = "1,000 globs that begin with `*`, on 1,000 filters";
    allowed(&access, name, &device, &topics);
    let access = rules(|n| format!("user = '*-{n}'\nallow = 'both'\ntopics = 'shared/#'"));
    let topics = ["shared/press/telemetry"];
    let name = "1,000 globs that begin with `*`, on one filter";
    allowed(&access, name, &device, &topics);
}

fn many_groups() {
    let access = rules(|n| {
        format!("group = 'group-{n}'\nallow = 'both'\ntopics = ['plant/{n}/#', 'all/+']")
    });
    let names: Vec<_> = (400..408).map(|n| format!("group-{n}")).collect();
    let groups: Vec<_> = names.iter().map(String::as_str).collect();
    let device = client("press-500", &groups);
    allowed(
        &access,
        "1,000 rules for 1,000 groups, a client in 8",
        &device,
        &["plant/407/press/telemetry"],
    );
}

fn subscribing() {
    let access =
        rules(|n| format!("user = 'press-{n}'\nallow = 'both'\ntopics = 'devices/press-{n}/#'"));
    let device = client("press-500", &["devices"]);
    let name = "1,000 rules for 1,000 users, a subscription";
    measure(name, || {
        access.allows(
            &device,
            Action::Subscribe,
            black_box("devices/press-500/commands/+"),
        )
    });
}

const OWN: &str = "devices/press-500/telemetry";

fn rules(rule: impl Fn(usize) -> String) -> Access {
    let mut text = String::new();
    for n in 0..RULES {
        let _ = writeln!(text, "[[rule]]\n{}", rule(n));
    }
    Access::new(Policy::parse(&text).expect("good rules"))
}

fn client(user: &str, groups: &[&str]) -> Client {
    Client::from(&Subject {
        user: user.to_owned(),
        client_id: user.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Subject::default()
    })
}

fn allowed(access: &Access, name: &str, client: &Client, topics: &[&str]) {
    publishes(access, name, client, topics, true);
}

fn denied(access: &Access, name: &str, client: &Client, topics: &[&str]) {
    publishes(access, name, client, topics, false);
}

fn publishes(access: &Access, name: &str, client: &Client, topics: &[&str], expected: bool) {
    let mut next = topics.iter().cycle();
    measure(name, || {
        let topic = next.next().expect("a cycle");
        access.allows(client, Action::Publish, black_box(topic)) == expected
    });
}

/// Prints what a decision takes; each must be the expected one.
fn measure(name: &str, mut decide: impl FnMut() -> bool) {
    let mut nanoseconds: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..DECISIONS_PER_BATCH {
                assert!(decide(), "{name}");
            }
            started.elapsed().as_nanos() as f64 / DECISIONS_PER_BATCH as f64
        })
        .collect();
    nanoseconds.sort_by(f64::total_cmp);
    let at = |part: usize| nanoseconds[BATCHES * part / 100];
    println!("{name:<58} {:>9.0} {:>9.0}", at(50), at(90));
}
