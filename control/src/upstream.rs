//! Where a version may send requests to.
//!
//! Only the canonical spelling of a URL is accepted: so there is one way to write an address, and what is checked here
//! is what the edge dials. Names are not resolved; the edge follows no redirects.

use crate::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Longest base URL, in bytes; longer than any provider's.
const URL_MAX_BYTES: usize = 2_048;

/// Top-level names that mean «inside».
const PRIVATE_SUFFIXES: [&str; 6] = ["localhost", "local", "internal", "lan", "intranet", "home.arpa"];

/// Which upstreams the operator allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Private addresses and plain HTTP, for development.
    pub(crate) allow_private: bool,
}

impl Rules {
    /// Checks a target's `base_url` and gives its origin, `scheme://host[:port]`.
    pub(crate) fn origin_of(self, text: &str) -> Result<String, String> {
        let url = self.read(text)?;
        let canonical = url.as_str();
        if text != canonical && Some(text) != canonical.strip_suffix('/') {
            return Err(format!("must be in its canonical spelling, `{}`", canonical.trim_end_matches('/')));
        }
        Ok(url.origin().ascii_serialization())
    }

    /// Checks the origin that a credential is for.
    pub(crate) fn check_origin(self, text: &str) -> Result<(), String> {
        let origin = self.read(text)?.origin().ascii_serialization();
        if text != origin {
            return Err(format!("must be an origin in its canonical spelling, `{origin}`"));
        }
        Ok(())
    }

    fn read(self, text: &str) -> Result<Url, String> {
        if text.len() > URL_MAX_BYTES {
            return Err(format!("must have at most {URL_MAX_BYTES} bytes"));
        }
        let url = Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            "http" => return Err("must begin with https://".into()),
            _ => return Err("must begin with https:// (or http://, where the operator allows it)".into()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user name or password; store a credential instead".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must have neither query nor fragment".into());
        }
        if !self.allow_private && url.host().is_none_or(|host| is_private(&host)) {
            return Err("must be a public host: private and special addresses cannot be reached".into());
        }
        Ok(url)
    }
}

/// What a rule says of the field `param`.
pub(crate) fn field<T>(param: impl Into<String>, result: Result<T, String>) -> Result<T, Error> {
    result.map_err(|message| Error::field(param, message))
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_private_name(name),
        Host::Ipv4(address) => is_private_v4(*address),
        Host::Ipv6(address) => is_private_v6(*address),
    }
}

fn is_private_name(name: &str) -> bool {
    let is_inside =
        |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.contains('.') || name.ends_with('.') || PRIVATE_SUFFIXES.iter().any(is_inside)
}

/// Everything in the registry of special-purpose addresses (RFC 6890 and later), and multicast.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Only global unicast (2000::/3) is public, without the ranges in it that embed IPv4 or are for documentation.
fn is_private_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global = (a & 0xe000) == 0x2000;
    let teredo_or_special = a == 0x2001 && b < 0x0200;
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    let six_to_four = a == 0x2002;
    !global || teredo_or_special || documentation || six_to_four
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Rules = Rules { allow_private: false };
    const DEVELOPMENT: Rules = Rules { allow_private: true };

    #[test]
    fn public_https_is_accepted_everywhere() {
        let cases = [
            ("https://api.openai.com/v1", "https://api.openai.com"),
            ("https://api.openai.com", "https://api.openai.com"),
            ("https://api.openai.com/", "https://api.openai.com"),
            ("https://example.com:8443/a/b/", "https://example.com:8443"),
            ("https://8.8.8.8/v1", "https://8.8.8.8"),
            ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]"),
        ];
        for (text, origin) in cases {
            assert_eq!(PUBLIC.origin_of(text).as_deref(), Ok(origin));
            assert_eq!(DEVELOPMENT.origin_of(text).as_deref(), Ok(origin));
        }
    }

    #[test]
    fn c12_private_hosts_need_the_operators_leave() {
        for text in [
            "http://127.0.0.1:9/v1",
            "https://127.0.0.1",
            "https://10.1.2.3",
            "https://172.16.0.1",
            "https://192.168.1.1",
            "https://169.254.169.254",
            "https://100.64.0.1",
            "https://0.0.0.0",
            "https://224.0.0.1",
            "https://240.0.0.1",
            "https://[::1]",
            "https://[::]",
            "https://[fe80::1]",
            "https://[fc00::1]",
            "https://[::ffff:7f00:1]",
            "https://[::7f00:1]",
            "https://[64:ff9b::7f00:1]",
            "https://[2002:7f00:1::]",
            "https://[2001:db8::1]",
            "https://localhost",
            "https://a.localhost",
            "https://metadata.google.internal",
            "https://printer",
            "https://db.local",
            "http://api.openai.com/v1",
        ] {
            assert!(PUBLIC.origin_of(text).is_err(), "{text}");
            assert!(DEVELOPMENT.origin_of(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn c12_tricks_are_refused_everywhere() {
        for text in [
            "https://user:pw@example.com/v1",
            "https://user@example.com",
            "https://:pw@example.com",
            "https://example.com/v1?x=1",
            "https://example.com/#f",
            "https://example.com/v1?",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://134744072/",
            "https://EXAMPLE.com/v1",
            "https://example.com:443/v1",
            "https://example.com\\@evil.com/",
            "https://exa\tmple.com/v1",
            "https://example.com/a/../b",
            "https://ex%61mple.com",
            "https://[::ffff:127.0.0.1]/",
            " https://example.com",
            "//example.com",
            "example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "https://",
            "https:example.com",
            "",
            "https://exämple.com",
            "https://１２７.0.0.1",
        ] {
            assert!(DEVELOPMENT.origin_of(text).is_err(), "{text}");
            assert!(PUBLIC.origin_of(text).is_err(), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_MAX_BYTES));
        assert!(PUBLIC.origin_of(&long).is_err());
    }

    #[test]
    fn an_origin_is_only_an_origin() {
        assert!(PUBLIC.check_origin("https://api.openai.com").is_ok());
        assert!(DEVELOPMENT.check_origin("http://127.0.0.1:9").is_ok());
        for text in [
            "https://api.openai.com/",
            "https://api.openai.com/v1",
            "https://API.openai.com",
            "api.openai.com",
        ] {
            assert!(PUBLIC.check_origin(text).is_err(), "{text}");
        }
    }
}
