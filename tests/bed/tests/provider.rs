//! The fake provider is taken for a real one by the official SDKs. Needs npm's packages, and Python's of `cargo xtask
//! test`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use alphagate_bed::provider::{Knobs, ScriptedCall};
use alphagate_bed::{Provider, places};

async fn run(mut command: Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("a program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn openai_s_node_sdks_take_the_provider_for_a_real_one() {
    let provider = Provider::start().await.expect("a provider");
    let script = places::workspace().expect("a checkout").join("tests/bed/tests/sdk.mjs");
    for sdk in ["openai", "openai-6"] {
        let mut node = Command::new(places::node().expect("node"));
        node.arg(&script).args([sdk, &provider.base_url()]);
        run(node).await;
    }
    assert_eq!(provider.calls().counts().started, 10);
}

#[tokio::test]
async fn the_python_sdks_of_openai_anthropic_and_google_take_the_provider_for_a_real_one() {
    let provider = Provider::start().await.expect("a provider");
    let talker = Knobs { text: Some("déjà vu 🌸 again".into()), ..Knobs::default() };
    let call =
        |arguments: &str| ScriptedCall { name: "weather".into(), arguments: arguments.into(), id: None };
    let calls = vec![call(r#"{"city": "Köln", "days": 3}"#), call("{}")];
    let after = Some("done".into());
    let caller = Knobs { tool_calls: Some(calls), text_after_tools: after, ..Knobs::default() };
    let thinker = Knobs { reasoning: Some("first this then that".into()), ..talker.clone() };
    let limited = Knobs { status: Some(429), ..Knobs::default() };
    for (model, knobs) in [("talker", talker), ("caller", caller), ("thinker", thinker), ("limited", limited)]
    {
        provider.set_model(model, knobs);
    }
    let root = places::workspace().expect("a checkout");
    let own = root.join("target/py/bin/python");
    let program = env::var_os("AG_PYTHON").map_or(own, PathBuf::from);
    assert!(program.exists(), "{} is missing: run `cargo xtask test` once", program.display());
    let mut python = Command::new(program);
    python.arg(root.join("tests/bed/tests/sdk.py")).arg(provider.url());
    run(python).await;
}
