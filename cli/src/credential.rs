//! Who calls: a bearer token, and the org that is meant where the token alone does not say.
//!
//! An API key is of one org; a person's session may be of several, and then names one in a header. Where a credential
//! comes from (a key, an account, a device) is the matter of `login` alone.

use alphagate_contract::secret::Secret;

/// Header that names the org.
pub(crate) const ORG_HEADER: &str = "x-ag-org";

/// The kind of a person's bearer.
pub(crate) const SESSION: &str = "session";

/// What is shown to control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// `ag_live_…`, `ag_test_…`, or a session's token.
    pub(crate) bearer: Secret<String>,
    /// The org, where the bearer can act for several.
    pub(crate) org: Option<String>,
}

impl Credential {
    /// Refuses what cannot be sent as a header; what it is worth, control says.
    pub(crate) fn new(bearer: &str, org: Option<String>) -> Result<Self, &'static str> {
        let bearer = bearer.trim();
        if bearer.is_empty() {
            return Err("no key was given");
        }
        if !bearer.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a key has no spaces and no characters outside ASCII");
        }
        Ok(Self { bearer: Secret::new(bearer.to_owned()), org })
    }

    /// What of the bearer may be shown: its kind, and nothing of its secret.
    pub(crate) fn kind(&self) -> &'static str {
        let bearer = self.bearer.reveal();
        let kinds = [("ag_live_", "API key (live)"), ("ag_test_", "API key (test)"), ("ags_", SESSION)];
        kinds.iter().find(|(prefix, _)| bearer.starts_with(prefix)).map_or("token", |(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_trimmed_and_must_fit_into_a_header() {
        let key = Credential::new(" ag_live_x\n", None).unwrap();
        assert_eq!((key.bearer.reveal().as_str(), key.kind()), ("ag_live_x", "API key (live)"));
        for bad in ["", " \n", "a b", "ключ"] {
            assert!(Credential::new(bad, None).is_err(), "{bad}");
        }
    }
}
