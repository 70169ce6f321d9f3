//! The whole path, measured from outside: load generator, server process and PostgreSQL share this
//! machine.
//!
//! ```text
//! cargo bench --bench pipeline --
//!     [throughput|sqlite|latency|alerts|idle|connects|storm|fanout|wildcard|churn|overload]…
//!     [--seconds N] [--against HOST:PORT] [--binary MILLRACE]
//! ```
//!
//! `--against` has `fanout` measure another broker that listens there; `--binary` measures another
//! build of Millrace, so that two can take turns under one load generator. Without a name all but
//! `overload` run. Figures are for comparing on one machine in one run: machines are noisy.

mod churn;
mod database;
mod fanout;
mod load;
mod server;
mod storm;
mod subscriber;
mod wildcard;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanout::{Pace, Subscribers, Subscribing};
use load::{ClosedLoop, End, OpenLoop, Topics};
use mqtt::Qos;
use server::Server;
use storm::Newcomers;
use subscriber::AlertSubscriber;

type Done = Result<(), Box<dyn Error>>;

/// As the systems in this field are usually compared: 100 connections with 64 publishes in flight
/// each.
const CONNECTIONS: usize = 100;
const WINDOW: usize = 64;
const METRICS: u64 = 3;
const IDLE_CONNECTIONS: usize = 10_000;
const CONNECT_STORM: usize = 5_000;
const OVERLOAD_JOURNAL: &str = "2GB";
const FANOUT_SUBSCRIBERS: usize = 1_000;
/// Rounds of a figure whose median is reported.
const FANOUT_ROUNDS: usize = 5;
const PACED_RATE: u64 = 2_000;
/// The shortest that `churn` runs, and how long it waits before it looks at what is left.
const CHURN: Duration = Duration::from_secs(60);

/// Every message of the alternating load crosses this rule's thresholds.
const RULES: &str = r#"
[[rule]]
name = "hot"
metric = "temperature"
above = 80
clear = 40
severity = "critical"
"#;

fn main() -> Done {
    let mut names = Vec::new();
    let mut seconds = 10;
    let mut against = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                seconds = arguments
                    .next()
                    .ok_or("--seconds needs a number")?
                    .parse()?
            }
            "--against" => {
                let address = arguments.next().ok_or("--against needs an address")?;
                against = Some(address.parse()?);
            }
            "--binary" => {
                let binary = arguments.next().ok_or("--binary needs a path")?;
                server::measure(binary.into());
            }
            // What `wildcard` starts its peer with.
            "--serve-stock-rumqttd" => {
                let port = arguments
                    .next()
                    .ok_or("--serve-stock-rumqttd needs a port")?;
                return wildcard::serve_stock_rumqttd(port.parse()?);
            }
            // What `cargo bench` adds by itself.
            "--bench" => {}
            name => names.push(name.to_owned()),
        }
    }
    let duration = Duration::from_secs(seconds);
    let runs = |name: &str| {
        if names.is_empty() {
            name != "overload"
        } else {
            names.iter().any(|wanted| wanted == name)
        }
    };
    if runs("throughput") {
        throughput_postgres(duration)?;
    }
    if runs("sqlite") {
        throughput_sqlite(duration)?;
    }
    if runs("latency") {
        latency(duration)?;
    }
    if runs("alerts") {
        alerts(duration)?;
    }
    if runs("idle") {
        idle()?;
    }
    if runs("connects") {
        connects()?;
    }
    if runs("storm") {
        login_storm(duration)?;
    }
    if runs("fanout") {
        fanout(duration, against)?;
    }
    if runs("wildcard") {
        wildcard::run()?;
    }
    if runs("churn") {
        churn(duration.max(CHURN))?;
    }
    if runs("overload") {
        overload(duration.max(Duration::from_secs(600)))?;
    }
    Ok(())
}

