//! Unmodified clients × Responses and chat completions × what they can do × every kind of target: one table.
//!
//! The programs in tests/clients do each case and say what they saw; `clients/capability.rs` says what must be seen, by the
//! client's user and by the provider. Invariant: every cell is asserted, and what a client cannot do is named here.

mod clients {
    pub mod capability;
    pub mod program;
}

use std::{collections::HashMap, fmt::Write as _, io::Write as _};

use alphagate_bed::{
    Bed,
    provider::{Knobs, Seen},
};
use alphagate_tests::Stage;
use anyhow::{Context, Result};
use clients::{
    capability::{CAPABILITIES, Capability, PARTS, Part, THEN, image_url, schema, tools},
    program::{PROGRAMS, Program},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What targets speak.
const KINDS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];
/// What clients speak.
const APIS: [&str; 2] = ["responses", "chat"];

/// One cell.
#[derive(Debug)]
struct Case {
    client: &'static str,
    api: &'static str,
    capability: Capability,
    kind: &'static str,
}

impl Case {
    fn all_of(program: &Program) -> Vec<Self> {
        let mut all = Vec::new();
        for api in APIS {
            for capability in CAPABILITIES {
                all.extend(KINDS.map(|kind| Self { client: program.name, api, capability, kind }));
            }
        }
        all
    }

    fn name(&self) -> String {
        format!("{} by {}: {} of {}", self.client, self.api, self.capability.name(), self.kind)
    }

    /// The first question. It tells the calls of this case from those of all others.
    fn prompt(&self) -> String {
        format!("[{}] How is it?", self.name())
    }
}

/// An endpoint for each kind of target and each part that its model plays.
struct Scene(HashMap<(&'static str, Part), Stage>);

impl Scene {
    async fn new() -> Result<Self> {
        Self::of(json!({})).await
    }

    /// Endpoints with this configuration.
    async fn of(config: Value) -> Result<Self> {
        let bed = Bed::shared().await?;
        let mut stages = HashMap::new();
        for kind in KINDS {
            for part in PARTS {
                let stage = Stage::speaking(bed, kind, config.clone()).await?;
                let knobs: Knobs = serde_json::from_value(part.knobs())?;
                bed.provider().set_model(&stage.model, knobs);
                stages.insert((kind, part), stage);
            }
        }
        Ok(Self(stages))
    }

    fn stage(&self, case: &Case) -> Result<&Stage> {
        self.0.get(&(case.kind, case.capability.part())).context("no stage")
    }

    /// What the client program needs for a case.
    fn ask(&self, case: &Case) -> Result<Value> {
        let caller = &self.stage(case)?.caller;
        Ok(json!({"case": case.name(), "api": case.api, "capability": case.capability.name(),
            "base_url": format!("{}/v1", caller.edge_url), "api_key": caller.key.secret, "model": caller.name,
            "store": false, "prompt": case.prompt(), "then": THEN, "image": image_url(), "tools": tools(), "schema": schema()}))
    }

    fn check(&self, case: &Case, line: Option<&Value>) -> Result<()> {
        case.capability.check_seen(line.context("the client says nothing")?)?;
        let prompt = case.prompt();
        let mine = |seen: &Seen| seen.json().is_some_and(|body| body.to_string().contains(&prompt));
        let calls: Vec<Seen> = self.stage(case)?.calls().requests().into_iter().filter(mine).collect();
        case.capability.check_asked(&calls, &prompt)
    }

    /// What is wrong with each case of a client; nothing if nothing is.
    async fn walk(&self, program: &Program) -> Result<Vec<(Case, Option<String>)>> {
        let cases = Case::all_of(program);
        let asks: Vec<Value> = cases.iter().map(|case| self.ask(case)).collect::<Result<_>>()?;
        let said = program.walk(&asks).await?;
        let judge = |case: Case| {
            let wrong = self.check(&case, said.get(&case.name())).err();
            (case, wrong.map(|error| format!("{error:#}")))
        };
        Ok(cases.into_iter().map(judge).collect())
    }
}

/// The table: in each cell the kinds of target that hold, by their first letters.
fn table(judged: &[(Case, Option<String>)]) -> String {
    let mut table = format!("{:<18}{:<11}", "client", "by");
    for capability in CAPABILITIES {
        let _ = write!(table, "{:<16}", capability.name());
    }
    for program in PROGRAMS {
        for api in APIS {
            let _ = write!(table, "\n{:<18}{api:<11}", program.name);
            for capability in CAPABILITIES {
                let mine =
                    |case: &Case| (case.client, case.api, case.capability) == (program.name, api, capability);
                let cell: String = judged
                    .iter()
                    .filter(|(case, _)| mine(case))
                    .map(|(case, wrong)| if wrong.is_none() { &case.kind[..1] } else { "✗" })
                    .collect();
                let _ = write!(table, "{cell:<16}");
            }
        }
    }
    table
}

#[tokio::test]
async fn every_client_does_everything_on_every_kind_of_target() -> Result<()> {
    let scene = Scene::new().await?;
    let walks = join_all(PROGRAMS.iter().map(|program| scene.walk(program))).await;
    let judged: Vec<_> = walks.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    // The harness keeps what a passed test prints with macros.
    writeln!(
        std::io::stderr(),
        "\n{}\nr: Responses, c: chat completions, a: Anthropic, g: Gemini",
        table(&judged)
    )?;
    let wrong: Vec<String> = judged
        .iter()
        .filter_map(|(case, wrong)| Some(format!("{}: {}", case.name(), wrong.as_ref()?)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), judged.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_ai_sdk_that_takes_answers_for_stored_is_told_which_field_says_so() -> Result<()> {
    let scene = Scene::new().await?;
    let program = PROGRAMS.iter().find(|program| program.name == "AI SDK").context("no AI SDK")?;
    let case = |kind| Case { client: program.name, api: "responses", capability: Capability::Turns, kind };
    let mut asks: Vec<Value> = KINDS.iter().map(|kind| scene.ask(&case(kind))).collect::<Result<_>>()?;
    for ask in asks.iter_mut().filter_map(Value::as_object_mut) {
        ask.remove("store");
    }
    let said = program.walk(&asks).await?;
    assert_eq!(said.len(), KINDS.len());
    for line in said.values() {
        let error = line["error"].as_str().unwrap_or_default();
        assert!(error.starts_with("AI_APICallError") && error.contains("`store: false`"), "{line}");
    }
    Ok(())
}

/// By default it counts on answers that are stored, and names their items by id alone.
#[tokio::test]
async fn the_ai_sdk_does_everything_by_default_where_answers_are_kept() -> Result<()> {
    let scene = Scene::of(json!({"retain": {"days": 1}})).await?;
    let program = PROGRAMS.iter().find(|program| program.name == "AI SDK").context("no AI SDK")?;
    let cases: Vec<Case> = Case::all_of(program).into_iter().filter(|case| case.api == "responses").collect();
    let mut asks: Vec<Value> = cases.iter().map(|case| scene.ask(case)).collect::<Result<_>>()?;
    for ask in asks.iter_mut().filter_map(Value::as_object_mut) {
        ask.remove("store");
    }
    let said = program.walk(&asks).await?;
    for case in &cases {
        scene.check(case, said.get(&case.name())).with_context(|| case.name())?;
    }
    Ok(())
}
