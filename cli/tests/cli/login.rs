//! Logging in, what is kept, and what is said when something is wrong with it.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use serde_json::Value;

use super::{
    program::Program,
    scene::{Scene, bed},
};

#[tokio::test]
async fn a_key_is_kept_for_its_owner_only_and_is_sent_nowhere_else() -> Result<()> {
    let scene = Scene::new().await?;
    let (url, edge) = (scene.bed.control_url(), scene.bed.edge_url());
    let program = Program::nobody()?;
    let login = ["login", "--url", &url, "--edge-url", &edge];
    let said = program.run_with(&login, &format!("{}\n", scene.key.secret)).await?.with_status(0)?;
    assert!(!said.stdout.contains(&scene.key.secret) && !said.stderr.contains(&scene.key.secret), "{said:?}");
    let mode = std::fs::metadata(program.config())?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let who = program.json(&["whoami"]).await?;
    assert_eq!((&who["org"]["id"], &who["profile"]), (&scene.org.id.into(), &"default".into()), "{who}");
    assert_eq!(program.run(&["keys", "list"]).await?.status, 0);

    // A server that would take any bearer does not get this one: nothing is even asked there.
    let elsewhere = program.run(&["keys", "list", "--url", &edge]).await?.with_status(2)?;
    assert!(elsewhere.stderr.contains("is not sent"), "{}", elsewhere.stderr);

    std::fs::set_permissions(program.config(), PermissionsExt::from_mode(0o640))?;
    let open = program.run(&["keys", "list"]).await?.with_status(2)?;
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    std::fs::set_permissions(program.config(), PermissionsExt::from_mode(0o600))?;

    assert_eq!(program.json(&["logout"]).await?["forgotten"][0], "default");
    let config = std::fs::read_to_string(program.config())?;
    assert!(!config.contains(&scene.key.secret), "the key is gone with its profile");
    let gone = program.run(&["keys", "list"]).await?.with_status(2)?;
    assert!(gone.stderr.contains("alphagate login"), "{}", gone.stderr);
    Ok(())
}

#[tokio::test]
async fn a_key_that_control_does_not_take_is_not_kept() -> Result<()> {
    let bed = bed().await?;
    let program = Program::nobody()?;
    let wrong = program.run_with(&["login", "--url", &bed.control_url()], "ag_live_wrong").await?;
    let wrong = wrong.with_status(2)?;
    assert!(
        wrong.stderr.contains("401 invalid_api_key") && wrong.stderr.contains("request: req_"),
        "{wrong:?}"
    );
    assert!(!program.config().exists());
    Ok(())
}

#[tokio::test]
async fn a_key_without_the_scope_admin_can_log_in_and_is_told_what_it_lacks() -> Result<()> {
    let scene = Scene::new().await?;
    let caller = scene.caller().await?;
    let program = Program::nobody()?;
    let login = ["login", "--url", &scene.bed.control_url(), "--json"];
    let login = program.run_with(&login, &caller.secret).await?.with_status(0)?.json()?;
    assert_eq!(login["org"], Value::Null);
    let refused = program.run(&["endpoints", "list"]).await?.with_status(2)?;
    assert!(refused.stderr.contains("scope_missing") && refused.stderr.contains("`admin`"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_with_what_starts_it() -> Result<()> {
    let program = Program::nobody()?;
    let nobody = ["keys", "list", "--url", "http://127.0.0.1:9", "--key", "ag_live_x"];
    let said = program.run(&nobody).await?.with_status(2)?;
    for part in ["http://127.0.0.1:9 cannot be reached", "connection refused", "cargo xtask up"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let json = program.run(&[nobody.as_slice(), &["--json"]].concat()).await?.with_status(2)?;
    let error: Value = serde_json::from_str(&json.stderr)?;
    assert_eq!((error["error"]["code"].as_str(), json.stdout.as_str()), (Some("unreachable"), ""), "{error}");
    Ok(())
}
