//! The fake provider is taken for a real one by OpenAI's own SDKs. Needs npm's packages.

use std::process::Command;

use alphagate_bed::{Provider, places};

#[tokio::test]
async fn openai_s_node_sdks_take_the_provider_for_a_real_one() {
    let provider = Provider::start().await.expect("a provider");
    let script = places::workspace().expect("a checkout").join("tests/bed/tests/sdk.mjs");
    for sdk in ["openai", "openai-6"] {
        let mut node = Command::new(places::node().expect("node"));
        node.arg(&script).args([sdk, &provider.base_url()]);
        let output = tokio::task::spawn_blocking(move || node.output()).await.expect("a task");
        let output = output.expect("node");
        assert!(output.status.success(), "{sdk}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(provider.calls().counts().started, 10);
}
