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
    /// The edge's own, when `left_ms` of the caller's time are left.
    #[must_use]
    pub const fn of(settings: &Settings, left_ms: u64) -> Self {
        let first_byte_ms = settings.first_byte_timeout_ms;
        Self {
            head_ms: first_byte_ms,
            first_byte_ms,
            content_ms: None,
            idle_ms: settings.stream_idle_max_ms,
            total_ms: left_ms,
        }
    }

    /// With a target's own. To the head of a whole answer it has as long as to its first content.
    #[must_use]
    pub fn with(self, timeouts: &Timeouts, stream: bool) -> Self {
        let total_ms = timeouts.total_ms.unwrap_or(self.total_ms).min(self.total_ms);
        let first_byte_ms = timeouts.first_token_ms.unwrap_or(self.first_byte_ms).min(total_ms);
        let head_ms = timeouts.connect_ms.filter(|_| stream).unwrap_or(first_byte_ms);
        let content_ms = timeouts.first_token_ms;
        Self { head_ms: head_ms.min(first_byte_ms), first_byte_ms, content_ms, total_ms, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Deadlines = Deadlines {
        head_ms: 120_000,
        first_byte_ms: 120_000,
        content_ms: None,
        idle_ms: 330_000,
        total_ms: 900_000,
    };

    fn timeouts(connect_ms: Option<u64>, first_token_ms: Option<u64>, total_ms: Option<u64>) -> Timeouts {
        Timeouts { connect_ms, first_token_ms, total_ms }
    }

    #[test]
    fn a_targets_timeouts_hold_within_the_callers_time() {
        assert_eq!(OWN.with(&Timeouts::default(), true), OWN);
        let own = OWN.with(&timeouts(Some(2_000), Some(9_000), Some(60_000)), true);
        assert_eq!((own.head_ms, own.first_byte_ms, own.content_ms), (2_000, 9_000, Some(9_000)));
        assert_eq!((own.idle_ms, own.total_ms), (330_000, 60_000));
        let whole = OWN.with(&timeouts(Some(2_000), Some(9_000), None), false);
        assert_eq!((whole.head_ms, whole.total_ms), (9_000, 900_000), "a whole answer's head comes with it");
        let late =
            Deadlines { total_ms: 1_500, ..OWN }.with(&timeouts(None, Some(9_000), Some(60_000)), true);
        assert_eq!((late.head_ms, late.total_ms), (1_500, 1_500));
        let longer = OWN.with(&timeouts(None, Some(300_000), None), false);
        assert_eq!(longer.head_ms, 300_000, "a target that thinks long may say so");
    }
}
