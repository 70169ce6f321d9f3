//! Which web pages may open a WebSocket.
//!
//! A browser lets any page connect anywhere and says in `Origin` whose page it is. There are no
//! cookies here that such a page could ride on: a client names itself in CONNECT. But a listener on
//! loopback usually lets everyone in, and so a page that somebody merely visits could publish in
//! their name. Therefore a page must come from this host, or be allowed by name. Clients that are
//! no browsers send no `Origin` and are not concerned.

/// The origins of a listener's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    any: bool,
    /// In lower case, as browsers send them.
    named: Box<[Box<str>]>,
}

impl Origins {
    /// An entry that is neither `*` nor an origin is returned as the error.
    pub(crate) fn new(written: &[String]) -> Result<Origins, String> {
        let any = written.iter().any(|origin| origin == "*");
        let named = written.iter().filter(|origin| *origin != "*");
        let named: Result<Box<[Box<str>]>, String> = named
            .map(|origin| match host_of(origin) {
                Some(_) => Ok(origin.to_ascii_lowercase().into()),
                None => Err(origin.clone()),
            })
            .collect();
        Ok(Origins { any, named: named? })
    }

    /// Whether a page of `origin` may connect to a listener that the request calls `host`.
    pub(super) fn allow(&self, origin: &str, host: &str, is_loopback: bool) -> bool {
        if self.any || self.is_named(origin) {
            return true;
        }
        let Some(page) = host_of(origin) else {
            return false;
        };
        // On loopback the name does not prove it: any domain can be made to point at 127.0.0.1.
        if is_loopback {
            is_loopback_name(page)
        } else {
            page.eq_ignore_ascii_case(without_port(host))
        }
    }

    fn is_named(&self, origin: &str) -> bool {
        self.named
            .iter()
            .any(|named| named.eq_ignore_ascii_case(origin))
    }
}

/// The host of `scheme://host[:port]`; `None` when it is anything else.
fn host_of(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let host = without_port(authority);
    let is_host = !host.is_empty() && !authority.contains(['/', '@', '?', '#', ' ']);
    (is_scheme && is_host).then_some(host)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_host_or_of_a_named_origin_may_connect() {
        let check =
            |named: &[&str], origin: &str, host: &str, is_loopback: bool, expected: bool| {
                let named: Vec<_> = named.iter().map(ToString::to_string).collect();
                let origins = Origins::new(&named).expect("origins");
                let allowed = origins.allow(origin, host, is_loopback);
                assert_eq!(allowed, expected, "{origin} at {host}, named {named:?}");
            };
        let named = ["https://console.example.org"];
        check(&[], "http://localhost:5173", "127.0.0.1:8083", true, true);
        check(&[], "http://[::1]:5173", "localhost:8083", true, true);
        check(&[], "https://evil.example", "127.0.0.1:8083", true, false);
        // A domain of the page's owner that resolves to 127.0.0.1.
        check(&[], "http://evil.example", "evil.example:8083", true, false);
        check(&[], "null", "127.0.0.1:8083", true, false);
        check(
            &[],
            "https://mqtt.example.org",
            "mqtt.example.org:8084",
            false,
            true,
        );
        check(
            &[],
            "https://evil.example",
            "mqtt.example.org:8084",
            false,
            false,
        );
        check(&[], "http://localhost", "mqtt.example.org", false, false);
        check(
            &named,
            "https://Console.example.org",
            "mqtt.example.org",
            false,
            true,
        );
        check(
            &named,
            "http://console.example.org",
            "mqtt.example.org",
            false,
            false,
        );
        check(
            &named,
            "https://console.example.org:81",
            "mqtt.example.org",
            false,
            false,
        );
        check(&["*"], "null", "mqtt.example.org", false, true);
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "console.example.org",
            "https://",
            "https://a/b",
            "://a",
            "https://a b",
        ] {
            assert_eq!(
                Origins::new(&[wrong.to_owned()]).err().as_deref(),
                Some(wrong)
            );
        }
    }
}
