//! Against requests that another site makes a browser send (OWASP, CSRF Prevention Cheat Sheet).
//!
//! Two of its defences at once, beside `SameSite=Lax`: where the request came from (`Origin`, else `Sec-Fetch-Site`),
//! and, where the cookie is what lets the caller in, a custom header, which no other site can set without asking, and
//! nobody is told yes. Requests that begin a session are checked too, or another site could sign a browser in as itself.

use crate::{app::App, error::Error};
use alphagate_contract::problem::{Code, Problem};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use url::Url;

/// The custom header; any value but none will do.
const HEADER: &str = "x-ag-csrf";
/// What a browser says of where a request came from (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// A request that no other site has made a browser send; what is no browser passes.
pub(crate) struct NotCrossSite;

impl FromRequestParts<App> for NotCrossSite {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        if is_of_this_site(&parts.headers, &ours(parts, app)) {
            return Ok(Self);
        }
        Err(refused("Another site has made your browser send this."))
    }
}

/// Refuses a cookie that another site may have sent along.
pub(crate) fn check_cookie_use(parts: &Parts, app: &App) -> Result<(), Error> {
    let headers = &parts.headers;
    let ours = ours(parts, app);
    if headers.contains_key(header::UPGRADE) {
        // A WebSocket is opened by GET, and carries no custom header; browsers always say its origin.
        let said = headers.contains_key(header::ORIGIN);
        return if said && is_of_this_site(headers, &ours) {
            Ok(())
        } else {
            Err(refused("Its origin is another one."))
        };
    }
    if parts.method.is_safe() {
        return Ok(());
    }
    if !is_of_this_site(headers, &ours) {
        return Err(refused("Another site has made your browser send this."));
    }
    if headers.get(HEADER).is_none_or(|value| value.is_empty()) {
        return Err(refused("With the session's cookie, send the header `X-AG-CSRF: 1` on every change."));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Problem::new(Code::CrossSite).message(format!("The request was refused. {why}")).into()
}

/// The origins under which this program's pages are.
fn ours(parts: &Parts, app: &App) -> Vec<String> {
    let origin = |url: &Url| url.origin().ascii_serialization();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut ours: Vec<String> = host.map(|host| format!("http://{host}")).into_iter().collect();
    ours.extend(host.map(|host| format!("https://{host}")));
    ours.extend(app.settings().public_url.as_ref().map(origin));
    ours.extend(app.settings().console_url.as_ref().map(origin));
    ours
}

fn is_of_this_site(headers: &HeaderMap, ours: &[String]) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(header::ORIGIN.as_str()), text(FETCH_SITE)) {
        (Some(origin), _) => ours.iter().any(|ours| ours.eq_ignore_ascii_case(origin)),
        (None, Some(site)) => ["same-origin", "none"].contains(&site),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_site_and_what_is_no_browser_pass() {
        let ours = ["https://gate.example".to_owned()];
        let passes = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_of_this_site(&pairs.collect::<HeaderMap>(), &ours)
        };
        for good in [
            &[][..],
            &[("origin", "https://gate.example")],
            &[("origin", "https://gate.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(passes(good), "{good:?}");
        }
        for bad in [
            &[("origin", "null")][..],
            &[("origin", "https://evil.example")],
            &[("origin", "http://gate.example")],
            &[("origin", "https://gate.example:8443")],
            &[("origin", "https://gate.example.evil.example")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert!(!passes(bad), "{bad:?}");
        }
    }
}
