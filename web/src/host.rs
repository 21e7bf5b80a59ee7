//! The host that a request is for: parsed by the grammar of RFC 9110 and RFC 3986, and held against where this server may
//! be asked.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::WebError;

/// A host and perhaps a port: `uri-host [ ":" port ]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// `None` for everything that the grammar does not know.
    pub(crate) fn parse(text: &'a str) -> Option<Host<'a>> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, after)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                if !is_registered_name(name) {
                    return None;
                }
                (name, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Host { name, port })
    }

    /// The name or address, without brackets.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it can only mean this machine.
    fn is_local(&self) -> bool {
        let name = self.name.strip_suffix('.').unwrap_or(self.name).to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// `reg-name` of RFC 3986, which includes IPv4 addresses and nothing at all.
fn is_registered_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let is_usable = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_usable {
            return false;
        }
    }
    true
}

/// Which hosts a server answers for.
#[derive(Debug, Clone)]
pub(crate) struct HostRule {
    /// It listens on a loopback address.
    pub(crate) only_local: bool,
    /// The host under which a proxy makes it public.
    pub(crate) public: Option<String>,
}

impl HostRule {
    fn allows(&self, host: &Host<'_>) -> bool {
        !self.only_local
            || host.is_local()
            || self.public.as_ref().is_some_and(|public| host.name().eq_ignore_ascii_case(public))
    }
}

/// Refuses requests whose host cannot be told. On a loopback address also those that name another host: a page elsewhere
/// whose name was made to point here (DNS rebinding) would otherwise speak with the user's session.
pub(crate) async fn check(State(rule): State<Arc<HostRule>>, request: Request, next: Next) -> Response {
    let Some(text) = named(&request) else {
        return WebError::new(StatusCode::BAD_REQUEST, "the request must name one host, once")
            .hint("send exactly one `Host` header, such as `Host: localhost:8080`")
            .into_response();
    };
    let refused = match Host::parse(text) {
        Some(host) if rule.allows(&host) => return next.run(request).await,
        Some(_) => WebError::new(StatusCode::MISDIRECTED_REQUEST, format!("this server does not answer for the host `{text}`"))
            .hint("it listens on a loopback address only: use `localhost`, set `web.public_url` to where a proxy shows it, or let it listen on another address"),
        None => WebError::new(StatusCode::BAD_REQUEST, "the host of the request is not a host")
            .hint("send a `Host` header such as `Host: localhost:8080`"),
    };
    refused.into_response()
}

/// The host as the request names it: in its target where that is a whole URL, else in its only `Host` header. Only
/// HTTP/1.0 may leave it out, and names nothing then.
fn named(request: &Request) -> Option<&str> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let (first, second) = (headers.next(), headers.next());
    match (first, second, request.uri().authority()) {
        (_, Some(_), _) => None,
        (_, None, Some(authority)) => Some(authority.as_str()),
        (Some(host), None, None) => host.to_str().ok(),
        (None, None, None) => (request.version() < Version::HTTP_11).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_loopback_names_are_local() {
        for host in [
            "localhost",
            "localhost:8080",
            "localhost:",
            "localhost.",
            "127.0.0.1:8080",
            "[::1]:80",
            "[::1]",
            "LOCALHOST",
            "flow.localhost:1",
        ] {
            assert!(Host::parse(host).is_some_and(|host| host.is_local()), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "10.0.0.1:8080",
            "[2001:db8::1]:80",
            "127.0.0.1.nip.io",
            "localhost%2eexample.com",
        ] {
            assert!(Host::parse(host).is_some_and(|host| !host.is_local()), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "localhost:8080:evil",
            "localhost:80a",
            "localhost:65536",
            "localhost:-1",
            "localhost:+80",
            "[::1]evil",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[::1%25eth0]",
            "[v1.x]",
            "a@localhost",
            "localhost/",
            "local host",
            "localhost,evil.example:80:1",
            "localhost#",
            "localhost?",
            "a\\b",
            "%4",
            "%zz",
            "localhost\t",
            " localhost",
            "é.example",
        ] {
            assert_eq!(Host::parse(host), None, "{host}");
        }
    }

    proptest! {
        /// Nothing that holds a character which ends or changes an authority gets through, wherever it stands.
        #[test]
        fn no_delimiter_gets_through(before in "[a-z0-9.-]{0,8}", after in "[a-z0-9.:-]{0,8}", at in prop::sample::select(vec!['/', '\\', '@', '#', '?', ' ', '\t', '"', '<', '>', '^', '`', '{', '|', '}', '\u{7f}', '\0', 'é'])) {
            let host = format!("{before}{at}{after}");
            prop_assert_eq!(Host::parse(&host), None);
        }

        #[test]
        fn a_name_and_a_port_are_read_back(name in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", port: u16) {
            let text = format!("{name}:{port}");
            prop_assert_eq!(Host::parse(&text), Some(Host { name: &name, port: Some(port) }));
        }
    }
}
