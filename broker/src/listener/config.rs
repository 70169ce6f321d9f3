//! `[[broker.listener]]`: what the user wrote, and what is true after it was checked.
//!
//! Owns: which keys a kind of listener takes, and that the files they name can be used. Never:
//! binds. Invariant: the certificate of a checked TLS listener has been read and fits its key.

use std::borrow::Cow;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use access::certificate::{IdentityFrom, RevocationLists};
use serde::{Deserialize, Serialize};

use super::Listening;
use crate::config::ConfigError;
use crate::tls::{Files, Tls, TlsError};
use crate::websocket::Origins;

/// The path that clients try when none is given, as other brokers have it.
const DEFAULT_PATH: &str = "/mqtt";

/// What is spoken below MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Tcp,
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// One `[[broker.listener]]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub kind: Kind,
    /// Address and port; port 0 takes a free one.
    pub address: String,
    /// PEM file with the server's certificate, followed by the chain up to the authority.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key, not encrypted.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// PEM file with the authorities that may vouch for clients; without it no certificate is asked
    /// for.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// PEM file with the revocation lists of all these authorities, and of those between them and
    /// the clients; whoever they name is turned away.
    #[serde(default)]
    pub crl: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    #[serde(default)]
    pub require_client_certificate: bool,
    #[serde(default)]
    pub identity_from: IdentityFrom,
    /// Path of the WebSocket; `/mqtt` when it is not given.
    #[serde(default)]
    pub path: Option<String>,
    /// Web pages that may connect, as their origin (`https://console.example.org`); `*` for all.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Whether each connection begins with a PROXY protocol header of version 2, which tells the
    /// client's address.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// A listener, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kind: Kind,
    pub address: SocketAddr,
    /// Empty unless it is a WebSocket.
    pub path: Box<str>,
    pub(crate) origins: Origins,
    pub(crate) proxy_protocol: bool,
    /// Only of the kinds that are encrypted.
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Kind {
    pub fn is_encrypted(self) -> bool {
        matches!(self, Kind::Tls | Kind::Wss)
    }

    pub fn is_websocket(self) -> bool {
        matches!(self, Kind::Ws | Kind::Wss)
    }

    /// The scheme of URLs that lead to such a listener.
    pub fn scheme(self) -> &'static str {
        match self {
            Kind::Tcp => "mqtt",
            Kind::Tls => "mqtts",
            Kind::Ws => "ws",
            Kind::Wss => "wss",
        }
    }

    /// As it is written in the configuration.
    fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Tls => "tls",
            Kind::Ws => "ws",
            Kind::Wss => "wss",
        }
    }
}

impl Settings {
    /// The listener that `broker.listen` means.
    pub(crate) fn plain(address: SocketAddr) -> Settings {
        Settings {
            kind: Kind::Tcp,
            address,
            path: "".into(),
            origins: Origins::default(),
            proxy_protocol: false,
            tls: None,
        }
    }

    /// As it would be shown; with port 0 if that is what was asked for.
    pub fn listening(&self) -> Listening {
        Listening {
            kind: self.kind,
            address: self.address,
            path: self.path.clone(),
        }
    }

    /// Whether clients of other machines get here; behind a load balancer they do, whatever address
    /// it is bound to.
    pub(crate) fn is_reachable(&self) -> bool {
        self.proxy_protocol || !self.address.ip().is_loopback()
    }

    /// The revocation lists that its clients' certificates are looked for in.
    pub fn revocation_lists(&self) -> Option<RevocationLists> {
        self.tls.as_ref()?.revocation_lists()
    }

    /// Whether nobody gets through without a certificate that an authority of the user's choice
    /// vouched for.
    pub(crate) fn requires_certificate(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.requires_certificate())
    }
}

impl Config {
    /// Checks the listener at `index` of the array and reads the files it names.
    pub(crate) fn validate(&self, index: usize) -> Result<Settings, ConfigError> {
        let place = Place { index };
        self.refuse_misplaced(place)?;
        let address = resolve(&self.address, || place.key("address"))?;
        let path = match (&self.path, self.kind.is_websocket()) {
            (_, false) => "",
            (None, true) => DEFAULT_PATH,
            (Some(path), true) if path.starts_with('/') && is_visible(path) => path.as_str(),
            (Some(path), true) => {
                let problem = format!("`{path}` is not a path");
                return Err(place.problem("path", problem, "write a path such as \"/mqtt\""));
            }
        };
        let origins = Origins::new(&self.allowed_origins).map_err(|wrong| {
            let problem = format!("`{wrong}` is not the origin of a web page");
            let hint = "write scheme, host and port as browsers do, such as \
                        \"https://console.example.org\", or \"*\" for all";
            place.problem("allowed_origins", problem, hint)
        })?;
        Ok(Settings {
            kind: self.kind,
            address,
            path: path.into(),
            origins,
            proxy_protocol: self.proxy_protocol,
            tls: self.tls(place)?,
        })
    }

