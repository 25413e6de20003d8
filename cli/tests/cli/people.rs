//! The whole way by the command line alone: two people sign up; one publishes with a schema and a policy, the other installs
//! and calls.

use std::time::Duration;

use alphagate_bed::{Bed, provider::Knobs};
use alphagate_tests::until;
use anyhow::{Context, Result};
use serde_json::json;

use super::{
    program::{Program, text},
    scene::{bed, example, mails},
};

/// A password that the service takes.
const PASSWORD: &str = "correct otter lantern 1851\n";
/// What the example's version has besides.
const RULES: &str = "  policies: [{name: private}]
  output_schema:
    name: haiku
    schema:
      type: object
      properties: {lines: {type: array, items: {type: string}}}
      required: [lines]
      additionalProperties: false
";
/// From a request to its mail, on a loaded machine.
const MAIL_MAX: Duration = Duration::from_secs(60);

/// The token of the newest mail to an address.
async fn token(email: &str) -> Result<String> {
    until(&format!("a mail to {email}"), MAIL_MAX, async || {
        let Ok(folder) = std::fs::read_dir(mails().await?) else { return Ok(None) };
        let mut mails = Vec::new();
        for entry in folder {
            let path = entry?.path();
            if let Ok(mail) = std::fs::read_to_string(&path)
                && mail.contains(&format!("To: {email}\r\n"))
            {
                mails.push((path.metadata()?.modified()?, mail));
            }
        }
        let newest = mails.into_iter().max_by_key(|(at, _)| *at).map(|(_, mail)| mail).unwrap_or_default();
        Ok(newest.lines().map(str::trim).find(|line| line.starts_with("agm_")).map(str::to_owned))
    })
    .await
}

/// Somebody with an account of their own, logged in.
async fn somebody(bed: &Bed, name: &str, email: &str) -> Result<Program> {
    let program = Program::nobody()?;
    let place = ["--url", &bed.control_url(), "--edge-url", &bed.edge_url()];
    let signup = [&["signup", "--email", email, "--name", name], place.as_slice()].concat();
    program.run_with(&signup, PASSWORD).await?.with_status(0)?;
    let token = token(email).await?;
    let confirm = [&["confirm", &token], place.as_slice()].concat();
    program.run_with(&confirm, PASSWORD).await?.with_status(0)?;
    Ok(program)
}

