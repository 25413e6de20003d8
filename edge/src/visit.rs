//! One call to the Worker: who asks, with which settings, and since when.

use crate::{clock, settings::Settings};
use alphagate_contract::{
    id::RequestId,
    problem::{Code, Problem},
};
use std::rc::Rc;
use worker::{Context, Env};

/// What every step of a request needs.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The Worker's bindings.
    pub env: Env,
    /// Keeps work alive after the answer.
    pub context: Rc<Context>,
    /// The isolate's settings.
    pub settings: Rc<Settings>,
    /// The request's id, shown to the caller and to control.
    pub id: RequestId,
    /// When it came, Unix milliseconds.
    pub started_ms: u64,
}

impl Visit {
    /// A new visit.
    ///
    /// # Errors
    /// [`Code::Internal`] when settings are missing.
    pub fn new(env: Env, context: Context) -> Result<Self, Problem> {
        let settings = Settings::of(&env)?;
        let started_ms = clock::now_ms();
        Ok(Self { env, context: Rc::new(context), settings, id: new_id(started_ms)?, started_ms })
    }

    /// Milliseconds since it came.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        clock::now_ms().saturating_sub(self.started_ms)
    }
}

/// A fresh request id.
///
/// # Errors
/// [`Code::Internal`] when there is no randomness.
pub fn new_id(now_ms: u64) -> Result<RequestId, Problem> {
    let random = clock::random().map_err(|_| Problem::new(Code::Internal))?;
    Ok(RequestId::new(now_ms, random))
}
