//! Steps of a command, each told with how long it took.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{npm, run, worker};

/// Does one step and prints it when it is done, on a terminal also when it begins.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun_at = Instant::now();
    let mut out = stdout();
    if out.is_terminal() {
        write!(out, "            {name} …\r")?;
        out.flush()?;
    }
    let done = work().with_context(|| name.to_owned())?;
    tell(name, begun_at.elapsed());
    Ok(done)
}

/// One line about a step.
pub(crate) fn tell(name: &str, took: Duration) {
    println!("  {:>6.1} s  {name}", took.as_secs_f64());
}

/// The parts of a bed that no cargo command of ours builds besides: npm's packages and the Worker.
pub(crate) fn prepare() -> Result<()> {
    step("npm packages", npm::install)?;
    let report = step("Worker", || worker::build(false))?;
    println!("            {report}");
    Ok(())
}

/// The binaries of control and runner.
pub(crate) fn programs() -> Result<()> {
    step("control and runner", || {
        let mut cargo = run::cargo()?;
        let packages = ["build", "--package", "alphagate-control", "--package", "alphagate-runner"];
        run::visibly(cargo.args(packages).args(run::quiet()))
    })
}
