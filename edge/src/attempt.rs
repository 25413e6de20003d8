//! One attempt at a target: the call, and how long it may take.
//!
//! Pure but for the call itself: what a target may take is the shortest of its own timeouts, the edge's and what is left
//! of the caller's time.

use crate::{
    api::Api,
    carry::{Adapted, Carry},
    disguise::Disguise,
    health::Patient,
    proxy::{self, Call, Dial, Lease},
    request::Outgoing,
    settings::Settings,
};
use alphagate_contract::{
    endpoint::{Price, Protocol, Target, Timeouts},
    secret::Secret,
};
use js_sys::Uint8Array;
use worker::web_sys::AbortSignal;

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    /// The call.
    pub call: Call,
    /// What to show instead of what this target echoes.
    pub disguise: Disguise,
    /// How its answer is told.
    pub carry: Carry,
    /// What it charges.
    pub price: Option<Price>,
    /// Its place in the version.
    pub target: usize,
    /// Whose health it tells of.
    pub patient: Patient,
    /// How long it may take.
    pub deadlines: Deadlines,
    /// When it was called, milliseconds since the request came.
    pub called_ms: u64,
    /// Whether nobody could take over from it. Its preamble need not be held back.
    pub is_last: bool,
}

/// How long an attempt may take, milliseconds since its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To the head of the answer.
    pub head_ms: u64,
    /// To the first byte of a stream.
    pub first_byte_ms: u64,
    /// To the first content of a stream; none: as long as it says something.
    pub content_ms: Option<u64>,
    /// Between two bytes of a stream.
    pub idle_ms: u64,
    /// To the end.
    pub total_ms: u64,
}

impl Deadlines {
    /// Those of a target. `left_ms` is what is left of the caller's time.
    #[must_use]
    pub fn of(settings: &Settings, timeouts: &Timeouts, stream: bool, left_ms: u64) -> Self {
        let total_ms = timeouts.total_ms.unwrap_or(left_ms).min(left_ms);
        let first_byte_ms = timeouts.first_token_ms.unwrap_or(settings.first_byte_timeout_ms).min(total_ms);
        let connect_ms = timeouts.connect_ms.filter(|_| stream).unwrap_or(first_byte_ms);
        Self {
            head_ms: connect_ms.min(first_byte_ms),
            first_byte_ms,
            content_ms: timeouts.first_token_ms,
            idle_ms: settings.stream_idle_max_ms,
            total_ms,
        }
    }
}

/// What a target is sent.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// The target.
    pub target: &'a Target,
    /// What is asked.
    pub api: Api,
    /// The provider's secret.
    pub secret: Option<Secret<String>>,
    /// The caller's body.
    pub body: &'a Uint8Array,
    /// What is changed in it.
    pub outgoing: &'a Outgoing,
    /// The request's id.
    pub request_id: &'a str,
    /// Aborted when the caller leaves.
    pub caller: &'a AbortSignal,
    /// Given back once the provider has the body.
    pub lease: Option<&'a Lease>,
}

impl Parcel<'_> {
    /// Calls the target.
    #[must_use]
    pub fn send(&self) -> Call {
        let url = format!("{}{}", self.target.base_url.trim_end_matches('/'), self.path());
        let dial = Dial {
            url: &url,
            credential: self.credential(),
            protocol_headers: self.adapted().map_or(&[], |adapted| &adapted.headers),
            request_id: self.request_id,
            stream: self.outgoing.stream,
            headers: &self.target.headers,
            caller: self.caller,
            lease: self.lease,
        };
        proxy::dial(&dial, self.body, &self.outgoing.pieces)
    }

    const fn adapted(&self) -> Option<&Adapted> {
        self.outgoing.carry.adapted.as_ref()
    }

    fn path(&self) -> &str {
        self.adapted().map_or_else(|| self.api.path(), |adapted| &adapted.path)
    }

    fn credential(&self) -> Option<(&'static str, Secret<String>)> {
        let secret = self.secret.as_ref()?;
        Some(match self.target.protocol {
            Protocol::Responses | Protocol::Chat => {
                ("authorization", Secret::new(format!("Bearer {}", secret.reveal())))
            }
            Protocol::Anthropic => ("x-api-key", secret.clone()),
            Protocol::Gemini => ("x-goog-api-key", secret.clone()),
        })
    }
}