#[tokio::test]
async fn two_people_sign_up_and_one_calls_what_the_other_published() -> Result<()> {
    let bed = bed().await?;
    let unique = std::process::id();
    let (ada_mail, grace_mail) = (format!("ada-{unique}@example.org"), format!("grace-{unique}@example.org"));
    let ada = somebody(bed, "Ada", &ada_mail).await?;
    let grace = somebody(bed, "Grace", &grace_mail).await?;

    let who = ada.json(&["whoami"]).await?;
    assert_eq!((&who["user"]["email"], &who["credential"]), (&json!(ada_mail), &json!("session")), "{who:#}");
    let orgs = ada.json(&["orgs", "list"]).await?;
    assert_eq!((&orgs["data"][0]["personal"], &orgs["data"][0]["role"]), (&json!(true), &json!("owner")));

    let origin = bed.provider().url();
    let create = ["credentials", "create", "provider", "--origin", &origin, "--json"];
    let credential = ada.run_with(&create, "sk-ada\n").await?.with_status(0)?.json()?;
    let credential = credential["id"].as_str().context("no credential")?;
    let policy = ada.file("policy.yaml", "name: private\npreset: pii\n")?;
    ada.run(&["policies", "apply", "-f", text(&policy)?]).await?.with_status(0)?;
    let name = format!("haiku-{unique}");
    let file = ada.file("endpoint.yaml", &(std::fs::read_to_string(example("endpoint.yaml")?)? + RULES))?;
    let model = format!("model-of-{unique}");
    let sets = [
        format!("name={name}"),
        format!("version.targets[0].base_url={}", bed.provider().base_url()),
        format!("version.targets[0].credential={credential}"),
        format!("version.targets[0].model={model}"),
    ];
    let mut apply = vec!["endpoints", "apply", "-f", text(&file)?, "--publish", "--wait"];
    sets.iter().for_each(|set| apply.extend(["--set", set]));
    let applied = ada.json(&apply).await?;
    assert_eq!((&applied["live"], &applied["created"]), (&json!(1), &json!(true)), "{applied:#}");

    let offer = grace.json(&["catalog", &name]).await?;
    let endpoint = offer["data"][0]["endpoint"].as_str().context("not in the catalog")?;
    grace.json(&["installs", "create", endpoint, "poet"]).await?;
    let key = grace.json(&["keys", "create", "app", "--scope", "call"]).await?;
    let secret = key["secret"].as_str().context("no secret")?;
    let stream = streamed(bed, &model, secret, r#"{"lines": ["rain", "on the roof", "all night"]}"#).await?;
    assert!(stream.contains("response.completed"), "{stream}");
    let stream = streamed(bed, &model, secret, r#"{"lines": "rain"}"#).await?;
    assert!(stream.contains("output_schema_mismatch") && !stream.contains("response.completed"), "{stream}");
    for request in bed.provider().calls_of(&model).requests() {
        let sent = String::from_utf8(request.body)?;
        assert!(sent.contains("rain, for [EMAIL]") && !sent.contains("joe@"), "{sent}");
    }

    invited(&ada, &grace, &grace_mail).await?;
    let gone = ada.run(&["logout"]).await?.with_status(0)?;
    assert!(!gone.stderr.contains("could not be ended"), "{}", gone.stderr);
    Ok(())
}

/// Calls the install, while the model answers with this text.
async fn streamed(bed: &Bed, model: &str, secret: &str, answer: &str) -> Result<String> {
    bed.provider().set_model(model, serde_json::from_value::<Knobs>(json!({"text": answer}))?);
    let call = alphagate_bed::http_client(None)?.post(format!("{}/v1/responses", bed.edge_url()));
    let body = json!({"model": "poet", "input": "rain, for joe@example.com", "stream": true});
    Ok(call.bearer_auth(secret).json(&body).send().await?.error_for_status()?.text().await?)
}

/// Ada makes an org and asks Grace to join; each sees what the role allows.
async fn invited(ada: &Program, grace: &Program, grace_mail: &str) -> Result<()> {
    let team = ada.json(&["orgs", "create", "Team"]).await?;
    let team = team["id"].as_str().context("no org")?;
    ada.run(&["orgs", "use", team]).await?.with_status(0)?;
    let before = token(grace_mail).await?;
    ada.json(&["members", "invite", grace_mail, "--role", "viewer"]).await?;
    let token = until("the invitation", MAIL_MAX, async || {
        let newest = token(grace_mail).await?;
        Ok((newest != before).then_some(newest))
    });
    grace.run(&["orgs", "join", &token.await?]).await?.with_status(0)?;
    let members = ada.json(&["members", "list"]).await?;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(2), "{members:#}");
    grace.run(&["orgs", "use", team]).await?.with_status(0)?;
    assert_eq!(grace.json(&["whoami"]).await?["org"]["id"], team);
    let file = grace.file("x.yaml", "name: x\n")?;
    let refused = grace.run(&["endpoints", "apply", "-f", text(&file)?]).await?.with_status(2)?;
    assert!(refused.stderr.contains("(403 "), "a viewer reads: {}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_keeps_nothing() -> Result<()> {
    let bed = bed().await?;
    let program = Program::nobody()?;
    let login = ["login", "--email", "nobody@example.org", "--url", &bed.control_url()];
    let refused = program.run_with(&login, "wrong wrong wrong\n").await?.with_status(2)?;
    assert!(refused.stderr.contains("(401 "), "{}", refused.stderr);
    assert!(!program.config().exists());
    Ok(())
}
