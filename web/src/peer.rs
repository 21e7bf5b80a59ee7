//! Who is at the other end of the connection, and what of its word counts.

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap};

use crate::options::WebOptions;

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Whether the browser speaks TLS with whatever is in front of this server: as configured, or as a trusted proxy says.
pub(crate) fn is_https(options: &WebOptions, extensions: &Extensions, headers: &HeaderMap) -> bool {
    if let Some(origin) = &options.public_origin {
        return origin.is_https();
    }
    let Some(Peer(address)) = extensions.get::<Peer>() else { return false };
    let mut said = headers.get_all("x-forwarded-proto").iter();
    options.trusted_proxies.iter().any(|network| network.contains(*address))
        && said.next().is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
        && said.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, trusted: &[&str], public: Option<&str>, protos: &[&str]) -> bool {
        let options = WebOptions {
            public_origin: public.map(|text| text.parse().unwrap()),
            trusted_proxies: trusted.iter().map(|text| text.parse().unwrap()).collect(),
            ..WebOptions::default()
        };
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for proto in protos {
            headers.append("x-forwarded-proto", proto.parse().unwrap());
        }
        is_https(&options, &extensions, &headers)
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let proxy = &["10.0.0.0/8"][..];
        assert!(told("10.1.1.1", proxy, None, &["https"]));
        assert!(!told("10.1.1.1", proxy, None, &["http"]));
        assert!(!told("10.1.1.1", proxy, None, &[]));
        assert!(!told("10.1.1.1", proxy, None, &["https", "http"]), "which one is the proxy's cannot be told");
        assert!(!told("192.0.2.1", proxy, None, &["https"]));
        assert!(!told("127.0.0.1", &[], None, &["https"]));
        assert!(told("192.0.2.1", &[], Some("https://flow.example.org"), &[]));
        assert!(!told("10.1.1.1", proxy, Some("http://flow.example.org"), &["https"]));
    }
}
