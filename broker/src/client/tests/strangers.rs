//! The warning that everybody gets in although some log in.

use std::sync::Mutex;

use tracing::field::{Field, Visit as VisitFields};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::lock::lock;
use crate::upkeep::UsersFile;
use access::reload::{Source as _, Taken};

/// The messages of what is logged as a warning by this thread.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

struct Capture(Arc<Warnings>);

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message(&self.0));
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

struct Message<'a>(&'a Warnings);

impl VisitFields for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            lock(&self.0.0).push(format!("{value:?}"));
        }
    }
}

/// How often it was warned of strangers, after a tick of the clock.
fn warned(bench: &Bench, warnings: &Warnings) -> usize {
    crate::broker::tick(&bench.gate);
    let warnings = lock(&warnings.0);
    let of_strangers = |warning: &&String| warning.contains("is true although there are users");
    warnings.iter().filter(of_strangers).count()
}

fn write_users(bench: &Bench, names: &[&str]) {
    let users: String = names
        .iter()
        .map(|name| format!("[user.{name}]\n"))
        .collect();
    std::fs::write(bench.data.path().join("users.toml"), users).expect("written");
    let taken = UsersFile(Arc::clone(&bench.gate)).take();
    assert!(matches!(taken, Ok(Taken::New)));
}

#[tokio::test]
async fn strangers_beside_users_are_warned_of_when_the_first_user_comes_and_once() {
    let warnings = Arc::new(Warnings::default());
    let _guard = tracing::subscriber::set_default(Capture(Arc::clone(&warnings)));
    let bench = Bench::with(|config| config.allow_anonymous = true);
    assert_eq!(warned(&bench, &warnings), 0, "there is no user");
    write_users(&bench, &["ada"]);
    assert_eq!(warned(&bench, &warnings), 1);
    write_users(&bench, &["ada", "bob"]);
    assert_eq!(warned(&bench, &warnings), 1);

    // Nobody gets in without credentials here,
    let bench = Bench::new();
    write_users(&bench, &["ada"]);
    assert_eq!(warned(&bench, &warnings), 1);
    // and here the operator has said what strangers may do.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("acl.toml");
    let rules = "[[rule]]\nallow = 'both'\ntopics = 'open/#'\n";
    std::fs::write(&file, rules).expect("written");
    let bench = Bench::with(|config| {
        config.allow_anonymous = true;
        config.acl.file = Some(file);
    });
    write_users(&bench, &["ada"]);
    assert_eq!(warned(&bench, &warnings), 1);
}
