//! How a request reaches a target and its answer the caller, whatever the two speak.
//!
//! Pure. The request is always composed in the Responses protocol first, so that the version's instructions, defaults, caps
//! and prohibitions hold the same everywhere; only then is it said in the target's protocol.
//!
//! Invariant: what is refused is named as the caller named it; nothing that the publisher set is refused as the caller's.

use crate::{
    disguise::{self, Disguise},
    json_splice::{Members, Piece, join},
    output_format::Repair,
    request::{self, Outgoing},
};
use alphagate_contract::{
    endpoint::{self, Target, VersionConfig},
    problem::{Code, Problem},
};
use alphagate_translate::{
    call::{Refusal, RefusalKind},
    completions::{self, Asked},
    pipeline::{Audience, Parties},
    protocol::Protocol,
    request::Request,
    response::{Echo, Identity},
};
use serde_json::{Map, Value};

/// How one target is asked, and its answer told.
#[derive(Debug, Clone)]
pub struct Carry {
    /// What the caller reads.
    pub audience: Audience,
    /// The target's protocol and what the response shows of the request; none: it speaks Responses itself.
    pub adapted: Option<Adapted>,
}

/// What a target is asked that speaks another protocol.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// Its protocol.
    pub protocol: Protocol,
    /// What follows its base URL.
    pub path: String,
    /// Headers besides the credential's.
    pub headers: Vec<(&'static str, String)>,
    echo: Echo,
}

impl Carry {
    /// Byte for byte, but for what is hidden.
    pub const NATIVE: Self = Self { audience: Audience::Responses, adapted: None };

    /// Whether the target's events go to the caller as they are.
    #[must_use]
    pub const fn is_native(&self) -> bool {
        self.adapted.is_none() && matches!(self.audience, Audience::Responses)
    }

    /// Whose answer it will be; none: the target speaks Responses.
    #[must_use]
    pub fn parties(&self, model: &str, id: &str, created_at_s: u64) -> Option<Parties> {
        let adapted = self.adapted.as_ref()?;
        Some(Parties {
            protocol: adapted.protocol,
            identity: Identity { id: id.to_owned(), created_at_s, model: model.to_owned() },
            echo: adapted.echo.clone(),
            audience: self.audience,
        })
    }
}

/// The adapter for a target; none: it speaks Responses.
#[must_use]
pub const fn adapter(target: &Target) -> Option<Protocol> {
    match target.protocol {
        endpoint::Protocol::Responses => None,
        endpoint::Protocol::Chat => Some(Protocol::Chat),
        endpoint::Protocol::Anthropic => Some(Protocol::Anthropic),
        endpoint::Protocol::Gemini => Some(Protocol::Gemini),
    }
}

/// A request of the Responses protocol.
///
/// # Errors
/// 400 with the field that the version does not allow, that the target cannot serve, or that has an impossible value.
pub fn responses(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
    repair: Option<&Repair>,
) -> Result<Outgoing, Problem> {
    let outgoing = request::compose(members, config, target, shown_model, repair)?;
    match adapter(target) {
        None => Ok(outgoing),
        Some(protocol) => adapt(outgoing, members.text(), protocol, Audience::Responses, |refusal| refusal),
    }
}

/// A request of the chat completions protocol.
///
/// # Errors
/// As [`responses`].
pub fn chat(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
    repair: Option<&Repair>,
) -> Result<Outgoing, Problem> {
    let asked = completions::ask(&object(members.text())?).map_err(|refusal| problem(refusal, &[]))?;
    let audience = Audience::Chat { include_usage: asked.include_usage };
    let adapter = adapter(target);
    let mut body = match adapter {
        None => asked.native().map_err(|refusal| problem(refusal, &[]))?,
        Some(_) => asked.body.clone(),
    };
    // Not the caller's, but chat's own default.
    if members.count("store") == 0 && config.locked.iter().any(|field| field == "store") {
        body.remove("store");
    }
    let text = Value::Object(body).to_string();
    let own = |problem: Problem| renamed(problem, &asked);
    let members = request::members(text.as_bytes()).map_err(own)?;
    let mut outgoing = request::compose(&members, config, target, shown_model, repair).map_err(own)?;
    let Some(protocol) = adapter else {
        outgoing.pieces = whole(join(text.as_bytes(), &outgoing.pieces));
        outgoing.carry = Carry { audience, adapted: None };
        return Ok(outgoing);
    };
    adapt(outgoing, &text, protocol, audience, |refusal| asked.refusal(refusal))
}

