//! Kept sessions with wildcard filters of their own that come and go: what memory a broker holds on
//! to when what it serves is small at any time and never the same.
//!
//! Each lane keeps some sessions alive. A round makes a new one with filters of its own, publishes
//! to one of them so that a message waits there, and ends the oldest.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mqtt::{Qos, RetainHandling, Subscription, Version, client, encode};

/// Sessions alive at one time, over all lanes.
pub(crate) const SESSIONS: usize = 500;
const LANES: usize = 8;
const FILTERS: usize = 10;
const PAYLOAD: [u8; 200] = [b'x'; 200];

/// How many sessions there were in all; at the end none is left.
pub(crate) fn run(address: SocketAddr, duration: Duration) -> io::Result<u64> {
    let end = Instant::now() + duration;
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| thread::spawn(move || Lane::new(address, lane).run(end)))
        .collect();
    let mut sessions = 0;
    for lane in lanes {
        sessions += lane
            .join()
            .map_err(|_| io::Error::other("a lane panicked"))??;
    }
    Ok(sessions)
}

struct Lane {
    address: SocketAddr,
    lane: usize,
    next: u64,
    alive: VecDeque<String>,
}

impl Lane {
    fn new(address: SocketAddr, lane: usize) -> Lane {
        Lane {
            address,
            lane,
            next: 0,
            alive: VecDeque::new(),
        }
    }

    fn run(mut self, end: Instant) -> io::Result<u64> {
        let mut publisher = Line::connect(self.address, &format!("publisher-{}", self.lane), true)?;
        while Instant::now() < end {
            let id = format!("churn-{}-{}", self.lane, self.next);
            self.next += 1;
            self.keep(&id)?;
            publisher.publish(&format!("churn/{id}/0/state"))?;
            self.alive.push_back(id);
            if self.alive.len() >= SESSIONS / LANES {
                self.end_oldest()?;
            }
        }
        while !self.alive.is_empty() {
            self.end_oldest()?;
        }
        Ok(self.next)
    }

    /// A session that outlives its connection, with filters that nobody else has.
    fn keep(&self, id: &str) -> io::Result<()> {
        let mut line = Line::connect(self.address, id, false)?;
        let filters: Vec<String> = (0..FILTERS)
            .map(|filter| format!("churn/{id}/{filter}/+"))
            .collect();
        line.subscribe(&filters)?;
        line.leave()
    }

    fn end_oldest(&mut self) -> io::Result<()> {
        match self.alive.pop_front() {
            Some(id) => Line::connect(self.address, &id, true)?.leave(),
            None => Ok(()),
        }
    }
}

/// A client of MQTT 3.1.1 that does one thing at a time.
struct Line {
    stream: TcpStream,
    out: Vec<u8>,
}

impl Line {
    fn connect(address: SocketAddr, id: &str, clean_start: bool) -> io::Result<Line> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut line = Line {
            stream,
            out: Vec::new(),
        };
        let connect = client::Connect {
            clean_start,
            ..client::Connect::new(Version::V311, id)
        };
        client::connect(&mut line.out, &connect);
        line.send()?;
        match line.answer::<4>()? {
            [0x20, 2, _, 0] => Ok(line),
            refused => Err(io::Error::other(format!("refused: {refused:?}"))),
        }
    }

    fn subscribe(&mut self, filters: &[String]) -> io::Result<()> {
        let subscriptions: Vec<_> = filters
            .iter()
            .map(|filter| Subscription {
                filter,
                qos: Qos::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            })
            .collect();
        client::subscribe(&mut self.out, Version::V311, 1, None, &subscriptions);
        self.send()?;
        self.answer::<{ 4 + FILTERS }>().map(drop)
    }

    fn publish(&mut self, topic: &str) -> io::Result<()> {
        let publish = encode::Publish {
            topic,
            payload: &PAYLOAD,
            qos: Qos::AtLeastOnce,
            packet_id: 1,
            ..encode::Publish::default()
        };
        encode::publish(&mut self.out, Version::V311, &publish);
        self.send()?;
        self.answer::<4>().map(drop)
    }

    /// DISCONNECT, and waits until the broker has let go.
    fn leave(mut self) -> io::Result<()> {
        self.stream.write_all(&[0xE0, 0])?;
        let mut rest = [0; 16];
        while self.stream.read(&mut rest)? > 0 {}
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn answer<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let mut answer = [0; BYTES];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}