fn full_load(server: &Server, duration: Duration) -> io::Result<load::Sent> {
    ClosedLoop {
        address: server.address,
        connections: CONNECTIONS,
        window: WINDOW,
        topics: Topics::TELEMETRY,
        end: End::After(duration),
    }
    .run()
}

fn throughput_postgres(duration: Duration) -> Done {
    println!(
        "throughput, PostgreSQL ({} s, {CONNECTIONS} connections, {WINDOW} in flight):",
        duration.as_secs()
    );
    let cluster = testkit::Postgres::start();
    let url = cluster.create_database();
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), Some(&url), None)?;
    let started = Instant::now();
    let sent = full_load(&server, duration)?;
    let accepted = sent.acknowledged;
    // The position, since counting a large table would take the processor from what is measured.
    let stored_at_end = database::committed_messages(&url)? * METRICS;
    while database::committed_messages(&url)? < accepted {
        std::thread::sleep(Duration::from_millis(50));
    }
    let landed = started.elapsed();
    let expected = accepted * METRICS;
    report_throughput(accepted, &sent, landed, stored_at_end);
    let rows = database::count_samples(&url)?;
    println!("  rows stored / expected        {rows} / {expected}");
    report_process(&server);
    let copy = database::copy_alone(&url, rows.min(5_000_000))?;
    let rate = expected as f64 / landed.as_secs_f64();
    println!(
        "  COPY alone, same table        {copy:>12.0} rows/s   landed / COPY alone {:.2}",
        rate / copy
    );
    let hour = database::one_series_over_an_hour(&url)?;
    println!(
        "  one series over an hour       {:>12.1} ms",
        hour.as_secs_f64() * 1e3
    );
    server.kill();
    Ok(())
}

/// Far more than the database can take, for long: the journal reaches its limit, clients are held
/// back, memory stays.
fn overload(duration: Duration) -> Done {
    println!(
        "overload ({} s, journal of {OVERLOAD_JOURNAL}):",
        duration.as_secs()
    );
    let cluster = testkit::Postgres::start();
    let url = cluster.create_database();
    let data = tempfile::tempdir()?;
    let server = Server::start_with(
        data.path(),
        Some(&url),
        &[("MILLRACE_JOURNAL__MAX_SIZE", OVERLOAD_JOURNAL.as_ref())],
    )?;
    let sent = full_load(&server, duration)?;
    let resident = server.resident_bytes();
    while database::committed_messages(&url)? < sent.acknowledged {
        std::thread::sleep(Duration::from_millis(200));
    }
    let rate = sent.acknowledged as f64 / sent.elapsed.as_secs_f64();
    println!("  accepted, held back by disk   {rate:>12.0} messages/s");
    println!(
        "  accepted / committed          {} / {}",
        sent.acknowledged,
        database::committed_messages(&url)?
    );
    println!(
        "  resident when load ended      {:>12.0} MB",
        resident as f64 / 1e6
    );
    report_process(&server);
    server.kill();
    Ok(())
}

fn throughput_sqlite(duration: Duration) -> Done {
    println!("throughput, SQLite ({} s):", duration.as_secs());
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), None, None)?;
    let started = Instant::now();
    let sent = full_load(&server, duration)?;
    let file = data.path().join("millrace.db");
    let accepted = sent.acknowledged;
    let stored_at_end = database::committed_messages_sqlite(&file)? * METRICS;
    while database::committed_messages_sqlite(&file)? < accepted {
        std::thread::sleep(Duration::from_millis(50));
    }
    report_throughput(accepted, &sent, started.elapsed(), stored_at_end);
    let (rows, expected) = (database::count_samples_sqlite(&file)?, accepted * METRICS);
    println!("  rows stored / expected        {rows} / {expected}");
    report_process(&server);
    server.kill();
    Ok(())
}

