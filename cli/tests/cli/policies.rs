//! Policies from files, and the endpoints that refer to them.

use anyhow::Result;
use serde_json::json;

use super::{
    program::text,
    scene::{Scene, example},
};

const SCHOOL: &str = "name: school\npreset: 6-8\npolicy: {pii: {email: refuse}}\n";

#[tokio::test]
async fn what_a_file_says_is_a_revision_once_and_endpoints_follow_it_with_a_version() -> Result<()> {
    let scene = Scene::new().await?;
    let program = &scene.program;
    let school = program.file("school.yaml", SCHOOL)?;
    let apply = ["policies", "apply", "-f", text(&school)?];
    let made = program.json(&apply).await?;
    assert_eq!((&made["revision"], &made["policy"]["pii"]["email"]), (&json!(1), &json!("refuse")));
    let again = program.run(&apply).await?.with_status(0)?.stdout;
    assert!(again.contains("revision 1 is as the file says"), "{again}");
    let presets = program.run(&["policies", "presets"]).await?.with_status(0)?.stdout;
    assert!(presets.contains("k-5") && presets.contains("retention-24h"), "{presets}");

    let mut document = std::fs::read_to_string(example("endpoint.yaml")?)?;
    document.push_str("  policies: [{name: school}]\n");
    let file = program.file("endpoint.yaml", &document)?;
    let version = async |expected: (u64, bool)| {
        let applied = scene.endpoints("apply", text(&file)?, &["--json"]).await?.with_status(0)?.json()?;
        assert_eq!((&applied["version"], &applied["new_version"]), (&json!(expected.0), &json!(expected.1)));
        anyhow::Ok(())
    };
    version((1, true)).await?;
    version((1, false)).await?;
    assert_eq!(scene.endpoints("diff", text(&file)?, &[]).await?.with_status(0)?.stdout, "");

    let stricter = [&apply[..], &["--set", "policy.pii.phone=refuse"]].concat();
    let revised = program.run(&stricter).await?.with_status(0)?.stdout;
    assert!(revised.contains("revision 2 is made"), "{revised}");
    scene.endpoints("diff", text(&file)?, &[]).await?.with_status(1)?;
    version((2, true)).await?;
    let shown = program.json(&["policies", "show", "school", "--revision", "1"]).await?;
    assert_eq!((&shown["revision"], &shown["preset"]), (&json!(1), &json!("6-8")));
    assert_eq!(program.json(&["policies", "list"]).await?["data"][0]["revision"], 2);
    let used = program.run(&["policies", "delete", "school"]).await?.with_status(2)?;
    assert!(used.stderr.contains("409 conflict"), "{}", used.stderr);
    Ok(())
}

#[tokio::test]
async fn a_refused_part_of_a_policy_is_shown_where_it_stands() -> Result<()> {
    let scene = Scene::new().await?;
    let file = scene.program.file("bad.yaml", "name: bad\npolicy:\n  pii: {email: hide}\n")?;
    let refused = scene.program.run(&["policies", "apply", "-f", text(&file)?]).await?.with_status(2)?;
    assert!(refused.stderr.contains("bad.yaml:3"), "{}", refused.stderr);
    let missing = scene.program.run(&["policies", "show", "nobody"]).await?.with_status(2)?;
    assert!(missing.stderr.contains("there is no policy `nobody`"), "{}", missing.stderr);
    Ok(())
}
