//! What an installation decides about the web role: where people see it, whom it believes, and how much each may ask for.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use axum::http::Uri;
use ipnet::IpNet;

use crate::host::Host;

/// Settings of the web role that every request is held against.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// Where browsers see the pages, if that is behind a proxy.
    pub public_origin: Option<PublicOrigin>,
    /// Peers whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<Network>,
    /// How much is served at once.
    pub limits: Limits,
}

/// How much is served at once, and how long a request may take to say what it wants.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the header of a request, and for the time between two requests of a connection.
    pub header_timeout: Duration,
    /// For a client to take what is ready for it. A client that leaves an answer lying is cut off.
    pub send_timeout: Duration,
    /// Open connections.
    pub connections: usize,
    /// Requests that are worked on for one principal.
    pub requests_per_principal: usize,
    /// Open streams of one principal.
    pub streams_per_principal: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(60),
            connections: 1_024,
            requests_per_principal: 100,
            streams_per_principal: 100,
        }
    }
}

/// Scheme, host and port of the address that people type into their browsers, for instance `https://flow.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicOrigin {
    origin: String,
    host: String,
}

impl PublicOrigin {
    /// As browsers write it in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// Its host without the port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromStr for PublicOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not an origin such as `https://flow.example.org`, without a path");
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| refused())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused());
        };
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refused());
        }
        let host = Host::parse(authority.as_str()).filter(|host| !host.name().is_empty()).ok_or_else(refused)?;
        // Browsers leave out the port that the scheme has anyway, and write names in small letters.
        let default = if scheme == "https" { 443 } else { 80 };
        let port = host.port().filter(|port| *port != default).map(|port| format!(":{port}")).unwrap_or_default();
        let name = host.name().to_ascii_lowercase();
        let shown = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        Ok(PublicOrigin { origin: format!("{scheme}://{shown}{port}"), host: name })
    }
}

/// A network such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address belongs to it; one that maps IPv4 into IPv6 is taken for what it maps.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Network).map_err(|_| format!("`{text}` is neither an address nor a network such as `10.0.0.0/8`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (text, expected, host) in [
            ("https://flow.example.org", "https://flow.example.org", "flow.example.org"),
            ("https://Flow.Example.org:443/", "https://flow.example.org", "flow.example.org"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080", "10.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080", "::1"),
        ] {
            let origin: PublicOrigin = text.parse().unwrap();
            assert_eq!((origin.as_str(), origin.host()), (expected, host));
        }
        for text in
            ["", "flow.example.org", "ftp://a.example", "https://a.example/flow", "https://u@a.example", "https://"]
        {
            assert!(text.parse::<PublicOrigin>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_hold_addresses() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()) && network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.1.2.3".parse().unwrap()));
        assert!("127.0.0.1".parse::<Network>().unwrap().contains("127.0.0.1".parse().unwrap()));
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