fn report_throughput(accepted: u64, sent: &load::Sent, landed: Duration, stored_at_end: u64) {
    let per_second = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "  accepted (PUBACK, on disk)    {:>12.0} messages/s",
        per_second(accepted, sent.elapsed)
    );
    println!(
        "  landed (queryable rows)       {:>12.0} messages/s   {:.0} rows/s",
        per_second(accepted, landed),
        per_second(accepted * METRICS, landed)
    );
    let share = stored_at_end as f64 / (accepted * METRICS) as f64;
    println!("  stored when load ended        {:>12.1} %", share * 100.0);
}

fn report_process(server: &Server) {
    println!(
        "  resident, most                {:>12.0} MB   processor {:.1} s",
        server.resident_bytes_max() as f64 / 1e6,
        server.processor_seconds()
    );
}

fn latency(duration: Duration) -> Done {
    println!("PUBACK latency at {PACED_RATE} messages/s, open loop:");
    let cluster = testkit::Postgres::start();
    let url = cluster.create_database();
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), Some(&url), None)?;
    let paced = OpenLoop {
        address: server.address,
        connections: CONNECTIONS,
        rate: PACED_RATE,
        duration,
        alternating: false,
    };
    report_latency("PUBACK", paced.run()?);
    println!(
        "  fdatasync alone, this disk    {:>12.2} ms p50",
        database::fdatasync_ms(data.path())?
    );
    server.kill();
    Ok(())
}

fn alerts(duration: Duration) -> Done {
    println!("publish to alert at {PACED_RATE} messages/s, every message changes an alert:");
    let data = tempfile::tempdir()?;
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, RULES)?;
    let server = Server::start(&data.path().join("data"), None, Some(&rules))?;
    let subscriber = AlertSubscriber::start(server.address)?;
    let paced = OpenLoop {
        address: server.address,
        connections: CONNECTIONS,
        rate: PACED_RATE,
        duration,
        alternating: true,
    };
    let sent = paced.run()?.len();
    let latencies = subscriber.stop();
    println!("  messages {sent}, alert events {}", latencies.len());
    report_latency("publish to alert", latencies);
    server.kill();
    Ok(())
}

