//! The Worker's settings: secrets and variables, read once per isolate.
//!
//! Every time and size has a default here; `wrangler.toml` and tests override them.

use alphagate_contract::{
    problem::{Code, Problem},
    ring::Ring,
};
use std::{cell::RefCell, rc::Rc, str::FromStr};
use worker::{Env, console_error};

/// Everything the Worker is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// Signing keys of API keys.
    pub key_ring: Ring,
    /// Secrets that control signs its pushes with.
    pub from_control: Ring,
    /// Secrets that the edge signs its calls to control with.
    pub to_control: Ring,
    /// Private keys that credentials are sealed to.
    pub seal_keys: Ring,
    /// Where control is, without a slash at the end.
    pub control_url: String,
    /// Origins that browsers may call from: none, `*`, or a list.
    pub cors_origins: Vec<String>,
    /// Silence after which a stream gets a comment, milliseconds. Proxies and browsers give up after 30 s and more.
    pub keep_alive_ms: u64,
    /// Age up to which a record in memory is used without asking KV, milliseconds.
    pub record_fresh_ms: u64,
    /// Age up to which a record in memory is used while KV and control fail, milliseconds.
    pub record_stale_max_ms: u64,
    /// Longest wait for an org's object, milliseconds: beyond it the request is refused, never admitted.
    pub object_timeout_ms: u64,
    /// Longest wait for control on a miss, milliseconds.
    pub control_timeout_ms: u64,
    /// Largest request body, bytes: eight photos of 2 MB as base64 fit.
    pub body_max_bytes: u64,
    /// Largest body that is passed on to control, bytes: the largest file that OpenAI takes. It is streamed, not held.
    pub upload_max_bytes: u64,
    /// Longest time for a request body to arrive, milliseconds.
    pub body_deadline_ms: u64,
    /// Bytes of bodies in flight per isolate. An isolate has 128 MB; Wasm may take one body more, and the rest is slack.
    pub buffer_budget_bytes: u64,
    /// Longest wait for a provider's first byte, milliseconds.
    pub first_byte_timeout_ms: u64,
    /// Longest silence within a stream, milliseconds.
    pub stream_idle_max_ms: u64,
    /// Longest request, milliseconds.
    pub request_total_max_ms: u64,
    /// Age at which an unsettled reservation is charged in full, milliseconds; longer than any request.
    pub reservation_ttl_ms: u64,
    /// Longest life of a connection, milliseconds. The specification's 60 minutes.
    pub socket_max_ms: u64,
    /// How long usage events gather before they are handed to control, milliseconds.
    pub ledger_flush_ms: u64,
}

/// Largest answer of a provider that is read as a whole, bytes; generated images fit.
pub const ANSWER_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Largest single event of a stream, bytes; partial images fit.
pub const EVENT_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// How long a provider may keep a stream open after its terminal event, milliseconds.
pub const LINGER_MS: u64 = 1_000;
/// Longest URL, bytes.
pub const URL_MAX_LEN: usize = 8 * 1024;

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

impl Settings {
    /// The settings of this isolate.
    ///
    /// # Errors
    /// [`Code::Internal`] when a secret is missing or malformed; the log says which.
    pub fn of(env: &Env) -> Result<Rc<Self>, Problem> {
        if let Some(settings) = SETTINGS.with_borrow(Clone::clone) {
            return Ok(settings);
        }
        let settings = Rc::new(Self::read(env).map_err(|name| {
            console_error!("the setting {name} is missing or malformed");
            Problem::new(Code::Internal)
        })?);
        SETTINGS.set(Some(Rc::clone(&settings)));
        Ok(settings)
    }

    /// How long a body's share of the budget lasts by itself, milliseconds.
    #[must_use]
    pub const fn lease_life_ms(&self) -> u64 {
        self.body_deadline_ms + self.first_byte_timeout_ms
    }

    fn read(env: &Env) -> Result<Self, &'static str> {
        let ring = |name| {
            let text = env.secret(name).map_err(|_| name)?.to_string();
            Ring::parse(&text).map_err(|_| name)
        };
        Ok(Self {
            key_ring: ring("AG_KEY_RING")?,
            from_control: ring("AG_CONTROL_TO_EDGE_RING")?,
            to_control: ring("AG_EDGE_TO_CONTROL_RING")?,
            seal_keys: ring("AG_SEAL_PRIVATE_KEYS")?,
            control_url: text(env, "AG_CONTROL_URL").trim_end_matches('/').to_owned(),
            cors_origins: list(&text(env, "AG_CORS_ORIGINS")),
            keep_alive_ms: number(env, "AG_KEEPALIVE_MS", 15_000)?,
            record_fresh_ms: number(env, "AG_RECORD_FRESH_MS", 1_000)?,
            record_stale_max_ms: number(env, "AG_RECORD_STALE_MAX_MS", 3_600_000)?,
            object_timeout_ms: number(env, "AG_OBJECT_TIMEOUT_MS", 2_000)?,
            control_timeout_ms: number(env, "AG_CONTROL_TIMEOUT_MS", 3_000)?,
            body_max_bytes: number(env, "AG_BODY_MAX_BYTES", 24 * 1024 * 1024)?,
            upload_max_bytes: number(env, "AG_UPLOAD_MAX_BYTES", 512 * 1024 * 1024)?,
            body_deadline_ms: number(env, "AG_BODY_DEADLINE_MS", 30_000)?,
            buffer_budget_bytes: number(env, "AG_BUFFER_BUDGET_BYTES", 48 * 1024 * 1024)?,
            first_byte_timeout_ms: number(env, "AG_FIRST_BYTE_TIMEOUT_MS", 120_000)?,
            stream_idle_max_ms: number(env, "AG_STREAM_IDLE_MAX_MS", 330_000)?,
            request_total_max_ms: number(env, "AG_REQUEST_TOTAL_MAX_MS", 900_000)?,
            reservation_ttl_ms: number(env, "AG_RESERVATION_TTL_MS", 960_000)?,
            socket_max_ms: number(env, "AG_SOCKET_MAX_MS", 3_600_000)?,
            ledger_flush_ms: number(env, "AG_LEDGER_FLUSH_MS", 1_000)?,
        })
    }
}

fn text(env: &Env, name: &str) -> String {
    env.var(name).map(|value| value.to_string()).unwrap_or_default()
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn number<T: FromStr>(env: &Env, name: &'static str, default: T) -> Result<T, &'static str> {
    match text(env, name).as_str() {
        "" => Ok(default),
        text => text.parse().map_err(|_| name),
    }
}
