//! `millrace simulate`: fake or recorded devices over MQTT, and a report.
//!
//! Owns: laying flags over a scenario file, Ctrl-C, and where the report goes. Never: makes load
//! itself; the crate `simulator` does. Invariant: the report alone is on stdout.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgAction;
use simulator::{Error, FleetKeys, Progress, ReplayKeys, RunKeys, Scenario, Settings};
use tokio_util::sync::CancellationToken;

use super::{Outcome, output, password, up};
use crate::diagnostics::Failure;
use crate::logging;

/// As shells report a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  millrace simulate                                 ten thermostats, a message a second each
  millrace simulate -c 100 -R 2000 --duration 30s   2,000 messages/s of 100 devices
  millrace simulate -c 100 -R max -n 1000000        as fast as they are acknowledged
  millrace simulate --profile boiler --profile gps --fault spike:0.01 --fault dropout:every=1m
  millrace simulate --scenario config/scenarios/demo.toml
  millrace simulate --replay machine.csv --device machine-1 --map value=temperature --speed max

Every key of a scenario file is a flag of the same name; a flag wins over the file, in every fleet.
With --seed and --start-time, a run sends the same bytes again. Latency counts from the moment a
message was meant to be sent, so that a slow server cannot hide what it delayed.

Exit codes: 0 every message was acknowledged, 1 some were not, 2 wrong command line.";

/// Generate load: simulated devices, or a recorded file, over MQTT
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunKeys,
    #[command(flatten)]
    fleet: FleetKeys,
    #[command(flatten)]
    replay: ReplayKeys,
    /// Scenario file: several fleets, and profiles of your own
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    scenario: Option<PathBuf>,
    /// File whose first line is the password [default: the variable MILLRACE_PASSWORD]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    #[arg(conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Show no progress
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    /// What to log
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "warn",
        help_heading = "Output"
    )]
    log: String,
    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    logging::init(logging::filter(&args.log)?);
    let json = args.json;
    let settings = resolve(args)?;
    let stop = CancellationToken::new();
    let report = tokio::select! {
        report = simulator::run(settings, stop.clone()) => report?,
        left = interrupted_twice(&stop) => {
            return left.map(|()| ExitCode::from(INTERRUPTED));
        }
    };
    if json {
        output::json(&report)?;
    } else {
        output::text(&report.to_string())?;
    }
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn resolve(args: Args) -> Result<Settings, Failure> {
    let flags = Scenario {
        run: args.run,
        fleet: args.fleet,
        replay: args.replay,
    };
    let mut scenario = match &args.scenario {
        Some(path) => read(path)?.under(flags),
        None => flags,
    };
    let may_have_password = scenario.run.username.is_some() && scenario.run.password.is_none();
    if may_have_password || args.password_file.is_some() {
        scenario.run.password = password::beside_flags(args.password_file.as_deref())?;
    }
    let mut settings = scenario.resolve().map_err(|error| match error {
        Error::Settings(message) => Failure::usage(message),
        other => other.into(),
    })?;
    settings.progress = if args.quiet {
        Progress::Off
    } else {
        Progress::Auto
    };
    Ok(settings)
}

/// Reads a scenario file; the failure shows everything that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Scenario, Failure> {
    Scenario::read(path).map_err(Failure::of_file)
}

