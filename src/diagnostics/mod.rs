//! How failures look to people, and what the process returns.
//!
//! Owns: the words `error:`, `caused by:` and `hint:`, snippets with a caret, hints for errors of
//! other crates, exit codes. Never: decides whether something is a failure. Invariant: everything
//! goes to stderr, a failure is shown once, and no password of a URL is in it.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line was wrong.

mod hints;
mod redact;
#[cfg(test)]
pub(crate) mod tests;

use std::error::Error;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use documents::{FileError, Place, Problem};

const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const CAUSE: Style = AnsiColor::BrightRed.on_default();
const HINT: Style = AnsiColor::BrightCyan.on_default().bold();

/// Why a command ended without having done its work: one problem, or several found in one go.
///
/// Any error becomes one with `?`, and keeps its chain of sources.
#[derive(Debug)]
pub(crate) struct Failure {
    problems: Vec<Problem>,
    code: u8,
}

impl Failure {
    /// A failure of one sentence: a lowercase fragment with values in backticks.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::of(Problem::new(message))
    }

    pub(crate) fn of(problem: Problem) -> Failure {
        Failure {
            problems: vec![problem],
            code: 1,
        }
    }

    /// The command line asks for something that cannot be meant; exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure {
            code: 2,
            ..Failure::new(message)
        }
    }

    /// Any error with its sources and, when its kind is known, a hint.
    pub(crate) fn from_error(error: &(dyn Error + 'static)) -> Failure {
        Failure::of(problem_of(error))
    }

    /// Every mistake of a file, or why it cannot be read.
    pub(crate) fn of_file(error: FileError) -> Failure {
        match error {
            FileError::Wrong { problems, .. } => Failure { problems, code: 1 },
            unreadable => Failure::from_error(&unreadable),
        }
    }

    /// `None` when there is no problem.
    pub(crate) fn from_problems(problems: Vec<Problem>) -> Option<Failure> {
        (!problems.is_empty()).then_some(Failure { problems, code: 1 })
    }

    /// What to do about it; replaces a hint that was found before.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        if let Some(problem) = self.problems.last_mut() {
            problem.hint = Some(hint.into());
        }
        self
    }

    /// Shows it on stderr and says how the process ends.
    pub(crate) fn report(&self) -> ExitCode {
        anstream::eprint!("{}", self.render());
        ExitCode::from(self.code)
    }

    /// The text with colours, problems apart by an empty line.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            render(problem, &mut out);
        }
        out
    }
}

// `Failure` is not an `Error` itself, so that every error converts with `?`.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::from_error(&error)
    }
}

/// An error with all its sources and, when the kind of one is known, a hint.
pub(crate) fn problem_of(error: &(dyn Error + 'static)) -> Problem {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    let hint = chain.find_map(hints::of);
    Problem::from_error(error).hint_if(hint)
}

fn render(problem: &Problem, out: &mut String) {
    match &problem.place {
        Some(place) => out.push_str(&render_snippet(&problem.message, place)),
        None => {
            let message = shown(&problem.message);
            let _ = writeln!(out, "{ERROR}error{ERROR:#}: {message}");
        }
    }
    for cause in &problem.causes {
        let _ = writeln!(out, "  {CAUSE}caused by{CAUSE:#}: {}", shown(cause));
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "  {HINT}hint{HINT:#}: {}", indent_lines(hint));
    }
}

fn render_snippet(message: &str, place: &Place) -> String {
    let file = display(&place.file);
    // Also from a line that is right: it may be the one beside the caret.
    let text = redact::passwords(&place.text);
    let title = redact::passwords(message);
    let span = clamp(&text, &place.span);
    let annotation = AnnotationKind::Primary
        .span(span)
        .label(place.label.as_str());
    let snippet = Snippet::source(text.as_str())
        .path(file.as_str())
        .annotation(annotation);
    let group = Level::ERROR.primary_title(title.as_str()).element(snippet);
    format!("{}\n", Renderer::styled().render(&[group]))
}

/// A path as people write it.
pub(crate) fn display(path: &Path) -> String {
    path.display().to_string()
}

/// Keeps a span inside the text and on character borders, whatever a parser reported; one line is
/// enough to point at.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor_char(text, span.start.min(text.len()));
    let end = floor_char(text, span.end.clamp(start, text.len()));
    let line_end = text[start..end]
        .find(['\r', '\n'])
        .map_or(end, |at| start + at);
    start..line_end
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A message without passwords. Hints are our own words, and show how a URL with one is written.
fn shown(text: &str) -> String {
    indent_lines(&redact::passwords(text))
}

/// Further lines of a message stand under its first.
fn indent_lines(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}
