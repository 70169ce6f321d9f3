//! The judge of every CONNECT.
//!
//! Owns: the order of the questions: what does the client bring, who can vouch for it, has it been
//! wrong too often. Never: hashes on the thread that asks. Invariant: a client that brings
//! credentials is let in only by them; nobody is anonymous by mistake.

mod entry;
mod standing;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::config::Settings;
use super::counters::Logins;
use super::past::Past;
use super::queue::{Busy, Queue};
use super::refusal::{Reason, Refusal};
use super::throttle::{Attempt, Throttle};
use crate::counter::Counter;
use crate::devices::{self, DeviceCredentials, Lookup, NoDevices};
use crate::digest::{Digester, secret_digest};
use crate::identity::{Identity, Voucher};
use crate::password::PasswordHash;
use crate::peer::Peer;
use crate::token::Tokens;
use crate::users::{self, CurrentUsers, LoadError, User};
use entry::Entry;
use mqtt::Connect;

/// The group of every device.
const DEVICES_GROUP: &str = "devices";
/// Unknown users queue for these locks as known ones do for their own, so that waiting does not
/// tell them apart.
const DECOY_LOCKS: usize = 64;

/// Judges who a client is.
pub struct Authenticator {
    settings: Settings,
    anonymous: Anonymous,
    users: CurrentUsers,
    past: Past,
    /// What the log was told last.
    told_entry: Mutex<Option<Entry>>,
    devices: Arc<dyn DeviceCredentials>,
    digester: Digester,
    queue: Queue,
    throttle: Throttle,
    logins: Arc<Logins>,
    /// Cancelled when nobody is let in any more.
    stop: CancellationToken,
    nobody: Arc<Identity>,
    device_groups: Arc<[Box<str>]>,
    decoy_locks: Box<[tokio::sync::Mutex<()>]>,
    /// Of strangers.
    warned: AtomicBool,
}

/// When a client without credentials is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// `allow_anonymous = true`.
    Always,
    /// Only this machine can reach the broker: until there is something to log in with for the
    /// first time.
    WithoutUsers,
    /// Other machines can reach it.
    Never,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Users(#[from] LoadError),
    #[error("the system gives no random numbers")]
    Random,
}

