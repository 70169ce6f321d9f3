//! Everybody comes back at once: a new process, so no password is remembered, and thousands of
//! clients that log in.
//!
//! What is measured is how long it takes until all are in, and what the others notice meanwhile:
//! those that are connected already, and newcomers whose login takes no hash.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access::PasswordHash;
use mqtt::{Version, client};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::load;

pub(crate) const CLIENTS: usize = 5_000;
/// Each has a password of its own, hashed at the shipped cost.
pub(crate) const USERS: usize = 200;
/// Between two newcomers.
const NEWCOMER_INTERVAL: Duration = Duration::from_millis(50);

/// What came of the storm.
pub(crate) struct Storm {
    /// Until the last client was in.
    pub(crate) elapsed: Duration,
    /// Told that the server is busy, after which they tried again.
    pub(crate) sent_away: u64,
}

/// Writes the users to the data folder of a server that is not started yet.
pub(crate) fn write_users(data: &Path) -> io::Result<()> {
    let mut file = String::new();
    for user in 0..USERS {
        let hash = PasswordHash::create(password(user).as_bytes());
        let hash = hash.map_err(io::Error::other)?;
        let _ = writeln!(file, "[user.user-{user}]\npassword = \"{hash}\"");
    }
    std::fs::write(data.join("users.toml"), file)
}

fn password(user: usize) -> String {
    format!("password-{user}")
}

/// All clients at once; returns when all are connected.
pub(crate) fn storm(address: SocketAddr) -> io::Result<Storm> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let sent_away = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|index| tokio::spawn(come_back(address, index, Arc::clone(&sent_away))))
            .collect();
        // Held until all are in.
        let mut streams = Vec::with_capacity(CLIENTS);
        for task in tasks {
            streams.push(task.await.map_err(io::Error::other)??);
        }
        Ok::<_, io::Error>(())
    })?;
    Ok(Storm {
        elapsed: started.elapsed(),
        sent_away: sent_away.load(Ordering::Relaxed),
    })
}

async fn come_back(
    address: SocketAddr,
    index: usize,
    sent_away: Arc<AtomicU64>,
) -> io::Result<TcpStream> {
    let user = index % USERS;
    let (id, name, password) = (
        format!("back-{index}"),
        format!("user-{user}"),
        password(user),
    );
    let connect = client::Connect {
        user: Some(&name),
        password: Some(password.as_bytes()),
        ..client::Connect::new(Version::V311, &id)
    };
    loop {
        match load::connect_as(address, &connect).await {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            answer => return answer,
        }
        sent_away.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Clients without a password that come one after another, until it is stopped.
pub(crate) struct Newcomers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<u64>>>,
}

impl Newcomers {
    pub(crate) fn start(address: SocketAddr) -> io::Result<Newcomers> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut latencies = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                let id = format!("newcomer-{}", latencies.len());
                runtime.block_on(load::connect(address, &id))?;
                latencies.push(started.elapsed().as_micros() as u64);
                std::thread::sleep(NEWCOMER_INTERVAL);
            }
            Ok(latencies)
        });
        Ok(Newcomers { stop, thread })
    }

    /// From TCP connect to CONNACK, in microseconds.
    pub(crate) fn stop(self) -> io::Result<Vec<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.join();
        joined.map_err(|_| io::Error::other("the newcomers' thread panicked"))?
    }
}
