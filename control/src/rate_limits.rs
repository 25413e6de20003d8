//! How much one caller may ask of this program: per API key, per session, per address for everybody else.
//!
//! A key is known by its tag, without a look-up, so nobody makes up callers; a session counts as one once it was right. The
//! others are their address, of IPv6 the network. Each has a bucket that fills evenly (GCRA), in this replica's memory; the
//! headers are those of draft-ietf-httpapi-ratelimit-headers-10. The probes, the runners and the edge's own routes are
//! outside: they have no caller who could wait. Memory is bounded: a full bucket is forgotten, and while there are
//! [`CALLERS_MAX`] callers of a class, all of them share [`CROWD`] buckets.

use crate::{accounts, app::App, error, origin::Origin, principal, routes::Caller, settings::Settings};
use alphagate_contract::{
    id::KeyId,
    key::ApiKey,
    problem::{Code, Problem},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, request::Parts},
    middleware::Next,
    response::Response,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Most callers of one class with a bucket of their own: some 100 bytes each.
const CALLERS_MAX: usize = 100_000;
/// Buckets of those beyond that.
const CROWD: u64 = 1_024;
/// Most sessions that are remembered as right, 32 bytes each: all are forgotten when there are more, and counted as their
/// address once.
const SESSIONS_MAX: usize = 100_000;
/// Bits of an IPv6 address that its owner does not choose freely (RFC 4291: a subnet has 64).
const IPV6_NETWORK_BITS: u32 = 64;
/// Paths that are asked by whoever watches this program.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Whether a route counts.
pub(crate) fn is_limited(caller: Caller, path: &str) -> bool {
    !matches!(caller, Caller::Runner | Caller::Edge) && !PROBES.contains(&path)
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Operator,
    Key(KeyId),
    Session([u8; 32]),
    Address(IpAddr),
    Crowd(u64),
}

type Buckets = RateLimiter<Who, HashMapStateStore<Who>, DefaultClock, StateInformationMiddleware>;

/// The buckets of one class of callers.
struct Class {
    name: &'static str,
    requests_max: NonZeroU32,
    window: Duration,
    buckets: Buckets,
}

/// What is left to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    requests: u32,
    /// When a request that was refused may be made.
    wait: Option<Duration>,
}

/// Everybody's buckets.
pub(crate) struct RateLimits {
    keys: Class,
    sessions: Class,
    addresses: Class,
    known: Mutex<HashSet<[u8; 32]>>,
    hasher: RandomState,
}

impl Class {
    fn new(name: &'static str, requests_max: NonZeroU32, window: Duration) -> Self {
        let every = (window / requests_max.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).unwrap_or_else(|| Quota::per_minute(requests_max));
        let buckets = RateLimiter::hashmap(quota.allow_burst(requests_max)).with_middleware();
        Self { name, requests_max, window, buckets }
    }

    fn take(&self, who: &Who) -> Left {
        match self.buckets.check_key(who) {
            Ok(state) => Left { requests: state.remaining_burst_capacity(), wait: None },
            Err(until) => Left { requests: 0, wait: Some(until.wait_time_from(self.buckets.clock().now())) },
        }
    }

