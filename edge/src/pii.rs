//! What a version does with personal data in the caller's texts: a placeholder goes to the provider instead, or the request
//! is refused.
//!
//! Pure. Invariant: only texts in which something was found are changed; all other bytes leave as they came. What is
//! replaced here is seen by nobody behind: neither the provider, nor the moderation, nor what is kept of the request.

mod find;

use crate::{
    api::Api,
    json_splice::{self, Members},
    texts::{self, Names, TooDeep, quoted},
};
use alphagate_contract::{
    policy::{PiiAction, PiiKind},
    problem::{Code, Problem},
};
use std::collections::{BTreeMap, BTreeSet};

/// The fields of a request in which a caller's texts stand, and whose the names in them are.
pub const TEXT_FIELDS: [(&str, Names); 8] = [
    ("input", Names::Known),
    ("instructions", Names::Known),
    ("messages", Names::Known),
    ("metadata", Names::Free),
    ("prediction", Names::Known),
    ("prompt", Names::Known),
    ("safety_identifier", Names::Known),
    ("user", Names::Known),
];

/// What a version does with each kind.
pub type Actions = BTreeMap<PiiKind, PiiAction>;

/// A request that was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Screened {
    /// The body with placeholders; none: nothing was found.
    pub body: Option<Vec<u8>>,
    /// What was redacted.
    pub redacted: BTreeSet<PiiKind>,
}

/// Looks at the caller's texts.
///
/// # Errors
/// 400 when there is something of a kind that is refused, or something that cannot be looked at.
pub fn screen(members: &Members<'_>, actions: &Actions, api: Api) -> Result<Screened, Problem> {
    let mut screened = Screened::default();
    if actions.is_empty() {
        return Ok(screened);
    }
    let mut edits = Vec::new();
    for (field, names) in TEXT_FIELDS {
        let Some(value) = members.get(field) else { continue };
        let mut look = Look { actions, found: BTreeSet::new(), numbers: false };
        let changed = look.redact(value, names).map_err(|_| too_deep(field))?;
        if api == Api::Embeddings && look.numbers {
            return Err(tokens(field));
        }
        let is_refused = |kind: &&PiiKind| actions.get(*kind) == Some(&PiiAction::Refuse);
        let refused: Vec<&str> = look.found.iter().filter(is_refused).map(|kind| kind.as_str()).collect();
        if !refused.is_empty() {
            return Err(refusal(field, &refused));
        }
        screened.redacted.append(&mut look.found);
        edits.extend(changed.map(|text| (field, text)));
    }
    if !edits.is_empty() {
        screened.body = Some(json_splice::join(members.text().as_bytes(), &members.splice(&edits)));
    }
    Ok(screened)
}

/// The refusal of what is tokens, and no text that could be looked at.
#[must_use]
pub fn tokens(field: &str) -> Problem {
    let message =
        format!("`{field}` must be text: this endpoint looks at what it says, and cannot do so in tokens.");
    Problem::new(Code::ParameterUnsupported).message(message).param(field)
}

/// The refusal of what is nested too deeply to be looked at.
#[must_use]
pub fn too_deep(field: &str) -> Problem {
    Problem::new(Code::ParameterInvalid).message(format!("`{field}` is nested too deeply.")).param(field)
}

fn refusal(field: &str, kinds: &[&str]) -> Problem {
    let message = format!(
        "`{field}` has personal data of a kind that this endpoint does not take: {}. Send it without.",
        kinds.join(", ")
    );
    Problem::new(Code::ContentPolicyViolation)
        .message(message)
        .param(field)
        .details(serde_json::json!({"pii": kinds}))
}

struct Look<'a> {
    actions: &'a Actions,
    found: BTreeSet<PiiKind>,
    numbers: bool,
}

impl Look<'_> {
    /// The value with placeholders; none: nothing was found.
    fn redact(&mut self, json: &str, names: Names) -> Result<Option<String>, TooDeep> {
        let mut edits = Vec::new();
        texts::each(json, names, |one| {
            self.numbers |= one.is_number;
            let inner = if one.holds_json { self.redact_inner(&one.text) } else { None };
            let text = inner.unwrap_or_else(|| self.redact_text(&one.text));
            edits.extend(text.map(|text| (one.range, quoted(&text))));
        })?;
        Ok((!edits.is_empty()).then(|| texts::replaced(json, &edits)))
    }

    /// The same of JSON in a text, which stays JSON; none: it is none.
    fn redact_inner(&mut self, text: &str) -> Option<Option<String>> {
        serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
        self.redact(text, Names::Free).ok()
    }

    fn redact_text(&mut self, text: &str) -> Option<String> {
        let found = find::find(text, self.actions);
        if found.is_empty() {
            return None;
        }
        self.found.extend(found.iter().map(|(_, kind)| *kind));
        let edits: Vec<_> =
            found.into_iter().map(|(range, kind)| (range, kind.placeholder().to_owned())).collect();
        Some(texts::replaced(text, &edits))
    }
}

#[cfg(test)]
#[path = "pii/tests.rs"]
mod tests;
