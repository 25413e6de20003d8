//! The one catalogue of errors: code, HTTP status, type and message, in the OpenAI envelope
//! `{"error":{"message","type","param","code","details"?}}`.
//!
//! A code means the same in every program. Retrying clients call again on 408, 409, 429 and 5xx, so nothing
//! permanent has one of these at the edge, and [`Code::retryable`] says what goes into `x-should-retry`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $kind:ident, $retry:literal, $message:literal;)*) => {
        /// What went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code's text, stable for programs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The OpenAI error type.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// Whether the same call may succeed soon.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// The message when there is nothing more exact to say.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

/// OpenAI's error types, as its SDKs know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong.
    InvalidRequest,
    /// The key is wrong.
    Authentication,
    /// The key is right but may not.
    Permission,
    /// Too many.
    RateLimit,
    /// Ours, or the provider's.
    Server,
}

impl Kind {
    /// The type's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_error",
            Self::Server => "server_error",
        }
    }
}

catalogue! {
    /// No key, two keys, or not a bearer token.
    KeyMissing = "key_missing", 401, Authentication, false, "No API key was given. Send exactly one header `Authorization: Bearer ag_…`.";
    /// The key is unknown, forged, revoked or expired: all look alike.
    KeyInvalid = "invalid_api_key", 401, Authentication, false, "This API key is not valid: it is mistyped, expired or revoked. Ask an admin of your org for a new one.";
    /// The session is unknown, has ended, or is none: all look alike.
    SessionInvalid = "session_invalid", 401, Authentication, false, "This takes a signed-in user, and the session is not valid: it is mistyped, has ended, or was revoked. Sign in again.";
    /// The address or the password is wrong; which of them is not said.
    SignInFailed = "sign_in_failed", 401, Authentication, false, "The e-mail address or the password is wrong.";
    /// The user's role does not allow it.
    RoleMissing = "role_missing", 403, Permission, false, "Your role in this organization does not allow this. Ask one of its owners or admins.";
    /// Another site may have made a browser send this.
    CrossSite = "cross_site_request", 403, Permission, false, "The request was refused: another site may have made your browser send it.";
    /// The token of a mail is unknown, used, too old or for somebody else.
    TokenInvalid = "token_invalid", 400, InvalidRequest, false, "This token is not valid: it is mistyped, was used, or is too old. Ask for a new mail.";
    /// The user has not decided on the device yet (RFC 8628).
    DevicePending = "authorization_pending", 400, InvalidRequest, false, "Nobody has approved this device yet. Ask again after the interval.";
    /// The device asks too often (RFC 8628).
    DeviceSlowDown = "slow_down", 400, InvalidRequest, false, "This device asks too often. Ask again after the interval.";
    /// The user has denied the device (RFC 8628).
    DeviceDenied = "access_denied", 400, InvalidRequest, false, "The sign-in of this device was denied.";
    /// The device's code is unknown, used or too old (RFC 8628).
    DeviceExpired = "expired_token", 400, InvalidRequest, false, "The code of this device is not valid: it was used, or is too old. Begin again.";
    /// Too many tries, by one client or for one account.
    TooManyTries = "too_many_tries", 429, RateLimit, true, "Too many tries. Wait as long as `retry-after` says.";
    /// The key lacks the scope.
    ScopeMissing = "scope_missing", 403, Permission, false, "This API key lacks the scope that the call needs.";
    /// The org is suspended.
    OrgSuspended = "org_suspended", 403, Permission, false, "This organization is suspended. Ask the operator of this gateway.";
    /// No endpoint goes by this name for this org.
    EndpointNotFound = "model_not_found", 404, InvalidRequest, false, "There is no such endpoint. `GET /v1/models` lists the names that your key can call.";
    /// No such route.
    RouteNotFound = "route_not_found", 404, InvalidRequest, false, "There is no such route here.";
    /// No such thing in this org.
    NotFound = "not_found", 404, InvalidRequest, false, "There is no such resource.";
    /// The route exists for another method.
    MethodNotAllowed = "method_not_allowed", 405, InvalidRequest, false, "This route does not take that method.";
    /// The body is not JSON, or not an object.
    BodyMalformed = "body_malformed", 400, InvalidRequest, false, "The request body is not a valid JSON object.";
    /// The headers contradict themselves.
    RequestMalformed = "request_malformed", 400, InvalidRequest, false, "The request is malformed.";
    /// A parameter has a value that cannot be.
    ParameterInvalid = "invalid_parameter", 400, InvalidRequest, false, "A parameter of the request is invalid.";
    /// A parameter is missing.
    ParameterMissing = "missing_required_parameter", 400, InvalidRequest, false, "A required parameter is missing.";
    /// The response to continue is not kept here.
    PreviousResponseNotFound = "previous_response_not_found", 400, InvalidRequest, false, "The previous response is not there: it was not kept, is past its time, or was deleted.";
    /// A connection has had its time.
    ConnectionLimit = "websocket_connection_limit_reached", 400, InvalidRequest, false, "This connection has had its time. Open a new one to go on.";
    /// The endpoint does not allow this parameter.
    ParameterUnsupported = "unsupported_parameter", 400, InvalidRequest, false, "This endpoint does not allow that parameter.";
    /// A policy of the endpoint does not let this text through.
    ContentPolicyViolation = "content_policy_violation", 400, InvalidRequest, false, "The content is not what this endpoint's policy lets through.";
    /// The URL is too long.
    UriTooLong = "uri_too_long", 414, InvalidRequest, false, "The URL is too long.";
    /// The body is over the limit.
    BodyTooLarge = "body_too_large", 413, InvalidRequest, false, "The request body is too large.";
    /// The body came too slowly.
    BodyTimeout = "body_timeout", 408, InvalidRequest, true, "The request body did not arrive in time.";
    /// A quota is used up.
    QuotaExceeded = "quota_exceeded", 429, RateLimit, false, "A quota of your organization is used up.";
    /// Too many requests of one caller to the control plane.
    RateLimitExceeded = "rate_limit_exceeded", 429, RateLimit, true, "Too many requests. Wait as long as `retry-after` says; `ratelimit-policy` says how many there may be.";
    /// Too many calls are running.
    ConcurrencyExceeded = "concurrency_exceeded", 429, RateLimit, false, "Too many requests of your organization are running at once.";
    /// The provider says that it has had too many requests.
    UpstreamRateLimited = "upstream_rate_limited", 429, RateLimit, true, "The provider behind this endpoint is rate limited.";
    /// The provider refused the request itself.
    UpstreamRejected = "upstream_rejected", 400, InvalidRequest, false, "The provider behind this endpoint refused the request.";
    /// The provider refused the publisher's credential.
    UpstreamAuth = "upstream_auth", 502, Server, false, "The provider behind this endpoint does not accept its credential. Ask the endpoint's publisher.";
    /// The provider cannot be reached, or answers something that is not HTTP.
    UpstreamUnreachable = "upstream_unreachable", 502, Server, true, "The provider behind this endpoint cannot be reached.";
    /// The provider failed.
    UpstreamError = "upstream_error", 502, Server, true, "The provider behind this endpoint failed.";
    /// The provider is overloaded.
    UpstreamOverloaded = "upstream_overloaded", 503, Server, true, "The provider behind this endpoint is overloaded.";
    /// The provider's answer ended early, or is not what the protocol says.
    UpstreamIncomplete = "upstream_incomplete", 502, Server, true, "The provider's answer ended before it was complete.";
    /// The provider took too long.
    UpstreamTimeout = "upstream_timeout", 504, Server, true, "The provider behind this endpoint took too long.";
    /// What the model generated violates the version's output schema. The path of the first violation is `param`.
    OutputSchemaMismatch = "output_schema_mismatch", 502, Server, false, "The model's answer violates this endpoint's output schema.";
    /// The endpoint's own configuration cannot be served.
    EndpointMisconfigured = "endpoint_misconfigured", 502, Server, false, "This endpoint is misconfigured. Ask its publisher.";
    /// Too many bytes are in flight here.
    Overloaded = "overloaded", 503, Server, true, "This gateway is busy. Try again in a moment.";
    /// The quota cannot be asked in time; nothing is admitted without it.
    QuotaUnavailable = "quota_unavailable", 503, Server, true, "The quota service did not answer in time. Try again in a moment.";
    /// Configuration cannot be read and no good copy is at hand.
    ConfigUnavailable = "config_unavailable", 503, Server, true, "The endpoint's configuration cannot be read right now. Try again in a moment.";
    /// A check that the endpoint's policy demands cannot be made; nothing is let through without it.
    ModerationUnavailable = "moderation_unavailable", 503, Server, true, "A check that this endpoint's policy demands could not be made, and nothing is let through without it. Try again in a moment.";
    /// Control cannot be reached by the edge.
    ControlUnavailable = "control_unavailable", 503, Server, true, "The control plane cannot be reached right now. Try again in a moment.";
    /// The database cannot be reached.
    StoreUnavailable = "store_unavailable", 503, Server, true, "The control plane's database cannot be reached. Try again in a moment.";
    /// The master key cannot be asked, or is not configured.
    VaultUnavailable = "vault_unavailable", 503, Server, true, "The vault's master key cannot be asked right now. Try again in a moment; the operator's log says why.";
    /// A field of the body cannot be accepted.
    Unprocessable = "unprocessable", 422, InvalidRequest, false, "The request body has a field that cannot be accepted.";
    /// Something else changed first, or the name is taken.
    Conflict = "conflict", 409, InvalidRequest, false, "The resource was changed by someone else, or the name is taken.";
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed = "precondition_failed", 412, InvalidRequest, false, "The resource is not what `if-match` or `if-none-match` says: somebody has changed it. Read it again, and decide anew.";
    /// The same idempotency key came with another request.
    IdempotencyMismatch = "idempotency_mismatch", 409, InvalidRequest, false, "This Idempotency-Key was used with another request.";
    /// Another attempt at the job has begun, or the job has ended.
    AttemptSuperseded = "attempt_superseded", 409, InvalidRequest, false, "This attempt is over: another runner has the job, or the job has ended. Drop the work.";
    /// No such runner any more.
    RunnerUnknown = "runner_unknown", 409, InvalidRequest, false, "This runner is not known any more. Register again.";
    /// A signature between the programs does not hold.
    SignatureInvalid = "signature_invalid", 401, Authentication, false, "The request's signature is not valid.";
    /// A bug of ours.
    Internal = "internal_error", 500, Server, true, "Something went wrong here. Quote the request id when you report it.";
}