fn renamed(problem: Problem, asked: &Asked) -> Problem {
    match &problem.param {
        Some(param) => {
            let name = asked.name(param);
            let message = problem.message.replace(&format!("`{param}`"), &format!("`{name}`"));
            problem.message(message).param(name)
        }
        None => problem,
    }
}

/// Says a composed request in the target's protocol.
fn adapt(
    mut outgoing: Outgoing,
    original: &str,
    protocol: Protocol,
    audience: Audience,
    named: impl Fn(Refusal) -> Refusal,
) -> Result<Outgoing, Problem> {
    let body = join(original.as_bytes(), &outgoing.pieces);
    let body = object(std::str::from_utf8(&body).unwrap_or_default())?;
    let refused = |refusal: Refusal| problem(named(refusal), &outgoing.disguise.defaults);
    let request = Request::read(&body).map_err(refused)?;
    let call = protocol.call(&request).map_err(refused)?;
    let echo = echo(&request, &outgoing.disguise);
    outgoing.pieces = whole(call.body.to_string().into_bytes());
    let adapted = Adapted { protocol, path: call.path, headers: call.headers, echo };
    outgoing.carry = Carry { audience, adapted: Some(adapted) };
    Ok(outgoing)
}

/// The events of a response to a composed request for which nothing is generated; `now_s` is in Unix seconds.
#[must_use]
pub fn silence(outgoing: &Outgoing, original: &[u8], id: &str, now_s: u64) -> String {
    let Outgoing { carry, disguise, pieces, .. } = outgoing;
    let echo = match &carry.adapted {
        Some(adapted) => adapted.echo.clone(),
        None => {
            let body = serde_json::from_slice(&join(original, pieces)).unwrap_or_default();
            // What only the provider itself understands is not shown.
            let read = Request::read(&body).or_else(|_| Request::read(&least(&body)));
            read.map(|request| echo(&request, disguise)).unwrap_or_default()
        }
    };
    let identity = Identity { id: id.to_owned(), created_at_s: now_s, model: disguise.model.clone() };
    let protocol = carry.adapted.as_ref().map_or(Protocol::Chat, |adapted| adapted.protocol);
    Parties { protocol, identity, echo, audience: carry.audience }.silence(now_s)
}

/// The least that a request can be read from.
fn least(body: &Map<String, Value>) -> Map<String, Value> {
    let model = body.get("model").cloned().unwrap_or_default();
    Map::from_iter([("model".to_owned(), model), ("input".to_owned(), Value::from("-"))])
}

/// The caller's own view of the request.
fn echo(request: &Request, disguise: &Disguise) -> Echo {
    let echo = Echo::of(request).showing("instructions", disguise.instructions.clone());
    disguise.defaults.iter().fold(echo, |echo, field| echo.showing(field, disguise::unset(field)))
}

fn whole(text: Vec<u8>) -> Vec<Piece> {
    // JSON text is UTF-8.
    vec![Piece::New(String::from_utf8(text).unwrap_or_default())]
}

/// JSON that cannot be held as values (too deep, a number out of range, half a surrogate) cannot be said in another protocol.
fn object(text: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(text).map_err(|_| {
        Problem::new(Code::ParameterInvalid)
            .message("The request body has a value that is nested too deeply, or cannot be represented.")
    })
}

fn problem(refusal: Refusal, defaults: &[String]) -> Problem {
    let field = refusal.param.split(['.', '[']).next().unwrap_or_default();
    if defaults.iter().any(|default| default == field) {
        return Code::EndpointMisconfigured.into();
    }
    let code = match refusal.kind {
        RefusalKind::Invalid => Code::ParameterInvalid,
        RefusalKind::Unsupported => Code::ParameterUnsupported,
    };
    Problem::new(code).message(format!("`{}`: {}", refusal.param, refusal.message)).param(refusal.param)
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
