//! One call to the Worker: who asks, with which settings, and since when.

use crate::{clock, settings::Settings};
use alphagate_contract::{
    id::RequestId,
    problem::{Code, Problem},
};
use std::{cell::RefCell, rc::Rc};
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
    /// What the answer's headers say of targets; whoever asks them keeps it up to date.
    pub asked: Rc<RefCell<Option<AskedTargets>>>,
}

/// Which targets were asked, as the caller may know: places in the version, never names.
#[derive(Debug, Clone)]
pub struct AskedTargets {
    /// The one that serves, if one does.
    pub serving: Option<usize>,
    /// How many calls were made, and what was tried or left out before: `2; 0=status_500`.
    pub attempts: String,
}

impl Visit {
    /// A new visit.
    ///
    /// # Errors
    /// [`Code::Internal`] when settings are missing.
    pub fn new(env: Env, context: Context) -> Result<Self, Problem> {
        let settings = Settings::of(&env)?;
        let started_ms = clock::now_ms();
        let (context, id) = (Rc::new(context), new_id(started_ms)?);
        Ok(Self { env, context, settings, id, started_ms, asked: Rc::default() })
    }

    /// A visit of its own, for a message that came on this one's connection.
    ///
    /// # Errors
    /// [`Code::Internal`] when there is no randomness.
    pub fn again(&self) -> Result<Self, Problem> {
        let started_ms = clock::now_ms();
        let (env, context) = (self.env.clone(), Rc::clone(&self.context));
        let (settings, id) = (Rc::clone(&self.settings), new_id(started_ms)?);
        Ok(Self { env, context, settings, id, started_ms, asked: Rc::default() })
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
