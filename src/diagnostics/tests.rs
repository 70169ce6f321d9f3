use std::io;
use std::sync::Arc;

use super::*;

/// The text as it is without a terminal.
pub(crate) fn plain(failure: &Failure) -> String {
    anstream::adapter::strip_str(&failure.render()).to_string()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `127.0.0.1:1883`")]
struct Listen(#[source] io::Error);

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Wrapper(Box<dyn Error + Send + Sync>);

#[test]
fn an_error_is_shown_with_its_causes_and_a_hint() {
    let failure = Failure::from(Listen(io::ErrorKind::AddrInUse.into()));
    assert_eq!(
        plain(&failure),
        "error: cannot listen on `127.0.0.1:1883`\n  caused by: address in use\n  hint: another \
         process listens on this port: stop it, or choose another with `--listen 127.0.0.1:PORT`\n"
    );
}

#[test]
fn a_wrapper_that_repeats_its_source_is_shown_once() {
    let failure = Failure::from(Wrapper("broken".into()));
    assert_eq!(plain(&failure), "error: broken\n");
}

#[test]
fn the_store_brings_its_own_hint() {
    let error = store::StoreError::Fatal {
        message: "the database refuses the password of `ada`".into(),
        hint: "check the password in `store.url`".into(),
        source: Some("password authentication failed".into()),
    };
    assert_eq!(
        plain(&Failure::from(error)),
        "error: the database refuses the password of `ada`\n  caused by: password authentication \
         failed\n  hint: check the password in `store.url`\n"
    );
}

#[test]
fn several_problems_stand_apart() {
    let problems = vec![
        Problem::new("one\ntwo").hint("do this\nor that"),
        Problem::new("three"),
    ];
    let failure = Failure::from_problems(problems).expect("two problems");
    assert_eq!(
        plain(&failure),
        "error: one\n    two\n  hint: do this\n    or that\n\nerror: three\n"
    );
    assert!(Failure::from_problems(Vec::new()).is_none());
}

#[test]
fn a_place_is_shown_with_a_caret() {
    let text: Arc<str> = "# größe\nmax_sise = 5 # µ\n".into();
    let start = text.find("max_sise").expect("there");
    let place = |span| Place {
        file: "m.toml".into(),
        text: text.clone(),
        span,
        label: "?".into(),
    };
    let problem = Problem::new("unknown key")
        .at(place(start..start + 8))
        .hint("look");
    assert_eq!(
        plain(&Failure::of(problem)),
        "error: unknown key\n --> m.toml:2:1\n  |\n2 | max_sise = 5 # µ\n  | ^^^^^^^^ ?\n  hint: \
         look\n"
    );
    // Whatever a parser reports, showing it must not panic: past the end, inside a character, over
    // lines.
    for start in 0..text.len() + 3 {
        for end in start..text.len() + 3 {
            let shown = plain(&Failure::of(Problem::new("x").at(place(start..end))));
            assert!(shown.starts_with("error: x\n --> m.toml:"), "{shown}");
        }
    }
}

#[test]
fn usage_ends_with_two_and_failure_with_one() {
    assert_eq!(Failure::usage("no").code, 2);
    assert_eq!(Failure::new("no").code, 1);
}
