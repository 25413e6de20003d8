//! `cargo xtask test`: the whole suite, natively and, for the contract's vectors, in Wasm.
//!
//! Invariant: one Postgres serves the whole run and goes with it; tests make databases of their own in it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use alphagate_bed::{Scratch, Server, places};
use anyhow::{Context, Result};
use clap::Args;

use crate::isolation::{self, Isolation};
use crate::{
    portkey, python,
    python_tool::{MOTO, SCHEMATHESIS},
    run, steps,
};

const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// Known-answer vectors, which must hold natively and in Wasm.
const VECTORS: (&str, &str) = ("alphagate-contract", "vectors");

/// What the databases of all tests that run at once take, write-ahead log included.
const DATABASES_MAX_BYTES: u64 = 4 << 30;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run the long forms too: fuzzing, thousands of seeds, soak
    #[arg(long)]
    deep: bool,
    /// Only the tests of this package
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only tests whose name contains one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

impl Arguments {
    fn is_whole_suite(&self) -> bool {
        self.package.is_none() && self.filters.is_empty()
    }
}

/// The command `test`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    println!("Preparing");
    steps::packages()?;
    let fetched = steps::aside(|| -> Result<_> {
        let python = steps::step("Python", python::prepare)?;
        let portkey = steps::step("Portkey", portkey::prepare)?;
        let schemathesis = steps::step("schemathesis", || SCHEMATHESIS.prepare())?;
        let moto = steps::step("moto", || MOTO.prepare())?;
        Ok((python, portkey, schemathesis, moto, isolation::fetch()))
    });
    steps::worker()?;
    match arguments.package {
        // Building all tests builds control too, with the features that the tests have: once, not twice.
        None => {
            steps::step("tests", || run::visibly(cargo_test(arguments)?.arg("--no-run").args(run::quiet())))?
        }
        Some(_) => steps::programs()?,
    }
    let (python, portkey, schemathesis, moto, fetched) = fetched.join()??;
    let isolation = isolation::prepare(fetched);
    if arguments.is_whole_suite() {
        steps::step("contract's vectors in Wasm", vectors_in_wasm)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let postgres = runtime.block_on(Postgres::start())?;
    let programs = [
        ("AG_PYTHON", &python),
        ("AG_PORTKEY", &portkey),
        ("AG_SCHEMATHESIS", &schemathesis),
        ("AG_MOTO", &moto),
    ];
    let passed = suite(arguments, programs, &postgres.url, isolation.as_ref());
    runtime.block_on(postgres.stop());
    passed?;
    Ok(ExitCode::SUCCESS)
}

/// The Postgres of this run, or the one that the environment names.
struct Postgres {
    url: String,
    own: Option<(Server, Scratch)>,
}

impl Postgres {
    async fn start() -> Result<Self> {
        if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
            return Ok(Self { url, own: None });
        }
        // Each test makes a database of its own, which is some hundred files.
        let scratch = Scratch::in_memory(DATABASES_MAX_BYTES)?;
        // Tests that crash Postgres start one of their own, with its disk synced.
        let server = Server::start(&scratch.path().join("postgres"), None, false).await?;
        Ok(Self { url: server.url(), own: Some((server, scratch)) })
    }

    async fn stop(self) {
        if let Some((server, _scratch)) = self.own {
            server.stop().await;
        }
    }
}

fn suite(
    arguments: &Arguments,
    programs: [(&str, &PathBuf); 4],
    database_url: &str,
    isolation: Option<&Isolation>,
) -> Result<()> {
    let mut cargo = cargo_test(arguments)?;
    cargo.arg("--no-fail-fast");
    if !arguments.filters.is_empty() {
        cargo.arg("--").args(&arguments.filters);
    }
    cargo.env("DATABASE_URL", database_url);
    cargo.envs(programs);
    cargo.env("AG_NODE", places::node()?);
    cargo.env("PATH", path_with_npm_first()?);
    if let Some(isolation) = isolation {
        isolation.tell(&mut cargo);
    }
    if arguments.deep {
        cargo.env("AG_DEEP", "1");
    }
    run::visibly(&mut cargo)
}

/// The same packages, and so the same build, with and without `--no-run`.
fn cargo_test(arguments: &Arguments) -> Result<Command> {
    let mut cargo = run::cargo()?;
    cargo.arg("test");
    match &arguments.package {
        Some(package) => cargo.args(["--package", package]),
        None => cargo.arg("--workspace"),
    };
    Ok(cargo)
}

fn path_with_npm_first() -> Result<OsString> {
    let npm = places::workspace()?.join("node_modules/.bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = std::iter::once(npm).chain(env::split_paths(&path)).collect();
    env::join_paths(all).context("PATH cannot be extended")
}

/// Runs contract/tests/vectors.rs in node, by cargo's own test harness.
fn vectors_in_wasm() -> Result<()> {
    let root = places::workspace()?;
    let (package, test) = VECTORS;
    if !root.join("contract/tests").join(format!("{test}.rs")).exists() {
        return Ok(());
    }
    let runner = format!("{} {}", places::node()?.display(), root.join("xtask/src/wasm_tests.mjs").display());
    let mut cargo: Command = run::cargo()?;
    cargo.args(["test", "--quiet", "--package", package, "--test", test, "--target", WASM_TARGET]);
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner);
    // proptest, a development dependency, draws in a source of randomness that Wasm does not have.
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "--cfg getrandom_backend=\"unsupported\"");
    run::quietly(&mut cargo)?;
    Ok(())
}
