//! What went wrong, told so that one knows what to do next.
//!
//! Invariant: a failure never holds a bearer or a secret; it holds what control or the machine said.

use crate::exit;
use serde_json::{Value, json};
use std::{fmt::Write as _, io};

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    what: What,
    hint: Option<String>,
    status: u8,
}

#[derive(Debug)]
enum What {
    /// The server said no.
    Refused(Box<Refusal>),
    /// There was no answer.
    Unreachable { url: String, why: String },
    /// Anything else.
    Said(String),
    /// Whoever read our output has left.
    NobodyReads,
}

/// A problem as the server told it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// The catalogue's code.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// The field it is about.
    pub(crate) param: Option<String>,
    /// More, for programs.
    pub(crate) details: Option<Value>,
    /// For whoever runs the server.
    pub(crate) request_id: Option<String>,
    /// File, line and column of the field, where the body came from a file.
    pub(crate) place: Option<String>,
}

impl Failure {
    pub(crate) fn said(message: impl Into<String>) -> Self {
        Self::of(What::Said(message.into()))
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self::of(What::Refused(Box::new(refusal)))
    }

    pub(crate) fn unreachable(url: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(What::Unreachable { url: url.into(), why: why.into() })
    }

    const fn of(what: What) -> Self {
        Self { what, hint: None, status: exit::TROUBLE }
    }

    /// With what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a status of its own.
    #[must_use]
    pub(crate) const fn ends_with(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// With where the refused field stands, if `place` knows.
    #[must_use]
    pub(crate) fn at(mut self, place: impl FnOnce(&str) -> Option<String>) -> Self {
        if let What::Refused(refusal) = &mut self.what
            && let Some(param) = &refusal.param
        {
            refusal.place = place(param);
        }
        self
    }

    /// What the server said, if it said something.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match &self.what {
            What::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The status that the program ends with.
    pub(crate) const fn status(&self) -> u8 {
        match self.what {
            What::NobodyReads => exit::SUCCESS,
            _ => self.status,
        }
    }

    /// Whether there is nothing to say, and nobody to say it to.
    pub(crate) const fn is_silent(&self) -> bool {
        matches!(self.what, What::NobodyReads)
    }

    /// For people: the message, then a line each for place, request and what to do.
    pub(crate) fn text(&self) -> String {
        let mut text = match &self.what {
            What::Refused(refusal) => refusal.text(),
            What::Unreachable { url, why } => format!("{url} cannot be reached: {why}"),
            What::Said(message) => message.clone(),
            What::NobodyReads => String::new(),
        };
        if let Some(hint) = self.hint.as_deref().or_else(|| self.usual_hint()) {
            let _ = write!(text, "\n  try: {hint}");
        }
        text
    }

    fn usual_hint(&self) -> Option<&'static str> {
        match &self.what {
            What::Unreachable { .. } => Some(
                "is control running there? Locally `cargo xtask up` starts it; `--url` names another one",
            ),
            What::Refused(refusal) => match (refusal.status, refusal.code.as_str()) {
                (401, _) => Some("alphagate login"),
                (403, "scope_missing") => Some(
                    "a key that has the scope: alphagate keys create NAME --scope SCOPE, then alphagate login",
                ),
                _ => None,
            },
            _ => None,
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let said = |code: &str, message: &str| json!({"message": message, "code": code});
        let mut error = match &self.what {
            What::Refused(refusal) => refusal.json(),
            What::Unreachable { .. } => said("unreachable", &self.text()),
            What::Said(message) => said("cli", message),
            What::NobodyReads => Value::Null,
        };
        if let (Some(hint), Some(error)) = (&self.hint, error.as_object_mut()) {
            error.insert("hint".into(), hint.as_str().into());
        }
        json!({ "error": error })
    }
}

impl Refusal {
    /// Reads the body of an answer that is no success.
    pub(crate) fn read(status: u16, body: &[u8], request_id: Option<String>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        Self {
            status,
            code: text("code").unwrap_or_else(|| "unknown".into()),
            message: text("message").unwrap_or_else(|| {
                format!("the server answered {status} without saying why; is it Alpha Gate's control plane?")
            }),
            param: text("param"),
            details: error.get("details").filter(|details| !details.is_null()).cloned(),
            request_id,
            place: None,
        }
    }

    fn text(&self) -> String {
        let Self { status, code, message, .. } = self;
        let mut text = format!("{message} ({status} {code})");
        let lines = [
            ("field", &self.param),
            ("at", &self.place),
            ("details", &self.details.as_ref().map(Value::to_string)),
            ("request", &self.request_id),
        ];
        for (name, line) in lines {
            if let Some(line) = line {
                let _ = write!(text, "\n  {name}: {line}");
            }
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "message": self.message, "code": self.code, "status": self.status, "param": self.param,
            "details": self.details, "request_id": self.request_id, "place": self.place,
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::of(What::NobodyReads),
            _ => Self::said(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_all_that_helps() {
        let body =
            json!({"error": {"message": "must be a number", "code": "unprocessable", "param": "a.b[1]"}});
        let refusal = Refusal::read(422, body.to_string().as_bytes(), Some("req_1".into()));
        let failure = Failure::refused(refusal).at(|param| Some(format!("x.yaml:3:1 ({param})")));
        assert_eq!(
            failure.text(),
            "must be a number (422 unprocessable)\n  field: a.b[1]\n  at: x.yaml:3:1 (a.b[1])\n  request: req_1"
        );
        assert_eq!(failure.json()["error"]["place"], "x.yaml:3:1 (a.b[1])");
        assert_eq!(failure.status(), exit::TROUBLE);
    }

    #[test]
    fn an_answer_that_is_no_problem_is_told_as_such() {
        for body in ["", "<html>", "[]", "{\"error\":\"x\"}"] {
            let refusal = Refusal::read(502, body.as_bytes(), None);
            assert!(refusal.message.contains("502"), "{refusal:?}");
        }
    }

    #[test]
    fn who_is_not_known_is_told_to_log_in() {
        let refusal = Refusal { status: 401, ..Refusal::default() };
        assert!(Failure::refused(refusal).text().contains("alphagate login"));
        let pipe = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((pipe.is_silent(), pipe.status()), (true, 0));
    }
}
