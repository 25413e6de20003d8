//! Jobs end to end: handed in at control, claimed by a real runner, run under real gVisor.

mod jobs {
    pub mod cancel;
    pub mod crowd;
    pub mod outcomes;
}

use alphagate_bed::{Bed, Options, Runner, RunnerOptions};
use anyhow::Result;
use tokio::sync::OnceCell;

/// One bed and one runner for every test here that does not hurt them.
async fn shared() -> Result<&'static Bed> {
    static SHARED: OnceCell<(Bed, Runner)> = OnceCell::const_new();
    let start = async || {
        let bed = Bed::start(Options::default()).await?;
        let runner = bed.start_runner(RunnerOptions::new("shared", 4, 4)).await?;
        anyhow::Ok((bed, runner))
    };
    Ok(&SHARED.get_or_try_init(start).await?.0)
}
