//! A client program under way: a line in, a line out.

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use alphagate_bed::places;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Three tries with the SDKs' own pauses between them take up to 5 s.
const CASE_MAX: Duration = Duration::from_secs(60);

/// One of the SDKs.
pub struct Client {
    program: PathBuf,
    arguments: Vec<PathBuf>,
    is_python: bool,
}

impl Client {
    /// The SDK for Python, in the environment that `cargo xtask test` makes.
    pub fn python() -> Result<Self> {
        let own = || places::workspace().map(|root| root.join("target/py/bin/python"));
        let program = env::var_os("AG_PYTHON").map_or_else(own, |path| Ok(path.into()))?;
        ensure!(program.exists(), "{} is missing: run `cargo xtask test` once", program.display());
        let script = places::workspace()?.join("tests/sdks/python.py");
        Ok(Self { program, arguments: vec![script], is_python: true })
    }

    /// The SDK for node, by its npm package.
    pub fn node(package: &str) -> Result<Self> {
        let script = places::workspace()?.join("tests/sdks/node.mjs");
        Ok(Self { program: places::node()?, arguments: vec![script, package.into()], is_python: false })
    }

    /// The same error is of another class in each language.
    pub fn in_its_words(&self, wanted: &Value) -> Value {
        let mut wanted = wanted.clone();
        if !self.is_python && wanted["class"] == "APITimeoutError" {
            wanted["class"] = "APIConnectionTimeoutError".into();
        }
        wanted
    }

    /// Starts it. It ends when it is dropped.
    pub async fn start(&self) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // The machine's own settings of the SDKs and of proxies are not under test.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy().to_ascii_lowercase();
            if text.starts_with("openai_") || text.ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().with_context(|| self.program.display().to_string())?;
        let input = child.stdin.take().context("no stdin")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Running { child, input, output })
    }
}

/// A program that waits for cases.
pub struct Running {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Has it do one case, and returns what it saw.
    pub async fn tell(&mut self, ask: &Value) -> Result<Value> {
        self.input.write_all(format!("{ask}\n").as_bytes()).await?;
        self.input.flush().await?;
        match timeout(CASE_MAX, self.output.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).with_context(|| line.clone()),
            Ok(Ok(None)) => bail!("the client program has ended"),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("no answer within {CASE_MAX:?}"),
        }
    }

    /// Ends it.
    pub async fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = timeout(CASE_MAX, self.child.wait()).await.context("it does not end")??;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}
