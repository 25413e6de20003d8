//! Streams on the real stack: what passes, what is rewritten, what fills a silence, how a stream ends, and what
//! becomes of it when its caller leaves.
//!
//! Invariant: the provider itself is the reference; what it says to a direct call is what a caller of the edge reads.

mod streams {
    pub mod bytes;
    pub mod ends;
    pub mod gone;
    pub mod load;
    pub mod silence;
}

use alphagate_bed::{Bed, Options};
use alphagate_tests::Event;
use anyhow::Result;
use tokio::sync::OnceCell;

/// The keep-alive of [`impatient`], milliseconds.
const KEEP_ALIVE_MS: u64 = 200;
/// The longest silence there, before the first byte and after it, milliseconds.
const SILENCE_MAX_MS: u64 = 1_500;

/// A bed whose edge waits for milliseconds where it waits for seconds by default.
async fn impatient() -> Result<&'static Bed> {
    static IMPATIENT: OnceCell<Bed> = OnceCell::const_new();
    let options = Options::default()
        .edge_var("AG_KEEPALIVE_MS", KEEP_ALIVE_MS)
        .edge_var("AG_FIRST_BYTE_TIMEOUT_MS", SILENCE_MAX_MS)
        .edge_var("AG_STREAM_IDLE_MAX_MS", SILENCE_MAX_MS)
        .edge_var("AG_REQUEST_TOTAL_MAX_MS", 2 * SILENCE_MAX_MS);
    IMPATIENT.get_or_try_init(|| Bed::start(options)).await
}

/// Types of events in order; `[DONE]` is a type of its own.
fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| event.json()["type"].as_str().unwrap_or(&event.data).to_owned();
    events.iter().map(kind).collect()
}

/// Checks the end of a stream that the provider left without one, and answers the events before it.
fn given_up<'a>(events: &'a [Event], code: &str) -> &'a [Event] {
    let kinds = kinds(events);
    assert_eq!(kinds.first().map(String::as_str), Some("response.created"), "{kinds:?}");
    let (before, end) = events.split_at(events.len().saturating_sub(3));
    assert_eq!(self::kinds(end), ["error", "response.failed", "[DONE]"], "{kinds:?}");
    let (error, failed) = (end[0].json(), end[1].json());
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["error"]["code"], code, "SDKs differ in where they look: {error}");
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"]["code"], code);
    for (at, event) in events[..events.len() - 1].iter().enumerate() {
        assert_eq!(event.json()["sequence_number"], at, "{}", event.data);
        assert_eq!(event.json()["type"], event.name.as_str());
    }
    before
}