/// The first SIGINT or SIGTERM ends the sending, the second one the waiting.
async fn interrupted_twice(stop: &CancellationToken) -> Result<(), Failure> {
    up::signal().await?;
    stop.cancel();
    anstream::eprintln!("waiting for outstanding acknowledgements; Ctrl-C again to leave at once");
    up::signal().await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::diagnostics::tests::plain;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &str) -> Result<Args, clap::Error> {
        let words = ["simulate"].into_iter().chain(flags.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    #[test]
    fn flags_mean_what_people_know() {
        let flags = "-h broker -p 1884 -u bob -P secret -V 5 -t a/%i -q 0 -c 7 -i 10 -I 250 -n 100";
        let settings = resolve(parse(flags).unwrap()).unwrap();
        assert_eq!(settings.broker.address(), "broker:1884");
        assert_eq!(settings.broker.password.as_deref(), Some("secret"));
        assert_eq!(settings.broker.version, simulator::MqttVersion::V5);
        let simulator::Load::Fleets(fleets) = &settings.load else {
            panic!("no fleet")
        };
        let [fleet] = fleets.as_slice() else {
            panic!("{} fleets", fleets.len())
        };
        assert_eq!((fleet.devices, fleet.connections, fleet.qos), (7, 7, 0));
        assert_eq!(fleet.limit.messages, Some(100));
        assert_eq!(fleet.connect_interval.as_millis(), 10);
        assert_eq!(
            fleet.pace,
            simulator::Pace::Every(std::time::Duration::from_millis(250))
        );
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        for flags in [
            "-I 100 -R 10",
            "-i 100 --ramp-up 1s",
            "--time-column t",
            "--replay a.csv --scenario b.toml",
            "-q 3",
            "--fault spoke",
            "--profile boiler --payload round",
        ] {
            assert!(parse(flags).is_err(), "{flags}");
        }
        for flags in [
            "--profile toaster",
            "-t a/#",
            "--replay a.csv -c 3",
            "--device d -c 2",
        ] {
            assert!(resolve(parse(flags).unwrap()).is_err(), "{flags}");
        }
    }

    #[test]
    fn every_mistake_of_a_scenario_is_shown_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        let text = "port = \"1883\"\nhots = \"h\"\nfleet = 5\nworkers = \"many\"\nlisten = 1\n\
                    expect = [1]\n[[profiles]]\nname = 3\n";
        std::fs::write(&path, text).unwrap();
        let flags = format!("--scenario {}", path.display());
        let failure = resolve(parse(&flags).unwrap()).unwrap_err();
        let folder = format!("{}/", folder.path().display());
        expect_test::expect![[r#"
            error: wrong type of `port`: string "1883"
             --> s.toml:1:8
              |
            1 | port = "1883"
              |        ^^^^^^ expected a whole number, not negative
              hint: leave out the quotes: 1883

            error: unknown key `hots`
             --> s.toml:2:1
              |
            2 | hots = "h"
              | ^^^^ not a known key
              hint: did you mean `host`?

            error: wrong type of `fleet`: integer `5`
             --> s.toml:3:9
              |
            3 | fleet = 5
              |         ^ expected a list

            error: wrong type of `workers`: string "many"
             --> s.toml:4:11
              |
            4 | workers = "many"
              |           ^^^^^^ expected a whole number, not negative

            error: unknown key `listen`
             --> s.toml:5:1
              |
            5 | listen = 1
              | ^^^^^^ not a known key
              hint: known keys: host, port, username, password, cafile, cert, key, insecure, mqtt-version, keepalive, clean, connect-timeout, duration, drain, seed, start-time, workers, expect, alerts, fleet, profile

            error: wrong type of `expect`: a list
             --> s.toml:6:10
              |
            6 | expect = [1]
              |          ^^^ expected a path

            error: unknown key `profiles`
             --> s.toml:7:3
              |
            7 | [[profiles]]
              |   ^^^^^^^^ not a known key
              hint: did you mean `profile`?
        "#]]
        .assert_eq(&plain(&failure).replace(&folder, ""));
    }

    #[test]
    fn flags_win_over_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(
            &path,
            "port = 1\nseed = 5\n[[fleet]]\ncount = 3\nrate = 10\nqos = 0",
        )
        .unwrap();
        let flags = format!("--scenario {} -p 2 -I 50", path.display());
        let settings = resolve(parse(&flags).unwrap()).unwrap();
        assert_eq!((settings.broker.port, settings.seed), (2, 5));
        let simulator::Load::Fleets(fleets) = &settings.load else {
            panic!("no fleet")
        };
        assert_eq!((fleets[0].devices, fleets[0].qos), (3, 0));
        assert_eq!(
            fleets[0].pace,
            simulator::Pace::Every(std::time::Duration::from_millis(50))
        );
    }
}