    /// The standard headers.
    fn headers(&self, left: Left) -> [(&'static str, String); 2] {
        let (name, most, window) = (self.name, self.requests_max.get(), self.window.as_secs_f64());
        let missing = most.saturating_sub(left.requests);
        let whole_s = (window * f64::from(missing) / f64::from(most)).ceil();
        let window_s = window.ceil();
        [
            ("ratelimit-policy", format!("\"{name}\";q={most};w={window_s}")),
            ("ratelimit", format!("\"{name}\";r={};t={whole_s}", left.requests)),
        ]
    }
}

impl RateLimits {
    pub(crate) fn new(settings: &Settings) -> Self {
        let class = |name, requests_max| Class::new(name, requests_max, settings.rate_window);
        Self {
            keys: class("key", settings.key_requests_max),
            sessions: class("session", settings.session_requests_max),
            addresses: class("address", settings.address_requests_max),
            known: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    fn class(&self, who: &Who) -> &Class {
        match who {
            Who::Operator | Who::Key(_) => &self.keys,
            Who::Session(_) => &self.sessions,
            Who::Address(_) | Who::Crowd(_) => &self.addresses,
        }
    }

    /// Takes one request from the bucket of its caller.
    fn take(&self, who: Who) -> (&Class, Left) {
        let class = self.class(&who);
        if class.buckets.len() < CALLERS_MAX {
            return (class, class.take(&who));
        }
        (class, class.take(&Who::Crowd(self.hasher.hash_one(who) % CROWD)))
    }

    fn knows(&self, session: &[u8; 32]) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(session)
    }

    fn remember(&self, session: [u8; 32]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SESSIONS_MAX {
            known.clear();
        }
        known.insert(session);
    }

    /// Forgets callers whose buckets are full again; gives how many are left.
    pub(crate) fn forget_idle(&self) -> usize {
        let classes = [&self.keys, &self.sessions, &self.addresses];
        for class in classes {
            class.buckets.retain_recent();
            class.buckets.shrink_to_fit();
        }
        classes.iter().map(|class| class.buckets.len()).sum()
    }
}

/// Serves a request of somebody who has not asked too much.
pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = app.rate_limits();
    let (parts, body) = request.into_parts();
    let shown = accounts::session_shown(&parts);
    let who = who(&app, &parts, shown.filter(|session| limits.knows(session)));
    let (class, left) = limits.take(who);
    let mut response = match left.wait {
        None => next.run(Request::from_parts(parts, body)).await,
        Some(wait) => {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            error::respond(&Problem::new(Code::RateLimitExceeded).retry_after_ms(wait_ms))
        }
    };
    if let Some(session) =
        shown.filter(|_| left.wait.is_none() && response.status() != StatusCode::UNAUTHORIZED)
    {
        limits.remember(session);
    }
    tell(response.headers_mut(), class.headers(left));
    response
}

fn tell(headers: &mut HeaderMap, said: [(&'static str, String); 2]) {
    for (name, value) in said {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Who a request is from, as far as that can be told without asking the database.
fn who(app: &App, parts: &Parts, session: Option<[u8; 32]>) -> Who {
    if let Ok((_, key)) = principal::passed_on(parts, app) {
        return Who::Key(key);
    }
    if let Some(session) = session {
        return Who::Session(session);
    }
    if let Ok(token) = principal::bearer(&parts.headers) {
        if let Ok(key) = ApiKey::verify(&app.settings().key_ring, token) {
            return Who::Key(key.id);
        }
        if principal::is_operator(app, token) {
            return Who::Operator;
        }
    }
    Who::Address(network(Origin::of(parts, app).address))
}

/// What counts as one address.
fn network(address: Option<IpAddr>) -> IpAddr {
    match address {
        Some(IpAddr::V6(address)) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - IPV6_NETWORK_BITS);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(requests_max: u32) -> Class {
        Class::new("key", NonZeroU32::new(requests_max).unwrap(), Duration::from_secs(60))
    }

    fn address(last: u32) -> Who {
        Who::Address(IpAddr::from(last.to_be_bytes()))
    }

    #[test]
    fn a_bucket_is_emptied_and_says_when_it_fills() {
        let class = class(3);
        let left: Vec<u32> = (0..3).map(|_| class.take(&address(1)).requests).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = class.take(&address(1));
        let wait = refused.wait.unwrap();
        assert!(Duration::from_secs(19) < wait && wait <= Duration::from_secs(20), "{wait:?}");
        assert_eq!(class.take(&address(2)).requests, 2);
        let [policy, now] = class.headers(refused);
        assert_eq!(policy, ("ratelimit-policy", "\"key\";q=3;w=60".to_owned()));
        assert_eq!(now, ("ratelimit", "\"key\";r=0;t=60".to_owned()));
        assert_eq!(class.headers(Left { requests: 2, wait: None })[1].1, "\"key\";r=2;t=20");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let network = |text: &str| network(Some(text.parse().unwrap())).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("203.0.113.7"), "203.0.113.7");
    }

    #[test]
    fn whoever_is_idle_is_forgotten_and_a_flood_of_callers_is_bounded() {
        let one = NonZeroU32::MIN;
        let class = |name| Class::new(name, one, Duration::from_millis(1));
        let slow = Class::new("address", one, Duration::from_secs(3_600));
        let limits = RateLimits {
            keys: class("key"),
            sessions: class("session"),
            addresses: slow,
            known: Mutex::default(),
            hasher: RandomState::new(),
        };
        let callers = u32::try_from(CALLERS_MAX + 5_000).unwrap();
        for caller in 0..callers {
            limits.take(address(caller));
        }
        let crowd = usize::try_from(CROWD).unwrap();
        let kept = limits.addresses.buckets.len();
        assert!((CALLERS_MAX..=CALLERS_MAX + crowd).contains(&kept), "{kept}");
        // Whoever had a bucket before the flood is in the crowd now, and nobody is unlimited.
        assert!((0..callers).take(10).all(|caller| limits.take(address(caller)).1.requests == 0));
        for number in 0..100 {
            limits.take(Who::Session([number; 32]));
        }
        // Their buckets are full again within a millisecond; the addresses' take an hour.
        while limits.forget_idle() > kept {
            std::thread::yield_now();
        }
        assert_eq!(limits.addresses.buckets.len(), kept);
        for number in 0..=SESSIONS_MAX {
            let mut session = [0; 32];
            session[..8].copy_from_slice(&number.to_be_bytes());
            limits.remember(session);
        }
        assert_eq!(limits.known.lock().unwrap().len(), 1);
    }
}
