//! How many sessions may outlive their connections: of all clients, and of one user.
//!
//! Invariant: a session whose client was told that it is kept has a place from then until it ends,
//! whether its client is connected or not. A user stands in the table as long as it has a place, so
//! the table is bounded by the places.

use std::sync::{Arc, Mutex};

use foldhash::HashMap;

use crate::lock::lock;
use access::Identity;

/// Places at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptLimits {
    pub(crate) all: usize,
    /// Sessions of one user, or of all clients without a user.
    pub(crate) per_user: usize,
    /// Sessions of clients that log in with one device's secret.
    pub(crate) per_device: usize,
}

/// The places.
pub(crate) struct KeptSessions {
    limits: KeptLimits,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: Tally,
    by_user: HashMap<Arc<str>, Tally>,
}

/// Places of one kind.
#[derive(Default)]
struct Tally {
    count: usize,
    /// The operator knows that there are no more.
    told: bool,
}

/// The place of one session; dropping it gives it back.
pub(crate) struct KeptPlace {
    sessions: Arc<KeptSessions>,
    user: Arc<str>,
}

/// No place is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace {
    /// The key of the limit that is reached.
    pub(crate) limit: &'static str,
    /// It was not so before, or there were many free places meanwhile.
    pub(crate) first: bool,
}

impl KeptSessions {
    pub(crate) fn new(limits: KeptLimits) -> Arc<KeptSessions> {
        Arc::new(KeptSessions {
            limits,
            taken: Mutex::default(),
        })
    }

    /// A place for a session of a client that came as this one.
    pub(crate) fn enter(self: &Arc<Self>, identity: &Identity) -> Result<KeptPlace, NoPlace> {
        let (own_limit, own_max) = match identity.device_secret {
            Some(_) => ("max_sessions_per_device", self.limits.per_device),
            None => ("max_sessions_per_user", self.limits.per_user),
        };
        let mut taken = lock(&self.taken);
        taken.all.check("max_sessions", self.limits.all)?;
        if let Some(own) = taken.by_user.get_mut(&*identity.user) {
            own.check(own_limit, own_max)?;
        } else if own_max == 0 {
            return Err(NoPlace {
                limit: own_limit,
                first: false,
            });
        }
        Ok(self.place(&mut taken, &identity.user))
    }

    /// A place for a session that had one before a restart; limits refuse what is new.
    pub(crate) fn enter_again(self: &Arc<Self>, user: &str) -> KeptPlace {
        self.place(&mut lock(&self.taken), user)
    }

    fn place(self: &Arc<Self>, taken: &mut Taken, user: &str) -> KeptPlace {
        taken.all.count += 1;
        let user = match taken.by_user.get_key_value(user) {
            Some((user, _)) => Arc::clone(user),
            None => user.into(),
        };
        taken.by_user.entry(Arc::clone(&user)).or_default().count += 1;
        KeptPlace {
            sessions: Arc::clone(self),
            user,
        }
    }
}

impl Tally {
    fn check(&mut self, limit: &'static str, max: usize) -> Result<(), NoPlace> {
        if self.count < max {
            // A few that come and go at the limit are not worth a word each.
            self.told &= self.count >= max - max / 8;
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.told, true);
        Err(NoPlace { limit, first })
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        let mut taken = lock(&self.sessions.taken);
        taken.all.count -= 1;
        if let Some(own) = taken.by_user.get_mut(&self.user) {
            own.count -= 1;
            if own.count == 0 {
                taken.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::secret_digest;

    fn user(name: &str) -> Identity {
        Identity {
            user: name.into(),
            ..Identity::default()
        }
    }

    fn device(name: &str) -> Identity {
        Identity {
            device_secret: Some(secret_digest(b"secret")),
            ..user(name)
        }
    }

    fn sessions(all: usize, per_user: usize, per_device: usize) -> Arc<KeptSessions> {
        KeptSessions::new(KeptLimits {
            all,
            per_user,
            per_device,
        })
    }

    fn refusal(result: Result<KeptPlace, NoPlace>) -> (&'static str, bool) {
        let NoPlace { limit, first } = result.err().expect("refused");
        (limit, first)
    }

    #[test]
    fn each_user_and_device_has_its_own_places_and_all_have_theirs() {
        let sessions = sessions(5, 3, 1);
        let enter = |identity: &Identity| sessions.enter(identity);
        let ada: Vec<_> = (0..3).map(|_| enter(&user("ada"))).collect();
        assert!(ada.iter().all(Result::is_ok));
        let per_user = "max_sessions_per_user";
        assert_eq!(refusal(enter(&user("ada"))), (per_user, true));
        assert_eq!(refusal(enter(&user("ada"))), (per_user, false));
        let press = enter(&device("press"));
        assert!(press.is_ok());
        assert_eq!(
            refusal(enter(&device("press"))),
            ("max_sessions_per_device", true)
        );
        let nobody = enter(&Identity::default());
        assert!(nobody.is_ok());
        assert_eq!(refusal(enter(&user("bob"))), ("max_sessions", true));
        drop(press);
        assert!(enter(&device("press")).is_ok());
        drop((ada, nobody));
        assert!(lock(&sessions.taken).by_user.is_empty());
        assert_eq!(lock(&sessions.taken).all.count, 0);
    }

    #[test]
    fn a_session_from_before_a_restart_has_its_place_beyond_the_limit() {
        let sessions = sessions(1, 1, 1);
        let places = [(); 3].map(|()| sessions.enter_again("ada"));
        assert!(sessions.enter(&user("bob")).is_err());
        drop(places);
        assert!(sessions.enter(&user("bob")).is_ok());
    }

    #[test]
    fn the_operator_is_told_again_only_when_many_places_were_free_meanwhile() {
        let sessions = sessions(100, 16, 16);
        let mut places: Vec<_> = (0..16)
            .map(|_| sessions.enter(&user("ada")).expect("a place"))
            .collect();
        let refused = || refusal(sessions.enter(&user("ada"))).1;
        assert!(refused());
        for (left, told) in [(15, false), (13, true)] {
            places.truncate(left);
            while places.len() < 16 {
                places.push(sessions.enter(&user("ada")).expect("a place"));
            }
            assert_eq!(refused(), told, "after {left} were left");
        }
    }
}
