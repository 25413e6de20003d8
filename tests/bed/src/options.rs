//! How a bed is to be: everything has a default that suits a test.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::postgres::Postgres;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder that keeps everything between runs. `None`: a temporary one, removed with the bed.
    pub data_dir: Option<PathBuf>,
    /// Fixed ports; free ones where `None`.
    pub ports: Ports,
    /// Variables of the Worker (`AG_…`), on top of the bed's.
    pub edge_vars: BTreeMap<String, String>,
    /// Environment of control (`AG_…`), on top of the bed's.
    pub control_env: BTreeMap<String, String>,
    /// Put the knobs in front of the Worker: faults of KV, the clock, a lost object. Off: the Worker as built.
    pub kv_faults: bool,
    /// Whether targets may lie on this machine, as the fake provider does.
    pub private_upstreams: bool,
    /// Where the database lives.
    pub postgres: Postgres,
    /// Whether the bed's own Postgres syncs to disk. Needed only by tests that crash it.
    pub durable: bool,
    /// Told of every step of the start.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            ports: Ports::default(),
            edge_vars: BTreeMap::new(),
            control_env: BTreeMap::new(),
            kv_faults: false,
            private_upstreams: true,
            postgres: Postgres::default(),
            durable: true,
            progress: Progress::default(),
        }
    }
}

impl Options {
    /// Sets a variable of the Worker.
    #[must_use]
    pub fn edge_var(mut self, name: &str, value: impl ToString) -> Self {
        self.edge_vars.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets a variable in control's environment.
    #[must_use]
    pub fn control_var(mut self, name: &str, value: impl ToString) -> Self {
        self.control_env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Puts the knobs in front of the Worker.
    #[must_use]
    pub fn with_knobs(mut self) -> Self {
        self.kv_faults = true;
        self
    }
}

/// Ports on 127.0.0.1; `None` takes a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// The edge, which consumers call.
    pub edge: Option<u16>,
    /// The control plane.
    pub control: Option<u16>,
    /// The fake provider.
    pub provider: Option<u16>,
    /// Postgres, when it is the bed's own.
    pub postgres: Option<u16>,
}

/// Is told the name of each step of the start when it is done, and how long it took.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Told>>);

type Told = dyn Fn(&str, Duration) + Send + Sync;

impl Progress {
    /// Calls `told` after each step.
    pub fn new(told: impl Fn(&str, Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, step: &str, took: Duration) {
        if let Some(told) = &self.0 {
            told(step, took);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Progress")
    }
}

/// What KV does to the Worker. Needs [`Options::kv_faults`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvMode {
    /// The truth.
    #[default]
    Normal,
    /// Reads answer what was there when the mode was set; writes go through.
    Stale,
    /// Reads answer nothing; writes go through.
    Empty,
    /// Reads and writes throw.
    Refusing,
    /// Writes throw, as after more than one per second and key; reads answer the truth.
    PutsRefused,
}

impl KvMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Stale => "stale",
            Self::Empty => "empty",
            Self::Refusing => "refusing",
            Self::PutsRefused => "puts_refused",
        }
    }
}
