//! Who was refused what: a few lines in a while, with the numbers of all that had none.
//!
//! Owns: how often the log is told, and of whom. Never: counts for `$SYS`, or writes a payload or a
//! secret. Invariant: however much is refused, each kind of it has at most `WHO_MAX` lines and one
//! more in `INTERVAL`, and none is left out of their numbers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::lock::lock;

/// Between two tellings of one kind.
const INTERVAL: Duration = Duration::from_secs(10);
/// Clients that are named in one telling; the others are a number.
const WHO_MAX: usize = 5;
/// Characters shown of a name, a topic or an error: clients choose them, and they may be as long
/// as a packet.
const CHARS_MAX: usize = 200;

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Publish,
    Subscribe,
    Login,
    /// A CONNECT for another reason than its login.
    Connect,
    /// What ended a connection that was let in.
    Packet,
    Tls,
    WebSocket,
    Proxy,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Publish,
        Kind::Subscribe,
        Kind::Login,
        Kind::Connect,
        Kind::Packet,
        Kind::Tls,
        Kind::WebSocket,
        Kind::Proxy,
    ];

    fn words(self) -> &'static str {
        match self {
            Kind::Publish => "publishes refused",
            Kind::Subscribe => "subscriptions refused",
            Kind::Login => "logins refused",
            Kind::Connect => "connects refused",
            Kind::Packet => "connections ended for what the client sent",
            Kind::Tls => "TLS handshakes failed",
            Kind::WebSocket => "WebSocket requests refused",
            Kind::Proxy => "PROXY headers refused",
        }
    }
}

/// Whom something was refused; empty is unknown, or nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
    /// `None`: not known any more.
    pub(crate) address: Option<SocketAddr>,
}

impl Who<'_> {
    /// Somebody who was not let in yet.
    pub(crate) fn at(address: SocketAddr) -> Who<'static> {
        Who {
            user: "",
            client_id: "",
            address: Some(address),
        }
    }
}

/// Refusals that the log has yet to hear of.
#[derive(Default)]
pub(crate) struct Refusals {
    kinds: [Mutex<Untold>; Kind::ALL.len()],
}

#[derive(Default)]
struct Untold {
    told: Option<Instant>,
    refused: Vec<Refused>,
    /// Refusals of clients that have no line of their own.
    others: u64,
}

/// One client, and the first thing that it was refused since the last telling.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    user: String,
    client_id: String,
    address: Option<SocketAddr>,
    what: String,
    times: u64,
}

impl Refusals {
    /// Notes a refusal; `what` is asked for only when there is a line for it.
    pub(crate) fn note(&self, kind: Kind, who: &Who<'_>, what: impl FnOnce() -> String) {
        let now = Instant::now();
        let told = {
            let mut untold = lock(&self.kinds[kind as usize]);
            untold.note(who, what);
            untold.take(now)
        };
        tell(kind, told);
    }

    /// Tells what is due; to be called now and then.
    pub(crate) fn flush(&self) {
        let now = Instant::now();
        for kind in Kind::ALL {
            let told = lock(&self.kinds[kind as usize]).take(now);
            tell(kind, told);
        }
    }
}

impl Untold {
    fn note(&mut self, who: &Who<'_>, what: impl FnOnce() -> String) {
        if let Some(known) = self.refused.iter_mut().find(|known| known.is(who)) {
            known.times += 1;
        } else if self.refused.len() < WHO_MAX {
            self.refused.push(Refused {
                user: shortened(who.user),
                client_id: shortened(who.client_id),
                address: who.address,
                what: shortened(&what()),
                times: 1,
            });
        } else {
            self.others += 1;
        }
    }

    fn take(&mut self, now: Instant) -> Option<(Vec<Refused>, u64)> {
        let is_early = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < INTERVAL);
        if is_early || self.refused.is_empty() {
            return None;
        }
        self.told = Some(now);
        let others = std::mem::take(&mut self.others);
        Some((std::mem::take(&mut self.refused), others))
    }
}

impl Refused {
    /// A client by its id, a stranger by its address.
    fn is(&self, who: &Who<'_>) -> bool {
        let ip = |address: Option<SocketAddr>| -> Option<IpAddr> { Some(address?.ip()) };
        match who.client_id {
            "" => self.client_id.is_empty() && ip(self.address) == ip(who.address),
            client_id => is_shortened(&self.client_id, client_id),
        }
    }
}

fn tell(kind: Kind, told: Option<(Vec<Refused>, u64)>) {
    let Some((refused, others)) = told else {
        return;
    };
    let words = kind.words();
    for refused in refused {
        let Refused {
            user,
            client_id,
            address,
            what,
            times,
        } = refused;
        let user = Some(user).filter(|user| !user.is_empty());
        let client = Some(client_id).filter(|client_id| !client_id.is_empty());
        let address = address.map(tracing::field::display);
        warn!(user, client, address, what, times, "{words}");
    }
    if others > 0 {
        warn!(times = others, "{words}: to other clients as well");
    }
}

/// Whether one is the other, as it was shortened.
fn is_shortened(short: &str, text: &str) -> bool {
    match short.strip_suffix('…') {
        Some(start) if start.len() < text.len() && short != text => text.starts_with(start),
        _ => short == text,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(client_id: &str) -> Who<'_> {
        Who {
            user: "ada",
            client_id,
            address: Some(([192, 0, 2, 1], 5000).into()),
        }
    }

    #[test]
    fn few_are_named_and_all_are_counted() {
        let mut untold = Untold::default();
        let start = Instant::now();
        assert_eq!(untold.take(start), None);
        untold.note(&who("first"), || "a".to_owned());
        let (refused, others) = untold.take(start).expect("the first at once");
        assert_eq!((refused.len(), others), (1, 0));
        assert_eq!(refused[0].what, "a");

        for round in 0..100 {
            for number in 0..20 {
                untold.note(&who(&format!("c{number:02}")), || format!("{round}"));
            }
        }
        assert_eq!(untold.take(start + INTERVAL / 2), None);
        let (refused, others) = untold.take(start + INTERVAL).expect("its time has come");
        assert_eq!(refused.len(), WHO_MAX);
        assert!(refused.iter().all(|refused| refused.times == 100));
        assert_eq!(others, 1_500);
        assert_eq!(untold.take(start + 3 * INTERVAL), None);
    }

    #[test]
    fn what_a_client_makes_up_takes_no_more_than_a_line() {
        let mut untold = Untold::default();
        let long = "ä".repeat(60_000);
        for _ in 0..2 {
            untold.note(&who(&long), || long.clone());
        }
        let (refused, _) = untold.take(Instant::now()).expect("one");
        assert_eq!((refused.len(), refused[0].times), (1, 2));
        assert_eq!(refused[0].what.chars().count(), CHARS_MAX + 1);
    }

    #[test]
    fn strangers_are_told_apart_by_their_address() {
        let mut untold = Untold::default();
        for (host, port) in [(1, 1), (1, 2), (2, 1)] {
            untold.note(&Who::at(([192, 0, 2, host], port).into()), String::new);
        }
        let (refused, _) = untold.take(Instant::now()).expect("two");
        let times: Vec<_> = refused.iter().map(|refused| refused.times).collect();
        assert_eq!(times, [2, 1]);
    }
}