/// What a client brings.
enum Brought<'a> {
    /// Neither password nor a certificate that counts.
    Nothing,
    Certificate(&'a str),
    Token(&'a [u8]),
    Password(&'a [u8]),
}

/// Why it is refused: for the client, and in words for the debug log.
struct Denied(Reason, &'static str);

/// Who it is, and where that is counted.
type Judged<'a> = Result<(Arc<Identity>, &'a Counter), Denied>;

impl Authenticator {
    /// Reads the users; `data` is the folder where they are unless another file is configured.
    pub fn open(
        settings: Settings,
        anonymous: Anonymous,
        data: &Path,
        devices: Option<Arc<dyn DeviceCredentials>>,
        logins: Arc<Logins>,
        stop: CancellationToken,
    ) -> Result<Authenticator, OpenError> {
        let path = match &settings.users {
            Some(path) => path.clone(),
            None => data.join(users::DEFAULT_FILE),
        };
        let authenticator = Authenticator {
            anonymous,
            users: CurrentUsers::open(path)?,
            past: Past::of(data),
            told_entry: Mutex::default(),
            devices: devices.unwrap_or_else(|| Arc::new(NoDevices)),
            digester: Digester::generate().ok_or(OpenError::Random)?,
            queue: Queue::new(settings.max_waiting_logins, settings.login_timeout),
            throttle: Throttle::new(
                settings.max_failures_per_address,
                settings.max_failures_per_user,
                settings.failure_window,
            ),
            logins,
            stop,
            nobody: Arc::default(),
            device_groups: Arc::new([DEVICES_GROUP.into()]),
            decoy_locks: (0..DECOY_LOCKS).map(|_| Default::default()).collect(),
            warned: AtomicBool::new(false),
            settings,
        };
        authenticator.review_entry();
        Ok(authenticator)
    }

    /// Who sent the CONNECT, or why it is refused. May take as long as
    /// `login_timeout`: that is the broker's time, not the client's.
    pub async fn authenticate(
        &self,
        peer: &Peer,
        connect: &Connect<'_>,
    ) -> Result<Arc<Identity>, Refusal> {
        match self.judge(peer, connect).await {
            Ok((identity, counter)) => {
                counter.add(1);
                Ok(with_certificate(identity, peer))
            }
            Err(Denied(reason, why)) => {
                debug!(%peer, client = connect.client_id, why, "login refused");
                reason.counter(&self.logins).add(1);
                Err(Refusal {
                    reason,
                    user_is_known: connect.user.is_some_and(|user| self.knows(user)),
                })
            }
        }
    }

    /// Whether there is a user or a device of this name.
    fn knows(&self, name: &str) -> bool {
        self.users.users().find(name).is_some()
            || matches!(self.devices.find(name), Lookup::Known { .. })
    }

    /// The tokens that are believed, if any are.
    pub fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.settings.tokens.as_ref()
    }

    pub fn users(&self) -> &CurrentUsers {
        &self.users
    }

    /// Whether what let a client in still holds: its certificate, the key of its token, a device's
    /// secret. Of the rest the client's identity knows the end, or whoever changes it ends the
    /// connection.
    pub fn is_still_good(&self, identity: &Identity) -> bool {
        let knows = |key: &str| {
            let tokens = self.settings.tokens.as_ref();
            tokens.is_some_and(|tokens| tokens.knows(key))
        };
        if identity.is_revoked() || identity.token_key.as_deref().is_some_and(|key| !knows(key)) {
            return false;
        }
        let Some(secret) = identity.device_secret else {
            return true;
        };
        match self.devices.find(&identity.user) {
            Lookup::Known { current, previous } => secret == current || previous == Some(secret),
            Lookup::Unknown => false,
            // Nothing is known: nothing says that it does not.
            Lookup::Unavailable => true,
        }
    }

    async fn judge(&self, peer: &Peer, connect: &Connect<'_>) -> Judged<'_> {
        let nobody = || Ok((Arc::clone(&self.nobody), &self.logins.anonymous));
        match self.brought(peer, connect) {
            Brought::Certificate(name) => self.judge_certificate(name, connect),
            // Nothing to check credentials against: whatever a client brings, it is nobody.
            _ if !self.is_configured() && self.anonymous != Anonymous::Never => nobody(),
            Brought::Nothing if self.admits_nobody() => nobody(),
            Brought::Nothing => Err(Denied(Reason::Anonymous, "no credentials")),
            Brought::Token(token) => self.judge_token(token, peer, connect).await,
            Brought::Password(password) => self.judge_password(password, peer, connect).await,
        }
    }

    /// Warns, once, when clients get in without credentials although others log in, and may do
    /// everything; to be called now and then, since the first user may come at any time.
    pub fn warn_of_strangers(&self, by_built_in_rules: bool) {
        let may_do_everything = by_built_in_rules && self.anonymous == Anonymous::Always;
        if may_do_everything && self.has_credentials() && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(
                "`broker.allow_anonymous` is true although there are users, and the built-in rules let clients without a user do \
                 everything; write rules with `broker.acl.file`, or set it to false"
            );
        }
    }

    fn brought<'a>(&self, peer: &'a Peer, connect: &Connect<'a>) -> Brought<'a> {
        match (connect.password, &peer.certificate) {
            (Some(token), _) if self.settings.tokens.is_some() && Tokens::is_meant(token) => {
                Brought::Token(token)
            }
            (Some(password), _) => Brought::Password(password),
            (None, Some(name)) if self.settings.certificate_is_user => Brought::Certificate(name),
            (None, _) => Brought::Nothing,
        }
    }

    /// A trusted authority has vouched for the name: nothing more is asked.
    fn judge_certificate(&self, name: &str, connect: &Connect<'_>) -> Judged<'_> {
        if connect.user.is_some_and(|user| user != name) {
            return Err(Denied(
                Reason::Wrong,
                "the user name is another than the certificate's",
            ));
        }
        let counter = &self.logins.by_certificate;
        let users = self.users.users();
        let user = users.find(name);
        if user.is_some_and(|user| user.disabled) {
            return Err(Denied(
                Reason::Disabled,
                "the certificate's user is disabled",
            ));
        }
        let identity = Identity {
            user: name.into(),
            vouched_by: Voucher::Certificate,
            groups: user
                .map(|user| Arc::clone(&user.identity.groups))
                .unwrap_or_default(),
            ..Identity::default()
        };
        Ok((Arc::new(identity), counter))
    }

    async fn judge_token(&self, token: &[u8], peer: &Peer, connect: &Connect<'_>) -> Judged<'_> {
        let Some(tokens) = &self.settings.tokens else {
            return Err(Denied(Reason::Wrong, "there are no tokens here"));
        };
        let judged = if tokens.is_slow() {
            let (tokens, token) = (Arc::clone(tokens), token.to_vec());
            let user_name = connect.user.map(str::to_owned);
            let waiting = self.queue.enter()?;
            let turn = self.unless_stopped(waiting.for_turn()).await?;
            let judged = turn.run(move || tokens.judge(&token, user_name.as_deref()));
            judged.await.ok_or(Busy)?
        } else {
            tokens.judge(token, connect.user)
        };
        let believed = judged.map_err(|disbelief| {
            // By the address alone: nobody's password was guessed.
            let attempt = self.throttle.attempt(peer.address.ip(), "");
            self.throttle.failed_from(attempt, Instant::now());
            Denied(Reason::Wrong, disbelief.words())
        })?;
        let users = self.users.users();
        let user = users.find(&believed.user);
        if user.is_some_and(|user| user.disabled) {
            return Err(Denied(Reason::Disabled, "the token's user is disabled"));
        }
        let groups = user.map(|user| &*user.identity.groups).unwrap_or_default();
        Ok((Arc::new(believed.identity(groups)), &self.logins.by_token))
    }

    async fn judge_password(
        &self,
        password: &[u8],
        peer: &Peer,
        connect: &Connect<'_>,
    ) -> Judged<'_> {
        // MQTT 5 has passwords without a name; the client id is one too.
        let name = connect.user.unwrap_or(connect.client_id);
        let attempt = self.throttle.attempt(peer.address.ip(), name);
        let (user, decoy) = {
            let users = self.users.users();
            let user = users.find(name).filter(|user| user.password.is_some());
            let decoy = match user {
                Some(_) => None,
                None => users.decoy(),
            };
            (user.cloned(), decoy)
        };
        if let Some(user) = user {
            return self.judge_user(user, name, password, attempt).await;
        }
        match self.devices.find(name) {
            Lookup::Known { current, previous } => {
                if devices::matches(password, &current, previous.as_ref()) {
                    Ok((self.device(name, password), &self.logins.by_device_secret))
                } else {
                    Err(self.wrong_secret(attempt))
                }
            }
            Lookup::Unavailable => Err(Denied(
                Reason::Unavailable,
                "the device credentials are not known yet",
            )),
            Lookup::Unknown => self.judge_stranger(decoy, password, attempt).await,
        }
    }

    fn device(&self, name: &str, secret: &[u8]) -> Arc<Identity> {
        Arc::new(Identity {
            user: name.into(),
            vouched_by: Voucher::Devices,
            groups: Arc::clone(&self.device_groups),
            device_secret: Some(secret_digest(secret)),
            ..Identity::default()
        })
    }

    /// A wrong secret. The right one is never throttled: it cannot be guessed, and other devices
    /// share the address.
    fn wrong_secret(&self, attempt: Attempt) -> Denied {
        let now = Instant::now();
        let was_spent = self.throttle.is_spent(attempt, true, now);
        self.throttle.failed_from(attempt, now);
        if was_spent {
            Denied(Reason::Throttled, "too many failures")
        } else {
            Denied(Reason::Wrong, "the device's secret is wrong")
        }
    }

    async fn judge_user(
        &self,
        user: Arc<User>,
        name: &str,
        password: &[u8],
        attempt: Attempt,
    ) -> Judged<'_> {
        let pair = self.digester.pair(name, password);
        let network = self.throttle.network_number(attempt);
        let recalls =
            |user: &User| user.recalls(&pair, self.settings.remember_logins, Instant::now());
        let is_spent = || {
            let is_familiar = user.is_familiar_with(network);
            self.throttle.is_spent(attempt, is_familiar, Instant::now())
        };
        if !recalls(&user) {
            if is_spent() {
                return Err(Denied(Reason::Throttled, "too many failures"));
            }
            let waiting = self.queue.enter()?;
            // One at a time for each user: of many that come back together, the others find its
            // password remembered.
            let _only = self
                .unless_stopped(waiting.for_other(user.turn.lock()))
                .await?;
            if !recalls(&user) {
                let turn = self.unless_stopped(waiting.for_turn()).await?;
                // Others may have failed meanwhile: what they have used up is not hashed any more.
                if is_spent() {
                    return Err(Denied(Reason::Throttled, "too many failures"));
                }
                self.logins.passwords_hashed.add(1);
                let (checked, given) = (Arc::clone(&user), password.to_vec());
                let is_right = turn.run(move || checked.verify(&given)).await.ok_or(Busy)?;
                if !is_right {
                    self.throttle.failed(attempt, Instant::now());
                    return Err(Denied(Reason::Wrong, "the password is wrong"));
                }
                user.remember(pair, Instant::now());
            }
        }
        user.was_seen_in(network);
        if user.disabled {
            return Err(Denied(Reason::Disabled, "the user is disabled"));
        }
        // It took a while: the user may have been changed or removed.
        let is_still = |known: &Arc<User>| Arc::ptr_eq(known, &user);
        if !self.users.users().find(name).is_some_and(is_still) {
            return Err(Denied(Reason::Busy, "the user was changed meanwhile"));
        }
        Ok((Arc::clone(&user.identity), &self.logins.by_password))
    }

    /// Refuses a user who does not exist, as slowly as one who does.
    async fn judge_stranger(
        &self,
        decoy: Option<PasswordHash>,
        password: &[u8],
        attempt: Attempt,
    ) -> Judged<'_> {
        let is_spent = || self.throttle.is_spent(attempt, false, Instant::now());
        if is_spent() {
            return Err(Denied(Reason::Throttled, "too many failures"));
        }
        if let Some(decoy) = decoy {
            let waiting = self.queue.enter()?;
            let lock = &self.decoy_locks[attempt.user_slot(DECOY_LOCKS)];
            let _only = self.unless_stopped(waiting.for_other(lock.lock())).await?;
            let turn = self.unless_stopped(waiting.for_turn()).await?;
            if is_spent() {
                return Err(Denied(Reason::Throttled, "too many failures"));
            }
            self.logins.passwords_hashed.add(1);
            let given = password.to_vec();
            turn.run(move || decoy.verify(&given)).await.ok_or(Busy)?;
        }
        self.throttle.failed(attempt, Instant::now());
        Err(Denied(Reason::Wrong, "no such user or device"))
    }

    /// The wait, cut short when the broker stops.
    async fn unless_stopped<T>(
        &self,
        waiting: impl Future<Output = Result<T, Busy>>,
    ) -> Result<T, Busy> {
        tokio::select! {
            waited = waiting => waited,
            () = self.stop.cancelled() => Err(Busy),
        }
    }
}

/// The name in a verified certificate belongs to the identity, whatever proved it.
fn with_certificate(identity: Arc<Identity>, peer: &Peer) -> Arc<Identity> {
    match (&peer.certificate, &peer.revocable) {
        (None, None) => identity,
        _ => Arc::new(Identity {
            certificate: peer.certificate.clone(),
            revocable: peer.revocable.clone(),
            ..Identity::clone(&identity)
        }),
    }
}

impl From<Busy> for Denied {
    fn from(_busy: Busy) -> Denied {
        Denied(Reason::Busy, "too many logins wait")
    }
}
