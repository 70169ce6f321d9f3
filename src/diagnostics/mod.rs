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
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};

const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const CAUSE: Style = AnsiColor::BrightRed.on_default();
const HINT: Style = AnsiColor::BrightCyan.on_default().bold();

/// Causes shown at most: a chain longer than this is a defect, and it must not flood a terminal.
const CAUSES_MAX: usize = 10;

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
        Problem::new(message).into()
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
        Problem::from_error(error).into()
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
            problem.render(&mut out);
        }
        out
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure {
            problems: vec![problem],
            code: 1,
        }
    }
}

// `Failure` is not an `Error` itself, so that every error converts with `?`.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::from_error(&error)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    message: String,
    /// Boxed, because problems are returned in many `Result`s.
    place: Option<Box<Place>>,
    causes: Vec<String>,
    hint: Option<String>,
}

/// Where in a file the user wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    pub(crate) text: Arc<str>,
    /// Bytes of `text`.
    pub(crate) span: Range<usize>,
    /// What stands beside the caret; may be empty.
    pub(crate) label: String,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            place: None,
            causes: Vec::new(),
            hint: None,
        }
    }

    pub(crate) fn from_error(error: &(dyn Error + 'static)) -> Problem {
        let mut problem = Problem::new(error.to_string());
        problem.hint = hints::of(error);
        let mut source = error.source();
        while let Some(cause) = source {
            problem.push_cause(cause.to_string());
            problem.hint = problem.hint.or_else(|| hints::of(cause));
            source = cause.source();
        }
        problem
    }

    pub(crate) fn at(mut self, place: Place) -> Problem {
        self.place = Some(Box::new(place));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Whether both are about the same place, so that the later one may only follow from the
    /// earlier.
    pub(crate) fn overlaps(&self, other: &Problem) -> bool {
        let (Some(one), Some(other)) = (&self.place, &other.place) else {
            return false;
        };
        one.file == other.file && one.span.start < other.span.end && other.span.start < one.span.end
    }

    /// Says in front what the message is about.
    pub(crate) fn about(mut self, what: &str) -> Problem {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Further causes, outermost first.
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Problem {
        self.push_cause(cause.into());
        self
    }

    /// Where in its file it stands, for sorting; problems without a place come first.
    pub(crate) fn offset(&self) -> usize {
        self.place.as_ref().map_or(0, |place| place.span.start)
    }

    /// A cause that only repeats what was said (a wrapper that prints its source) is left out.
    fn push_cause(&mut self, cause: String) {
        let last = self.causes.last().unwrap_or(&self.message);
        if *last != cause && self.causes.len() < CAUSES_MAX {
            self.causes.push(cause);
        }
    }

    fn render(&self, out: &mut String) {
        match &self.place {
            Some(place) => out.push_str(&self.render_snippet(place)),
            None => {
                let message = shown(&self.message);
                let _ = writeln!(out, "{ERROR}error{ERROR:#}: {message}");
            }
        }
        for cause in &self.causes {
            let _ = writeln!(out, "  {CAUSE}caused by{CAUSE:#}: {}", shown(cause));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "  {HINT}hint{HINT:#}: {}", indent_lines(hint));
        }
    }

    fn render_snippet(&self, place: &Place) -> String {
        let file = display(&place.file);
        // Also from a line that is right: it may be the one beside the caret.
        let text = redact::passwords(&place.text);
        let title = redact::passwords(&self.message);
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
