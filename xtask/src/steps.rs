//! Steps of a command, each told with how long it took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{npm, run, worker};

/// Does one step and prints it when it is done.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun_at = Instant::now();
    let done = work().with_context(|| name.to_owned())?;
    tell(name, begun_at.elapsed());
    Ok(done)
}

/// One line about a step.
pub(crate) fn tell(name: &str, took: Duration) {
    println!("  {:>6.1} s  {name}", took.as_secs_f64());
}

/// Everything that a bed runs: npm's packages, the Worker, control.
pub(crate) fn build_everything() -> Result<()> {
    step("npm packages", npm::install)?;
    let mut report = String::new();
    step("Worker", || {
        report = worker::build(false)?;
        Ok(())
    })?;
    println!("            {report}");
    step("control", || {
        let mut cargo = run::cargo()?;
        run::visibly(cargo.args(["build", "--quiet", "--package", "alphagate-control"]))
    })
}
