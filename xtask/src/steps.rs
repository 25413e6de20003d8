//! Steps of a command, each told with how long it took.

use std::io::{IsTerminal, Write, stdout};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

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

/// Steps that are done beside others, because they wait for the network more than they compute.
#[derive(Debug)]
pub(crate) struct Aside<T>(JoinHandle<T>);

/// Begins such steps.
pub(crate) fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    Aside(thread::spawn(work))
}

impl<T> Aside<T> {
    /// What came of them, once they are done.
    pub(crate) fn join(self) -> Result<T> {
        self.0.join().map_err(|_| anyhow!("a step that was done aside has panicked"))
    }
}

/// One line about a step.
pub(crate) fn tell(name: &str, took: Duration) {
    println!("  {:>6.1} s  {name}", took.as_secs_f64());
}

/// Node and the other packages that npm brings.
pub(crate) fn packages() -> Result<()> {
    step("npm packages", npm::install)?;
    Ok(())
}

/// The Worker.
pub(crate) fn worker() -> Result<()> {
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
