//! `millrace user`: who may log in to the broker with a password.
//!
//! Owns: what is asked and said. Never: changes the file by itself; the broker's own code does.
//! Invariant: a password is neither taken from a flag nor shown, but for one that was generated,
//! once.

mod first;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use access::users::{User, UserFile, Users};
use access::{PasswordError, PasswordHash, generate_password};
use clap::Subcommand;
use serde::Serialize;

pub(super) use first::first_admin;

use super::options::{ConfigFile, Overrides};
use super::{Outcome, entry, output, password};
use crate::config;
use crate::diagnostics::{Failure, display};

const EXAMPLES: &str = "\
Examples:
  millrace user add alice --group admins
  millrace user add panel --group consoles --generate
  pass show millrace/bob | millrace user add bob --update
  millrace user list

A running broker applies changes within seconds and disconnects the users that changed. Once a user
exists, clients without credentials are accepted only with `broker.allow_anonymous = true`.";

/// Manage the users of the broker: their passwords and groups
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user, or change one; asks for the password, or reads a line from a pipe
    Add(Add),
    /// Remove users
    Remove(Remove),
    /// Show users and their groups
    List(List),
    /// Check a user's password; exit code 1 when it is wrong
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The user's name
    name: String,
    /// A group of the user; may be repeated
    #[arg(short, long, value_name = "GROUP")]
    group: Vec<String>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Generate a password and print it once
    #[arg(long, conflicts_with = "password_file")]
    generate: bool,
    /// Set no password: the user logs in with a certificate or a token; with --update, keep the
    /// present one
    #[arg(long, conflicts_with_all = ["password_file", "generate"])]
    no_password: bool,
    /// Change an existing user; without --group its groups stay
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The users' names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// The user's name
    name: String,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The users file [default: from the configuration, or users.toml in the data folder]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
    /// The data folder [default: from the configuration, or ./millrace-data]
    #[arg(short, long, value_name = "FOLDER")]
    data: Option<String>,
}

impl Place {
    fn file(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => config::users_file(&self.sources()),
        }
    }

    /// A file that was named belongs to whatever configuration names it, which is not known here.
    fn entry(&self) -> Result<Option<config::Entry>, Failure> {
        match &self.file {
            Some(_) => Ok(None),
            None => config::entry(&self.sources()).map(Some),
        }
    }

    fn sources(&self) -> config::Sources {
        let flags = Overrides {
            data: self.data.clone(),
            ..Overrides::default()
        };
        self.config.sources(&flags)
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Remove(args) => remove(args),
        Command::List(args) => list(args),
        Command::Verify(args) => verify(args),
    }
}

fn add(args: &Add) -> Outcome {
    let path = args.place.file()?;
    // Before anything is asked: nobody likes to type a password for nothing.
    may_add(&args.name, args.update, UserFile::open(&path)?.users())?;
    let (hash, generated) = new_password(args)?;
    let groups = (!args.update || !args.group.is_empty()).then_some(&*args.group);
    let mut file = UserFile::open(&path)?;
    may_add(&args.name, args.update, file.users())?;
    let is_first = file.users().is_empty();
    let is_new = !path.exists();
    file.put(&args.name, hash.as_ref(), groups)?;
    file.save()?;
    if let Some(password) = generated {
        output::text(&format!("{password}\n"))?;
    }
    let done = if args.update { "changed" } else { "added" };
    // In the wrong folder, nobody would read it.
    let made = if is_new {
        ", which is new: does Millrace run with it?"
    } else {
        ""
    };
    let place = std::path::absolute(&path).unwrap_or(path);
    anstream::eprintln!("user `{}` {done} in `{}`{made}", args.name, display(&place));
    if let Some(config::Entry {
        data,
        allows_anonymous,
    }) = args.place.entry()?
    {
        entry::require_logins(&data, is_first, allows_anonymous);
    }
    Ok(ExitCode::SUCCESS)
}

