//! The cookie of a session: `__Host-ag_session`, which a browser takes and sends over TLS only, for this host only, and
//! shows to no script.

use super::sessions::ABSOLUTE_DAYS;
use axum::http::{HeaderMap, HeaderValue, header};

/// `__Host-`: the browser itself demands `Secure`, `Path=/` and no `Domain` (RFC 6265bis, 4.1.3.2).
pub(crate) const NAME: &str = "__Host-ag_session";

/// The token in a request's cookies; none if two are sent, for one of them is somebody else's doing.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == NAME)
        .map(|(_, token)| token);
    found.next().filter(|_| found.next().is_none())
}

/// The header that gives a browser its session.
pub(super) fn set(token: &str) -> Option<HeaderValue> {
    let max_age_s = ABSOLUTE_DAYS * 24 * 60 * 60;
    let text = format!("{NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_s}");
    HeaderValue::from_str(&text).ok()
}

/// The header that takes it away.
pub(super) fn clear() -> HeaderValue {
    HeaderValue::from_static("__Host-ag_session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_cookie_is_read() {
        let headers = |values: &[&str]| {
            values.iter().map(|value| (header::COOKIE, value.parse().unwrap())).collect::<HeaderMap>()
        };
        assert_eq!(token_of(&headers(&["a=b; __Host-ag_session=ags_1; c=d"])), Some("ags_1"));
        assert_eq!(token_of(&headers(&["a=b", "__Host-ag_session=ags_1"])), Some("ags_1"));
        let bad = [
            &[][..],
            &["a=b"],
            &["ag_session=ags_1"],
            &["__Host-ag_session=ags_1; __Host-ag_session=ags_2"],
            &["__Host-ag_session=ags_1", "__Host-ag_session=ags_2"],
        ];
        for bad in bad {
            assert_eq!(token_of(&headers(bad)), None, "{bad:?}");
        }
        assert!(clear().to_str().unwrap().starts_with(&format!("{NAME}=;")));
    }
}
