//! Passwords from people and scripts.
//!
//! Owns: where a password may come from, and that it is not seen on the way. Never: takes one from
//! a command's own flags by default, since `ps` shows them to everybody. Invariant: the terminal
//! shows what is typed again, however the question ends.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Stdin, Write as _};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::diagnostics::{Failure, display};

/// The environment's password for commands that log in to a server.
const VARIABLE: &str = "MILLRACE_PASSWORD";
/// MQTT cannot express a longer password.
const PASSWORD_BYTES_MAX: u64 = 65_535;

/// The password for commands that log in to a server.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Login {
    /// Password (visible in `ps`; prefer --password-file or MILLRACE_PASSWORD)
    #[arg(short = 'P', long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// File whose first line is the password [default: the variable MILLRACE_PASSWORD]
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
}

impl Login {
    /// Whether a flag names one; the variable may be there for other commands.
    pub(crate) fn is_given(&self) -> bool {
        self.password.is_some() || self.password_file.is_some()
    }

    /// The password, if there is one.
    pub(crate) fn read(&self) -> Result<Option<String>, Failure> {
        match (&self.password, &self.password_file) {
            (Some(password), _) => Ok(Some(password.clone())),
            (None, file) => beside_flags(file.as_deref()),
        }
    }
}

/// The password of a file, or of the environment.
pub(crate) fn beside_flags(file: Option<&Path>) -> Result<Option<String>, Failure> {
    match file {
        Some(file) => from_file(file).map(Some),
        None => Ok(std::env::var(VARIABLE).ok()),
    }
}

/// The first line of a file.
pub(crate) fn from_file(path: &Path) -> Result<String, Failure> {
    let read = |error: io::Error| {
        Failure::new(format!(
            "cannot read the password file `{}`: {error}",
            display(path)
        ))
    };
    let file = File::open(path).map_err(read)?;
    first_line(file).map_err(read).and_then(usable)
}

/// Asks at the terminal, `twice` where a typo would lock somebody out; from a pipe, takes the first
/// line.
pub(crate) fn ask(question: &str, twice: bool) -> Result<String, Failure> {
    let unreadable = |error| Failure::new(format!("cannot read a password: {error}"));
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return first_line(stdin.lock())
            .map_err(unreadable)
            .and_then(usable);
    }
    let first = at_terminal(&stdin, question).map_err(unreadable)?;
    if twice && at_terminal(&stdin, "again").map_err(unreadable)? != first {
        return Err(Failure::new("the two passwords differ"));
    }
    usable(first)
}

fn first_line(input: impl io::Read) -> io::Result<String> {
    let mut line = Vec::new();
    BufReader::new(input.take(PASSWORD_BYTES_MAX + 2)).read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn usable(password: String) -> Result<String, Failure> {
    match password.len() as u64 {
        0 => Err(Failure::new("the password is empty")),
        1..=PASSWORD_BYTES_MAX => Ok(password),
        _ => Err(Failure::new(format!(
            "the password is longer than {PASSWORD_BYTES_MAX} bytes"
        ))),
    }
}

fn at_terminal(stdin: &Stdin, question: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}: ")?;
    stderr.flush()?;
    let hidden = Hidden::start(stdin)?;
    let line = first_line(&mut stdin.lock());
    drop(hidden);
    // The Enter that was not shown.
    writeln!(stderr)?;
    line
}

/// While it lives, the terminal does not show what is typed.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl Hidden<'_> {
    fn start(stdin: &Stdin) -> io::Result<Hidden<'_>> {
        let before = tcgetattr(stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Flush, &hidden)?;
        Ok(Hidden { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Nothing better can be done than to try.
        let _ = tcsetattr(self.stdin, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::tests::plain;

    #[test]
    fn the_first_line_counts() {
        for (input, expected) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            (" a b \n", " a b "),
            ("größe\n", "größe"),
        ] {
            assert_eq!(first_line(input.as_bytes()).expect("read"), expected);
        }
        assert!(first_line(&b"\xFF\n"[..]).is_err());
    }

    #[test]
    fn what_cannot_be_a_password_is_refused() {
        assert!(usable("x".repeat(65_535)).is_ok());
        for (text, expected) in [
            (String::new(), "the password is empty"),
            (
                "x".repeat(65_536),
                "the password is longer than 65535 bytes",
            ),
        ] {
            let failure = usable(text).expect_err(expected);
            assert!(plain(&failure).contains(expected));
        }
    }

    #[test]
    fn a_file_wins_over_nothing_and_must_be_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\n").expect("written");
        let login = Login {
            password: None,
            password_file: Some(file),
        };
        let read = login
            .read()
            .unwrap_or_else(|failure| panic!("{}", plain(&failure)));
        assert_eq!(read.as_deref(), Some("from file"));
        let login = Login {
            password: None,
            password_file: Some(folder.path().join("none")),
        };
        assert!(
            plain(&login.read().expect_err("missing")).contains("cannot read the password file")
        );
    }
}
