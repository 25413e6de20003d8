//! What the program can be told, by flag or by environment variable.
//!
//! The token is a type that prints nothing, and it is the runner's only secret: it holds no credential of any database.

use alphagate_contract::{
    job::{ImageName, dispatch::Slots},
    secret::Secret,
};
use clap::{Args, ValueEnum, builder::FalseyValueParser};
use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};
use url::Url;

/// Samples at once, if nothing else is said: they wait for a model and cost next to nothing.
const SAMPLE_SLOTS: u32 = 16;
/// Sandboxes booted ahead, if nothing else is said: 30 MiB each.
const IDLE_MAX: usize = 4;

/// Everything that `serve` needs to know.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where control is.
    #[arg(long, env = "AG_CONTROL_URL", default_value = "http://127.0.0.1:8080")]
    pub control_url: Url,
    /// What the runner registers with.
    #[arg(long, env = "AG_RUNNER_TOKEN", hide_env_values = true, value_parser = secret)]
    pub runner_token: Secret<String>,
    /// The host's name, for people; its own name if nothing is said.
    #[arg(long, env = "AG_RUNNER_NAME")]
    pub runner_name: Option<String>,
    /// Labels, comma-separated: a job that names labels goes to runners that have all of them.
    #[arg(long, env = "AG_RUNNER_LABELS", value_delimiter = ',')]
    pub runner_labels: Vec<String>,
    /// Sandboxes at once; as many as there are processors if nothing is said.
    #[arg(long, env = "AG_SANDBOX_SLOTS")]
    pub sandbox_slots: Option<u32>,
    /// Samples at once.
    #[arg(long, env = "AG_SAMPLE_SLOTS", default_value_t = SAMPLE_SLOTS)]
    pub sample_slots: u32,
    /// Serve no sandboxes: for hosts that cannot isolate.
    #[arg(long, env = "AG_SAMPLES_ONLY", value_parser = FalseyValueParser::new())]
    pub samples_only: bool,
    /// Where samples are asked, if not where control says.
    #[arg(long, env = "AG_EDGE_URL")]
    pub edge_url: Option<Url>,
    /// How long jobs may go on when the runner is told to leave, milliseconds; then they are stopped.
    #[arg(long = "drain-max-ms", env = "AG_DRAIN_MAX_MS", default_value = "600000", value_parser = milliseconds)]
    pub drain_max: Duration,
    /// Sandboxes that are booted before they are needed.
    #[arg(long, env = "AG_POOL_IDLE_MAX", default_value_t = IDLE_MAX)]
    pub pool_idle_max: usize,
    /// Sandboxes that boot at once; as many as there are processors if nothing is said.
    #[arg(long, env = "AG_POOL_BOOTS_MAX")]
    pub pool_boots_max: Option<usize>,
    /// How it isolates.
    #[command(flatten)]
    pub host: HostSettings,
}

/// How a host isolates; all that `doctor` and `self-test` need to know.
#[derive(Debug, Clone, Args)]
pub struct HostSettings {
    /// What boots sandboxes.
    #[arg(long, env = "AG_ENGINE", value_enum, default_value_t = EngineName::Runsc)]
    pub engine: EngineName,
    /// The runner's own folder. Everyone must be able to pass through the folders above it.
    #[arg(long, env = "AG_RUNNER_STATE", default_value = "/var/lib/alphagate-runner")]
    pub runner_state: PathBuf,
    /// gVisor's program: a path, or a name to be looked for in PATH.
    #[arg(long, env = "AG_RUNSC", default_value = "runsc")]
    pub runsc: PathBuf,
    /// The static agent; beside this program if nothing is said.
    #[arg(long, env = "AG_AGENT")]
    pub agent: Option<PathBuf>,
    /// The store of root file systems; `images` in the runner's folder if nothing is said.
    #[arg(long, env = "AG_IMAGES")]
    pub images: Option<PathBuf>,
    /// Digests that images must have, `name=hex,…`.
    #[arg(long, env = "AG_IMAGE_PINS", value_delimiter = ',', value_parser = pin)]
    pub image_pins: Vec<(ImageName, String)>,
    /// Processors that one sandbox may use.
    #[arg(long, env = "AG_SANDBOX_CPUS", default_value_t = 1)]
    pub sandbox_cpus: u32,
    /// Docker's socket.
    #[arg(long, env = "AG_DOCKER_SOCKET", default_value = "/var/run/docker.sock")]
    pub docker_socket: PathBuf,
    /// The name under which Docker knows gVisor.
    #[arg(long, env = "AG_DOCKER_RUNTIME", default_value = "runsc")]
    pub docker_runtime: String,
    /// Take an engine that isolates less than gVisor (docker with its runtime `runc`). Every result says so.
    #[arg(long, env = "AG_ALLOW_WEAK_ISOLATION", value_parser = FalseyValueParser::new())]
    pub allow_weak_isolation: bool,
}

/// What boots sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// runsc, started directly.
    Runsc,
    /// Containers of a Docker daemon whose runtime is gVisor.
    Docker,
}

impl Settings {
    /// Jobs at once.
    #[must_use]
    pub fn slots(&self) -> Slots {
        let processors = u32::try_from(processors()).unwrap_or(u32::MAX);
        let sandbox = if self.samples_only { 0 } else { self.sandbox_slots.unwrap_or(processors) };
        Slots { sandbox, sample: self.sample_slots }
    }

    /// Boots at once.
    #[must_use]
    pub fn boots_max(&self) -> usize {
        self.pool_boots_max.unwrap_or_else(processors)
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> String {
        let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.runner_name.clone().unwrap_or_else(own)
    }
}

impl HostSettings {
    /// The digests that images must have, by name.
    #[must_use]
    pub fn pins(&self) -> BTreeMap<ImageName, String> {
        self.image_pins.iter().cloned().collect()
    }

    /// Where images are.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.images.clone().unwrap_or_else(|| self.runner_state.join("images"))
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a Result")]
fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

fn pin(text: &str) -> Result<(ImageName, String), String> {
    let (name, digest) = text.split_once('=').ok_or("a pin is `name=digest`")?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest {
        return Err(format!("the digest of {name} is not 64 hex digits"));
    }
    Ok((name.to_owned(), digest.to_ascii_lowercase()))
}