fn may_add(name: &str, update: bool, users: &Users) -> Result<(), Failure> {
    match (users.get(name), update) {
        (Some(_), false) => Err(Failure::new(format!("there is a user `{name}` already"))
            .hint("`--update` changes its password or its groups")),
        (None, true) => {
            Err(Failure::new(format!("there is no user `{name}`")).hint("leave out `--update`"))
        }
        _ => Ok(()),
    }
}

/// The hash to store, and the password itself when it was made up here.
fn new_password(args: &Add) -> Result<(Option<PasswordHash>, Option<String>), Failure> {
    if args.no_password {
        return Ok((None, None));
    }
    let password = if args.generate {
        generate_password().map_err(unusable)?
    } else {
        read_password(args.password_file.as_ref(), &args.name, true)?
    };
    let hash = PasswordHash::create(password.as_bytes()).map_err(unusable)?;
    Ok((Some(hash), args.generate.then_some(password)))
}

fn unusable(error: PasswordError) -> Failure {
    Failure::new(format!("the password {error}"))
}

fn read_password(file: Option<&PathBuf>, name: &str, twice: bool) -> Result<String, Failure> {
    match file {
        Some(file) => password::from_file(file),
        None => password::ask(&format!("password for `{name}`"), twice),
    }
}

fn remove(args: &Remove) -> Outcome {
    let path = args.place.file()?;
    let mut file = UserFile::open(&path)?;
    for name in &args.names {
        if !file.remove(name) {
            return Err(no_user(name).hint("no user was removed; `millrace user list` shows them"));
        }
    }
    let is_empty = file.is_empty();
    file.save()?;
    let removed = output::count(args.names.len() as u64, "user");
    anstream::eprintln!("{removed} removed from `{}`", display(&path));
    if is_empty
        && let Some(place) = args.place.entry()?
        && !place.allows_anonymous
    {
        anstream::eprintln!("{}", entry::NOBODY_LEFT);
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &List) -> Outcome {
    let path = args.place.file()?;
    let users = Users::load_if_there(&path)?;
    if args.json {
        output::json(&users.iter().map(Shown::of).collect::<Vec<_>>())?;
    } else if users.is_empty() {
        anstream::eprintln!("no users in `{}`", display(&path));
    } else {
        output::text(&table(&users))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A user for a program to read.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    groups: Vec<&'a str>,
    password: bool,
    disabled: bool,
}

impl<'a> Shown<'a> {
    fn of((name, user): (&'a str, &'a User)) -> Shown<'a> {
        Shown {
            name,
            groups: user.groups().collect(),
            password: user.has_password(),
            disabled: user.is_disabled(),
        }
    }
}

fn table(users: &Users) -> String {
    let width = users.iter().map(|(name, _)| name.chars().count());
    let width = width.max().unwrap_or(0);
    let mut out = String::new();
    for user in users.iter().map(Shown::of) {
        let mut notes = vec![if user.groups.is_empty() {
            "-".to_owned()
        } else {
            user.groups.join(",")
        }];
        if !user.password {
            notes.push("no password".into());
        }
        if user.disabled {
            notes.push("disabled".into());
        }
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:width$}  {}", user.name, notes.join("  "));
    }
    out
}

fn verify(args: &Verify) -> Outcome {
    let path = args.place.file()?;
    let users = Users::load_if_there(&path)?;
    let user = users.get(&args.name).ok_or_else(|| no_user(&args.name))?;
    if !user.has_password() {
        return Err(Failure::new(format!(
            "user `{}` has no password",
            args.name
        )));
    }
    let password = read_password(args.password_file.as_ref(), &args.name, false)?;
    if !user.verify(password.as_bytes()) {
        return Err(Failure::new(format!(
            "the password of `{}` is another",
            args.name
        )));
    }
    let state = if user.is_disabled() {
        ", but the user is disabled"
    } else {
        ""
    };
    anstream::eprintln!("the password of `{}` is right{state}", args.name);
    Ok(ExitCode::SUCCESS)
}

fn no_user(name: &str) -> Failure {
    Failure::new(format!("there is no user `{name}`"))
}
