//! The client programs in tests/clients: the table goes in, a line for each of its cases comes out.

use std::{collections::HashMap, env, path::PathBuf, process::Stdio, time::Duration};

use alphagate_bed::places;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// For all cases of one client, its start included, on a machine that runs the whole suite.
const CLIENT_MAX: Duration = Duration::from_secs(300);

/// One client of the table.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What the table calls it.
    pub name: &'static str,
    /// Its script in tests/clients, by whose ending it is told what runs it.
    script: &'static str,
    /// The script's argument, if it takes one.
    argument: Option<&'static str>,
}

/// All clients; their versions are pinned in xtask's python.rs and in package.json.
pub const PROGRAMS: [Program; 7] = [
    Program::new("openai, Python", "openai_sdk.py", None),
    Program::new("openai, node 6", "openai_sdk.mjs", Some("openai-6")),
    Program::new("openai, node 7", "openai_sdk.mjs", Some("openai")),
    Program::new("openai-agents", "agents_sdk.py", None),
    Program::new("langchain-openai", "langchain_chat.py", None),
    Program::new("AI SDK", "ai_sdk.mjs", None),
    Program::new("inspect_ai", "inspect_model.py", None),
];

impl Program {
    const fn new(name: &'static str, script: &'static str, argument: Option<&'static str>) -> Self {
        Self { name, script, argument }
    }

    /// Has it do all cases, and returns what it says of each, by the cases' names.
    pub async fn walk(&self, cases: &[Value]) -> Result<HashMap<String, Value>> {
        timeout(CLIENT_MAX, self.run(cases)).await.context("it does not end")?.context(self.name)
    }

    async fn run(&self, cases: &[Value]) -> Result<HashMap<String, Value>> {
        let mut child = self.command()?.spawn()?;
        let mut input = child.stdin.take().context("no stdin")?;
        input.write_all(&serde_json::to_vec(cases)?).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {complaint}", output.status);
        let mut said = HashMap::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            said.insert(line["case"].as_str().context("a line without its case")?.to_owned(), line);
        }
        Ok(said)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.interpreter()?);
        command.arg(places::workspace()?.join("tests/clients").join(self.script)).args(self.argument);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // The machine's own settings of the clients and of proxies are not under test.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy().to_ascii_lowercase();
            if ["openai_", "langsmith_", "langchain_", "inspect_"].iter().any(|own| text.starts_with(own))
                || text.ends_with("_proxy")
            {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    fn interpreter(&self) -> Result<PathBuf> {
        if self.script.ends_with(".mjs") {
            return places::node();
        }
        let own = || places::workspace().map(|root| root.join("target/py/bin/python"));
        let program = env::var_os("AG_PYTHON").map_or_else(own, |path| Ok(path.into()))?;
        ensure!(program.exists(), "{} is missing: run `cargo xtask test` once", program.display());
        Ok(program)
    }
}
