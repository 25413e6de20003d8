//! A job that takes more memory than it may: its report must say so, or nobody could trust the outcome `memory`.

use crate::{
    execute::{Sink, execute},
    pool::{Pool, PoolSettings},
    sandbox::Engine,
};
use alphagate_contract::job::{
    Ending, File, FilePath, Language, LimitKind, Limits, SandboxSpec, dispatch::Stream,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Doubles a text until there is no room for it: every image has a shell.
const SOURCE: &str = "text=x; while :; do text=$text$text; done";
/// Small, so that the limit is met at once.
const LIMITS: Limits = Limits {
    wall_ms: 20_000,
    cpu_ms: 20_000,
    memory_bytes: 64 * 1024 * 1024,
    pids: 16,
    disk_bytes: 8 * 1024 * 1024,
    output_bytes: 64 * 1024,
};
const CANARY_MAX: Duration = Duration::from_secs(40);

/// Output that nobody wants.
struct Nowhere;

impl Sink for Nowhere {
    async fn started(&mut self) {}
    async fn output(&mut self, _stream: Stream, _bytes: Vec<u8>) {}
}

/// Whether a job that runs out of memory is reported as that.
pub async fn memory(engine: Arc<dyn Engine>) -> Result<String, String> {
    let image = engine.images().await.into_iter().min_by_key(|name| name != "minimal");
    let image = image.ok_or("there is no image to try it with")?;
    let spec = spec(image).map_err(|error| error.to_string())?;
    let pool = Pool::new(engine, PoolSettings { idle_max: 0, boots_max: 1, sandboxes_max: 1 });
    let stop = CancellationToken::new();
    let report = timeout(CANARY_MAX, execute(&pool, &spec, &mut Nowhere, &stop)).await;
    pool.close().await;
    let report = report.map_err(|_| "a job that takes all memory did not end in time".to_owned())?;
    match report.ending {
        Ending::Limited { limit: LimitKind::Memory } => {
            Ok("a job that takes too much is ended, and reported".to_owned())
        }
        other => Err(format!("a job that took too much was reported as {other:?}")),
    }
}

fn spec(image: String) -> Result<SandboxSpec, alphagate_contract::job::PathError> {
    let entry: FilePath = Language::Bash.main_file().parse()?;
    Ok(SandboxSpec {
        image,
        language: Language::Bash,
        files: vec![File { path: entry.clone(), content: SOURCE.as_bytes().to_vec().into() }],
        entry,
        argv: vec![],
        stdin: vec![].into(),
        env: BTreeMap::new(),
        limits: LIMITS,
        artefacts: vec![],
        grader: false,
    })
}