fn report_latency(what: &str, mut micros: Vec<u64>) {
    micros.sort_unstable();
    let at = |share: f64| {
        let index = ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
        micros
            .get(index)
            .map_or(f64::NAN, |micros| *micros as f64 / 1e3)
    };
    println!(
        "  {what:<29} {:>12.2} ms p50   {:.2} ms p99   {:.2} ms max",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn idle() -> Done {
    println!("idle connections ({IDLE_CONNECTIONS}):");
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), None, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let before = server.resident_bytes();
    let held = runtime.block_on(async {
        let mut held = Vec::with_capacity(IDLE_CONNECTIONS);
        for index in 0..IDLE_CONNECTIONS {
            held.push(load::connect(server.address, &format!("idle-{index}")).await?);
        }
        Ok::<_, io::Error>(held)
    })?;
    let each = server.resident_bytes().saturating_sub(before) as f64 / held.len() as f64;
    println!("  resident, each                {:>12.2} KB", each / 1e3);
    server.kill();
    Ok(())
}

fn connects() -> Done {
    println!("connects ({CONNECT_STORM}, 64 at a time, TCP connect to CONNACK):");
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), None, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let started = Instant::now();
    runtime.block_on(async {
        let address = server.address;
        let tasks: Vec<_> = (0..64)
            .map(|lane| {
                tokio::spawn(async move {
                    for index in 0..CONNECT_STORM / 64 {
                        load::connect(address, &format!("storm-{lane}-{index}")).await?;
                    }
                    Ok::<_, io::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok::<_, io::Error>(())
    })?;
    let rate = CONNECT_STORM as f64 / started.elapsed().as_secs_f64();
    println!("  connects                      {rate:>12.0} /s");
    server.kill();
    Ok(())
}

/// Clients with passwords come back to a new process, while others publish and connect.
fn login_storm(duration: Duration) -> Done {
    println!(
        "{} clients of {} users log in at once, others at {PACED_RATE} messages/s:",
        storm::CLIENTS,
        storm::USERS
    );
    let data = tempfile::tempdir()?;
    storm::write_users(data.path())?;
    let server = Server::start_with(
        data.path(),
        None,
        &[("MILLRACE_BROKER__ALLOW_ANONYMOUS", "true".as_ref())],
    )?;
    let paced = OpenLoop {
        address: server.address,
        connections: CONNECTIONS,
        rate: PACED_RATE,
        duration,
        alternating: false,
    };
    report_latency("PUBACK before", paced.run()?);
    let others = std::thread::spawn(move || paced.run());
    let newcomers = Newcomers::start(server.address)?;
    let storm = storm::storm(server.address)?;
    report_latency("newcomer, TCP to CONNACK", newcomers.stop()?);
    let others = others.join().map_err(|_| "the load's thread panicked")?;
    report_latency("PUBACK in the storm", others?);
    println!(
        "  all are in after              {:>12.1} s   {} were sent away and came again",
        storm.elapsed.as_secs_f64(),
        storm.sent_away
    );
    report_process(&server);
    server.kill();
    Ok(())
}

/// Memory that a process holds on to while kept sessions with filters of their own come and go.
fn churn(duration: Duration) -> Done {
    println!(
        "kept sessions with filters of their own come and go ({} s, {} at a time):",
        duration.as_secs(),
        churn::SESSIONS
    );
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), None, None)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "  resident before               {:>12.0} MB",
        megabytes(server.resident_bytes())
    );
    let sessions = churn::run(server.address, duration)?;
    println!("  sessions                      {sessions:>12}");
    println!(
        "  resident when the last ended  {:>12.0} MB",
        megabytes(server.resident_bytes())
    );
    std::thread::sleep(CHURN);
    println!(
        "  resident {} s later           {:>12.0} MB",
        CHURN.as_secs(),
        megabytes(server.resident_bytes())
    );
    report_process(&server);
    server.kill();
    Ok(())
}

/// One topic to all subscribers: by the index for an exact filter, by the trie for a wildcard one.
fn fanout(duration: Duration, against: Option<SocketAddr>) -> Done {
    println!("one topic to {FANOUT_SUBSCRIBERS} subscribers, median of {FANOUT_ROUNDS} rounds:");
    for (filter, kept, kind) in [
        ("fanout/all", false, "exact filter"),
        ("fanout/+", false, "wildcard filter"),
        ("fanout/all", true, "kept sessions"),
    ] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let subscribing = Subscribing { filter, qos, kept };
            let data = tempfile::tempdir()?;
            let server = match against {
                Some(_) => None,
                None => Some(Server::start(data.path(), None, None)?),
            };
            let address = server.as_ref().map(|server| server.address).or(against);
            let address = address.ok_or("there is a server or an address")?;
            let subscribers = Subscribers::connect(address, FANOUT_SUBSCRIBERS, subscribing)?;
            for (how, pace) in [("", Pace::STREAM), (", one at a time", Pace::SINGLY)] {
                let mut rates = Vec::new();
                for _ in 0..FANOUT_ROUNDS {
                    let round = duration / FANOUT_ROUNDS as u32;
                    rates.push(subscribers.round(address, qos, pace, round)?);
                }
                rates.sort_by(f64::total_cmp);
                let [least, median, most] =
                    [0, FANOUT_ROUNDS / 2, FANOUT_ROUNDS - 1].map(|at| rates[at]);
                println!(
                    "  {:<36} {median:>12.0} deliveries/s   {least:.0} to {most:.0}",
                    format!("{kind}, QoS {}{how}", qos as u8)
                );
            }
            drop(subscribers);
            if let Some(server) = server {
                report_process(&server);
                server.kill();
            }
        }
    }
    Ok(())
}
