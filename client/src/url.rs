//! Addresses of servers: `tcp://`, `tls://`, `ws://` and `wss://`.

use std::net::IpAddr;

use crate::error::BuildError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Scheme {
    pub(crate) const fn is_encrypted(self) -> bool {
        matches!(self, Scheme::Tls | Scheme::Wss)
    }

    pub(crate) const fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }
}

/// A parsed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The whole text, for the request of WebSocket.
    pub(crate) text: String,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, BuildError> {
        let wrong = |reason: &str| BuildError::Url {
            url: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("no scheme, as in tcp://host:port"))?;
        let (scheme, default_port) = match scheme {
            "tcp" => (Scheme::Tcp, None),
            "tls" => (Scheme::Tls, None),
            "ws" => (Scheme::Ws, Some(80)),
            "wss" => (Scheme::Wss, Some(443)),
            _ => return Err(wrong("the scheme is none of tcp, tls, ws, wss")),
        };
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, ""), |(authority, path)| (authority, path));
        if !scheme.is_websocket() && !path.is_empty() {
            return Err(wrong("a byte stream has no path"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("a bracket is open"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| wrong("the port is no number up to 65535"))?,
            None => default_port.ok_or_else(|| wrong("no port"))?,
        };
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err(wrong("no host"));
        }
        Ok(Address {
            scheme,
            host: host.to_owned(),
            port,
            text: text.to_owned(),
        })
    }

    /// True if what is sent there stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<IpAddr>();
        self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(Scheme, &str, u16), &str>) {
        match (Address::parse(text), expected) {
            (Ok(address), Ok((scheme, host, port))) => {
                assert_eq!(
                    (address.scheme, address.host.as_str(), address.port),
                    (scheme, host, port)
                );
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn addresses_are_read() {
        check("tcp://127.0.0.1:7400", Ok((Scheme::Tcp, "127.0.0.1", 7400)));
        check(
            "tls://chat.example:7402",
            Ok((Scheme::Tls, "chat.example", 7402)),
        );
        check(
            "ws://localhost:7401/tidewire",
            Ok((Scheme::Ws, "localhost", 7401)),
        );
        check("wss://chat.example", Ok((Scheme::Wss, "chat.example", 443)));
        check("tcp://[::1]:7400", Ok((Scheme::Tcp, "::1", 7400)));
        check("chat.example:1", Err("no scheme"));
        check("http://chat.example", Err("none of tcp"));
        check("tcp://chat.example", Err("no port"));
        check("tcp://chat.example:65536", Err("no number up to"));
        check("tls://chat.example:1/path", Err("no path"));
        check("tcp://:1", Err("no host"));
        check("tcp://[::1:1", Err("bracket"));
    }

    #[test]
    fn loopback_is_known() {
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        assert!(is_loopback("tcp://127.0.0.1:1"));
        assert!(is_loopback("tcp://[::1]:1"));
        assert!(is_loopback("ws://localhost:1"));
        assert!(!is_loopback("tcp://10.0.0.1:1"));
        assert!(!is_loopback("tcp://localhost.example:1"));
    }
}
