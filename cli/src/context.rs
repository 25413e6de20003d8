//! What a command works with: the flags, the profile, a client, and where to print.

use crate::{
    arguments::Global,
    client::Client,
    config::{Config, Profile},
    credential::Credential,
    failure::Failure,
    output::Output,
};
use url::Url;

/// Where `cargo xtask up` serves control, unless that port was taken.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// Everything but the command itself.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
}

impl Context {
    /// Variables that are set to nothing count as not set.
    pub(crate) fn new(mut global: Global) -> Self {
        let texts =
            [&mut global.profile, &mut global.url, &mut global.edge_url, &mut global.key, &mut global.org];
        for text in texts {
            text.take_if(|text| text.is_empty());
        }
        let output = Output::new(global.json);
        Self { global, output }
    }

    /// A client of control, as whom the flags, the environment or the profile say.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let config = Config::read()?;
        let profile = self.profile(&config)?;
        let kept = profile.map(|profile| profile.url.as_str());
        let url = base_url(self.global.url.as_deref().or(kept).unwrap_or(URL_DEFAULT))?;
        let credential = self.credential(profile, &url)?;
        Client::new(url, Some(credential))
    }

    /// Where consumers call, if anybody said so.
    pub(crate) fn edge_url(&self) -> Result<Option<Url>, Failure> {
        if let Some(url) = &self.global.edge_url {
            return base_url(url).map(Some);
        }
        let config = Config::read()?;
        let kept = self.profile(&config)?.and_then(|profile| profile.edge_url.as_deref());
        kept.map(base_url).transpose()
    }

    /// The profile that is meant; none where none was ever made. A name that is not there is an error.
    pub(crate) fn profile<'a>(&self, config: &'a Config) -> Result<Option<&'a Profile>, Failure> {
        let Some(name) = &self.global.profile else {
            return Ok(config.current.as_ref().and_then(|name| config.profiles.get(name)));
        };
        let found = config.profiles.get(name);
        let missing = || {
            let known: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Failure::said(format!("there is no profile `{name}`; there are: {known}"))
                .hint(format!("alphagate login --profile {name}"))
        };
        found.map(Some).ok_or_else(missing)
    }

    /// A kept bearer goes to where it was kept for, and nowhere else.
    fn credential(&self, profile: Option<&Profile>, url: &Url) -> Result<Credential, Failure> {
        let org = || self.global.org.clone();
        if let Some(key) = &self.global.key {
            return Credential::new(key, org()).map_err(Failure::said);
        }
        let nobody = || {
            Failure::said("nobody is logged in, and no key was given")
                .hint("alphagate login --url URL, or set ALPHAGATE_KEY and ALPHAGATE_URL")
        };
        let profile = profile.ok_or_else(nobody)?;
        if base_url(&profile.url)? != *url {
            let message = format!("the profile's key is for {}, and is not sent to {url}", profile.url);
            return Err(Failure::said(message).hint("pass --key (or set ALPHAGATE_KEY), or log in there"));
        }
        Credential::new(profile.bearer.reveal(), org().or_else(|| profile.org.clone())).map_err(Failure::said)
    }
}

/// Reads the base of all URLs; paths are appended to it.
pub(crate) fn base_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::said(format!("`{text}` is no URL of a server: {why}"));
    let mut url: Url = text.trim_end_matches('/').parse().map_err(|error: url::ParseError| {
        wrong(&error.to_string()).hint("it looks like https://control.example.com")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("it begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a name or a password in it would be seen in logs"));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_http_url_without_secrets() {
        assert_eq!(base_url("http://127.0.0.1:8080/").unwrap(), base_url("http://127.0.0.1:8080").unwrap());
        assert_eq!(base_url("https://x.example/gate/").unwrap().path(), "/gate");
        for bad in ["", "x.example", "ftp://x.example", "https://u:p@x.example", "http://"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
