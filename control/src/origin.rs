//! Where a request comes from: address, program, id, and what it believes to be there. For the audit trail, the list of
//! sessions and limits per address.
//!
//! `X-Forwarded-For` is believed only as far as `AG_TRUSTED_PROXIES` reaches: anybody may send one.

use crate::{app::App, preconditions::Precondition, request_id::Id};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use ipnet::IpNet;
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

/// Longest user agent that is kept: browsers send about 120 characters.
const USER_AGENT_MAX_LEN: usize = 256;
/// Header in which each proxy notes whom it was called by.
const FORWARDED: &str = "x-forwarded-for";

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The client's address; none where the connection is not known.
    pub(crate) address: Option<IpAddr>,
    /// What the client calls itself.
    pub(crate) user_agent: Option<String>,
    /// The request's id.
    pub(crate) request: String,
    /// What the caller believes to be there, if the request changes something.
    pub(crate) precondition: Precondition,
}

impl Origin {
    /// That of a request.
    pub(crate) fn of(parts: &Parts, app: &App) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        Self {
            address: peer.map(|peer| client(peer, &parts.headers, &app.settings().trusted_proxies)),
            user_agent: user_agent(&parts.headers),
            request: parts.extensions.get::<Id>().map(|id| id.0.clone()).unwrap_or_default(),
            precondition: Precondition::of(parts),
        }
    }
}

impl FromRequestParts<App> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts, app))
    }
}

/// From the peer outwards: whom a trusted proxy names is believed, and asked in turn if it is one, too.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let named: Vec<&str> = headers
        .get_all(FORWARDED)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    let mut client = peer.to_canonical();
    for name in named.into_iter().rev() {
        let is_proxy = trusted.iter().any(|net| net.contains(&client));
        match name.parse::<IpAddr>() {
            Ok(next) if is_proxy => client = next.to_canonical(),
            _ => break,
        }
    }
    client
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(USER_AGENT_MAX_LEN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let headers =
            forwarded.iter().map(|value| (FORWARDED.parse().unwrap(), value.parse().unwrap())).collect();
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        for (peer, forwarded, trusted, client) in [
            ("203.0.113.7", &[][..], &[][..], "203.0.113.7"),
            ("203.0.113.7", &["198.51.100.1"], &[], "203.0.113.7"),
            ("203.0.113.7", &["198.51.100.1"], &proxies, "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1"], &proxies, "198.51.100.1"),
            // What the client wrote itself stands further left.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], &proxies, "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1, 10.2.3.4"], &proxies, "198.51.100.1"),
            ("10.0.0.1", &["rubbish"], &proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, , 10.0.0.2"], &proxies, "10.0.0.2"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], &proxies, "2001:db8::1"),
        ] {
            assert_eq!(seen(peer, forwarded, trusted), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_user_agent_is_cut_to_its_length() {
        let headers = HeaderMap::from_iter([(header::USER_AGENT, "x".repeat(1_000).parse().unwrap())]);
        assert_eq!(user_agent(&headers).unwrap().len(), USER_AGENT_MAX_LEN);
    }
}
