//! The Worker's JavaScript, proved by node alone: every short stream in every chunking, the pump on a driven
//! clock, bodies and their budget (`edge/tests/*.test.mjs`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alphagate_bed::places;
use anyhow::{Context, Result};

/// The sources say `.js` and are modules; node warns that nothing but their content tells.
const NO_WARNING: &str = "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON";

fn test_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[test]
fn e12_e13_e14_the_pump_holds_for_every_short_stream_and_on_a_driven_clock() -> Result<()> {
    let files = test_files(&places::workspace()?.join("edge/tests"))?;
    assert!(files.len() >= 4, "tests are missing: {files:?}");
    let mut node = Command::new(places::node()?);
    node.args([NO_WARNING, "--test", "--test-reporter=spec"]).args(files);
    // Under a test runner of its own, node would report to that one.
    node.env_remove("NODE_TEST_CONTEXT");
    let output = node.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("\u{2139} pass 0"), "no test ran: {said}");
    Ok(())
}
