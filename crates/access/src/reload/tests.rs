//! When a source reads its files, and how often a fault is told; time is the test's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::source::Watched;
use super::{Fault, Outcome, Reloaded, Source, Taken, watch};
use crate::lock::lock;

const REST: Duration = Duration::from_secs(10);

/// Two files of text that count together; "bad" in one of them is a fault.
#[derive(Default)]
struct Texts {
    files: Vec<PathBuf>,
    in_force: Mutex<String>,
    taken: AtomicUsize,
    refused: AtomicUsize,
}

/// The test's own hold of a source that is being watched.
struct Shared(Arc<Texts>);

impl Source for Shared {
    fn name(&self) -> String {
        "texts".to_owned()
    }

    fn files(&self) -> Vec<&Path> {
        self.0.files.iter().map(PathBuf::as_path).collect()
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn take(&self) -> Result<Taken, Fault> {
        self.0.taken.fetch_add(1, Ordering::Relaxed);
        let read: io::Result<String> = self.0.files.iter().map(fs::read_to_string).collect();
        let text = read.map_err(|error| Fault::unreadable(&error))?;
        if text.contains("bad") {
            return Err(Fault::wrong(&io::Error::other(text)));
        }
        let mut in_force = lock(&self.0.in_force);
        let is_same = *in_force == text;
        *in_force = text;
        Ok(if is_same { Taken::Same } else { Taken::New })
    }

    fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

struct Case {
    folder: tempfile::TempDir,
    texts: Arc<Texts>,
    watched: Watched,
    now: Instant,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        let texts = Arc::new(Texts {
            files: ["a", "b"].map(|name| folder.path().join(name)).into(),
            ..Texts::default()
        });
        let watched = Watched::new(Box::new(Shared(Arc::clone(&texts))));
        let case = Case {
            folder,
            texts,
            watched,
            now: Instant::now(),
        };
        case.write("a", "1");
        case.write("b", "1");
        case
    }

    /// By another file of the same name, so that nothing hangs on the clock of the file system.
    fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, self.folder.path().join(name)).expect("renamed");
    }

    /// Looks `seconds` later; after how many more it wants to look again.
    fn look_after(&mut self, seconds: u64) -> Option<u64> {
        self.now += Duration::from_secs(seconds);
        let again = self.watched.look(self.now);
        again.map(|at| at.duration_since(self.now).as_secs())
    }

    /// How often the files were read, and faults told.
    fn counts(&self) -> (usize, usize) {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (count(&self.texts.taken), count(&self.texts.refused))
    }

    fn in_force(&self) -> String {
        lock(&self.texts.in_force).clone()
    }
}

#[test]
fn files_are_read_once_when_all_of_them_rest() {
    let mut case = Case::new();
    // What happened between the source's own reading and the first look must not be missed.
    assert_eq!(case.look_after(0), Some(10));
    assert_eq!(case.look_after(9), Some(1));
    assert_eq!(case.look_after(1), None);
    assert_eq!((case.in_force().as_str(), case.counts()), ("11", (1, 0)));
    assert_eq!(case.look_after(60), None);
    assert_eq!(case.counts(), (1, 0), "nothing changed");

    case.write("a", "2");
    assert_eq!(case.look_after(60), Some(10));
    case.write("b", "2");
    assert_eq!(case.look_after(9), Some(10), "the other one was written");
    assert_eq!(case.look_after(10), None);
    assert_eq!((case.in_force().as_str(), case.counts()), ("22", (2, 0)));
}

#[test]
fn a_fault_is_told_once_and_an_unreadable_file_tried_again() {
    let mut case = Case::new();
    case.look_after(0);
    case.look_after(10);
    case.write("a", "bad");
    case.look_after(1);
    case.look_after(10);
    assert_eq!(case.counts(), (2, 1));
    for _ in 0..3 {
        assert_eq!(case.look_after(10), None);
    }
    assert_eq!(case.counts(), (2, 1), "what is wrong stays wrong");
    // Another file, the same fault.
    case.write("a", "bad");
    case.look_after(1);
    case.look_after(10);
    assert_eq!(case.counts(), (3, 1));

    fs::remove_file(case.folder.path().join("b")).expect("removed");
    case.look_after(1);
    for _ in 0..3 {
        case.look_after(10);
    }
    assert_eq!(case.counts(), (6, 2), "it may be readable again");
    case.write("a", "1");
    case.write("b", "1");
    case.look_after(1);
    case.look_after(10);
    assert_eq!((case.in_force().as_str(), case.counts()), ("11", (7, 2)));
    // The same fault is another one now.
    case.write("a", "bad");
    case.look_after(1);
    case.look_after(10);
    assert_eq!(case.counts(), (8, 3));
}

#[test]
fn who_asks_does_not_wait_for_rest() {
    let mut case = Case::new();
    let reloaded = |case: &mut Case| {
        let Reloaded { name, outcome } = case.watched.reload();
        assert_eq!(name, "texts");
        outcome
    };
    assert_eq!(reloaded(&mut case), Outcome::New);
    assert_eq!(reloaded(&mut case), Outcome::Same);
    case.write("b", "bad");
    assert_eq!(reloaded(&mut case), Outcome::Failed);
    assert_eq!(case.in_force(), "11");
    // What was read for somebody is not read once more.
    assert_eq!(case.counts(), (3, 1));
    case.look_after(0);
    assert_eq!(case.look_after(20), None);
    assert_eq!(case.counts(), (3, 1));
}

#[tokio::test]
async fn a_look_that_is_asked_for_comes_at_once_and_none_after_the_end() {
    let case = Case::new();
    let stop = CancellationToken::new();
    let source = Box::new(Shared(Arc::clone(&case.texts)));
    let hour = Duration::from_secs(3_600);
    let (reloader, watching) = watch(vec![source], hour, stop.clone());
    let watching = tokio::spawn(watching);
    let expected = |outcome| {
        let name = "texts".to_owned();
        vec![Reloaded { name, outcome }]
    };
    assert_eq!(reloader.reload().await, expected(Outcome::New));
    case.write("a", "2");
    assert_eq!(reloader.reload().await, expected(Outcome::New));
    assert_eq!(reloader.reload().await, expected(Outcome::Same));
    stop.cancel();
    watching.await.expect("it ends");
    assert_eq!(reloader.reload().await, []);
}