    /// A key that this kind has no use for is a mistake: what it promises would not happen.
    fn refuse_misplaced(&self, place: Place) -> Result<(), ConfigError> {
        let of_tls = [
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("client_ca", self.client_ca.is_some()),
            ("crl", self.crl.is_some()),
            (
                "require_client_certificate",
                self.require_client_certificate,
            ),
        ];
        let of_websocket = [
            ("path", self.path.is_some()),
            ("allowed_origins", !self.allowed_origins.is_empty()),
        ];
        let misplaced = |keys: &[(&'static str, bool)], takes: bool| {
            let written = keys.iter().find(|(_, written)| *written);
            written.filter(|_| !takes).map(|(key, _)| *key)
        };
        let kind = self.kind.name();
        if let Some(key) = misplaced(&of_tls, self.kind.is_encrypted()) {
            let problem = format!("has no meaning for a listener of the kind `{kind}`");
            let hint = "make it `kind = \"tls\"` or `kind = \"wss\"`, or remove the key";
            return Err(place.problem(key, problem, hint));
        }
        if let Some(key) = misplaced(&of_websocket, self.kind.is_websocket()) {
            let problem = format!("has no meaning for a listener of the kind `{kind}`");
            let hint = "make it `kind = \"ws\"` or `kind = \"wss\"`, or remove the key";
            return Err(place.problem(key, problem, hint));
        }
        Ok(())
    }

    fn tls(&self, place: Place) -> Result<Option<Arc<Tls>>, ConfigError> {
        if !self.kind.is_encrypted() {
            return Ok(None);
        }
        let kind = self.kind.name();
        let missing = |key| {
            let problem = format!("is missing: a listener of the kind `{kind}` needs it");
            let hint = "name two PEM files: `certificate` with the server's certificate and its \
                        chain, `key` with its private key";
            place.problem(key, problem, hint)
        };
        let certificate = self.certificate.as_ref();
        let key = self.key.as_ref();
        if self.require_client_certificate && self.client_ca.is_none() {
            let problem = "needs `client_ca`: nobody could vouch for a client".to_owned();
            let hint = "set `client_ca` to a PEM file with the authorities of your clients";
            return Err(place.problem("require_client_certificate", problem, hint));
        }
        if self.crl.is_some() && self.client_ca.is_none() {
            let problem = "needs `client_ca`: no client is asked for a certificate".to_owned();
            let hint = "set `client_ca` to a PEM file with the authorities of your clients";
            return Err(place.problem("crl", problem, hint));
        }
        let files = Files {
            certificate: certificate.ok_or_else(|| missing("certificate"))?.clone(),
            key: key.ok_or_else(|| missing("key"))?.clone(),
            client_ca: self.client_ca.clone(),
            crl: self.crl.clone(),
        };
        let loaded = Tls::load(files, self.require_client_certificate, self.identity_from);
        loaded
            .map(|tls| Some(Arc::new(tls)))
            .map_err(|error| place.unusable(error))
    }
}

/// Which listener it is, for messages.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
}

impl Place {
    /// Elements count from 0, as in the key of an environment variable or of TOML's own paths.
    fn key(self, key: &str) -> Cow<'static, str> {
        format!("listener.{}.{key}", self.index).into()
    }

    fn problem(self, key: &str, problem: String, hint: &str) -> ConfigError {
        ConfigError {
            key: self.key(key),
            problem,
            hint: Some(hint.into()),
            source: None,
        }
    }

    fn unusable(self, error: TlsError) -> ConfigError {
        ConfigError {
            key: self.key(error.key()),
            problem: "cannot be used".into(),
            hint: error.hint().map(str::to_owned),
            source: Some(Box::new(error)),
        }
    }
}

/// An address and port as the user wrote it.
pub(crate) fn resolve(
    written: &str,
    key: impl Fn() -> Cow<'static, str>,
) -> Result<SocketAddr, ConfigError> {
    let unusable = |problem: String| ConfigError {
        key: key(),
        problem,
        hint: Some("write an address and a port, such as \"127.0.0.1:1883\"".into()),
        source: None,
    };
    written
        .to_socket_addrs()
        .map_err(|error| unusable(format!("`{written}` is not an address and port: {error}")))?
        .next()
        .ok_or_else(|| unusable(format!("`{written}` names no address")))
}

/// What an HTTP request can carry as its path.
fn is_visible(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}