/// An error as callers read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// For people: what to do next.
    pub message: String,
    /// The request field it is about.
    pub param: Option<String>,
    /// More, for programs.
    pub details: Option<Value>,
    /// After how many milliseconds the call may succeed.
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// The catalogue's own words.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, message: code.message().to_owned(), param: None, details: None, retry_after_ms: None }
    }

    /// With a more exact message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// About this field of the request.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// With more for programs.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// With the time after which the call may succeed.
    #[must_use]
    pub const fn retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// The value of `retry-after`, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1))
    }

    /// The error object alone, as it stands in an `error` event too.
    #[must_use]
    pub fn error_object(&self) -> ErrorObject<'_> {
        ErrorObject {
            message: &self.message,
            kind: self.code.kind().as_str(),
            param: self.param.as_deref(),
            code: self.code.as_str(),
            details: self.details.as_ref(),
        }
    }

    /// The whole body as JSON text.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::json!({ "error": self.error_object() }).to_string()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

/// The inside of the envelope.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorObject<'a> {
    /// For people.
    pub message: &'a str,
    /// OpenAI's error type.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The request field it is about.
    pub param: Option<&'a str>,
    /// The catalogue's code.
    pub code: &'a str,
    /// More, for programs.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub details: Option<&'a Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_statuses_fit_their_types() {
        let unique: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(unique.len(), Code::ALL.len());
        for code in Code::ALL {
            let server = code.kind() == Kind::Server;
            assert_eq!(code.status() >= 500, server, "{code:?}");
            assert!(code.message().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn the_envelope_is_openais() {
        let problem = Problem::new(Code::ParameterUnsupported).param("store");
        let body: Value = serde_json::from_str(&problem.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "message": "This endpoint does not allow that parameter.",
                "type": "invalid_request_error",
                "param": "store",
                "code": "unsupported_parameter",
            }})
        );
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (ms, s) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(Problem::new(Code::Overloaded).retry_after_ms(ms).retry_after_s(), Some(s));
        }
    }
}
