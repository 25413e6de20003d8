//! Structured output and shapes on the real stack: what holds to a version's schema is answered, what does not is mended or
//! refused with its path, and what a version does not take costs nothing.

use std::process::Stdio;

use alphagate_bed::{
    Bed, Scratch, places,
    provider::{Knobs, png},
};
use alphagate_tests::Stage;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

/// What the model is told of a violating answer.
const TOLD: &str = "violates the JSON schema";

fn config(repair: bool) -> Value {
    let schema = json!({"type": "object", "properties": {
        "title": {"type": "string", "pattern": "^(a+)+$"},
        "lines": {"type": "array", "items": {"type": "integer"}},
    }, "required": ["lines"], "additionalProperties": false});
    json!({"output_schema": {"name": "poem", "schema": schema, "strict": true, "repair": repair}})
}

async fn stage(repair: bool) -> Result<Stage> {
    Stage::new(Bed::shared().await?, config(repair)).await
}

#[tokio::test]
async fn the_schema_is_asked_for_and_what_holds_to_it_is_answered() -> Result<()> {
    let stage = stage(false).await?;
    let (status, body) = stage.caller.ask(json!({"text": "{\"lines\": [1, 2]}"})).await?;
    assert_eq!((status, &body["output"][0]["content"][0]["text"]), (200, &json!("{\"lines\": [1, 2]}")));
    let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
    let format = &seen["text"]["format"];
    assert_eq!(
        (&format["type"], &format["name"], &format["strict"]),
        (&json!("json_schema"), &json!("poem"), &json!(true))
    );
    assert_eq!(format["schema"], config(false)["output_schema"]["schema"]);
    let own = stage.caller.post(json!({"text": {"format": {"type": "text"}}})).await?;
    let (status, body) = (own.status().as_u16(), own.json::<Value>().await?);
    assert_eq!((status, &body["error"]["param"]), (400, &json!("text.format")), "{body}");
    Ok(())
}

#[tokio::test]
async fn a_violation_is_502_with_its_path_and_billed_as_used() -> Result<()> {
    let stage = stage(false).await?;
    let hostile = json!({"lines": [], "title": format!("{}b", "a".repeat(20_000))}).to_string();
    let usage = json!({"input_tokens": 11, "output_tokens": 7});
    for (text, path) in
        [("{\"lines\": [1, \"x\"]}", "/lines/1"), ("no JSON", ""), (hostile.as_str(), "/title")]
    {
        let (status, body) = stage.caller.ask(json!({"text": text, "usage": usage})).await?;
        let error = &body["error"];
        assert_eq!((status, &error["code"]), (502, &json!("output_schema_mismatch")), "{body}");
        assert_eq!((&error["param"], &error["details"]["path"]), (&json!(path), &json!(path)), "{body}");
    }
    assert_eq!(stage.calls().counts().started, 3, "nobody asked for a repair");
    for event in stage.usage(3).await? {
        assert_eq!((&event["input_tokens"], &event["output_tokens"]), (&json!(11), &json!(7)), "{event}");
        assert_eq!(event["outcome"], "failed", "{event}");
    }
    Ok(())
}

#[tokio::test]
async fn a_repair_is_asked_for_once_and_billed_besides() -> Result<()> {
    let good = json!([{"when": TOLD, "text": "{\"lines\": [3]}"}]);
    let stage = stage(true).await?;
    let (status, body) = stage.caller.ask(json!({"text": "{}", "answers": good})).await?;
    assert_eq!(
        (status, &body["output"][0]["content"][0]["text"]),
        (200, &json!("{\"lines\": [3]}")),
        "{body}"
    );
    let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
    let input = seen["input"].as_array().context("no items")?;
    let roles: Vec<&str> = input.iter().filter_map(|item| item["role"].as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "developer"]);
    assert_eq!(input[1]["content"], "{}");
    let outcomes = |events: &[Value]| {
        let mut outcomes: Vec<String> = events.iter().map(|event| event["outcome"].to_string()).collect();
        outcomes.sort_unstable();
        outcomes
    };
    assert_eq!(outcomes(&stage.usage(2).await?), ["\"completed\"", "\"failed\""]);

    let (status, body) = stage.caller.ask(json!({"text": "{\"lines\": 1}"})).await?;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("output_schema_mismatch")), "{body}");
    assert_eq!(body["error"]["param"], "/lines");
    assert_eq!(stage.calls().counts().started, 4, "once, and not again");
    assert_eq!(outcomes(&stage.usage(4).await?), ["\"completed\"", "\"failed\"", "\"failed\"", "\"failed\""]);
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_as_its_text_deserves() -> Result<()> {
    let stage = stage(true).await?;
    let good = stage.caller.stream(json!({"text": "{\"lines\": []}"})).await?;
    assert_eq!(good.last().context("no events")?.json()["type"], "response.completed");
    let bad = stage.caller.stream(json!({"text": "{\"lines\": [1, {}]}"})).await?;
    let (before, end) = bad.split_at(bad.len().saturating_sub(2));
    let [error, failed] = end else { anyhow::bail!("{} events", bad.len()) };
    let (error, failed) = (error.json(), failed.json());
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("error"), &json!("output_schema_mismatch")),
        "{error}"
    );
    assert_eq!(error["param"], "/lines/1");
    assert_eq!(
        (&failed["type"], &failed["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
    assert_eq!(failed["response"]["error"]["code"], "output_schema_mismatch");
    assert!(before.iter().all(|event| event.json()["type"] != "response.completed"));
    for (at, event) in bad.iter().enumerate() {
        assert_eq!(event.json()["sequence_number"], at, "{}", event.data);
    }
    let outcomes: Vec<Value> =
        stage.usage(2).await?.into_iter().map(|event| event["outcome"].clone()).collect();
    assert!(outcomes.contains(&json!("completed")) && outcomes.contains(&json!("failed")), "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_final_answer_is_not_checked() -> Result<()> {
    let stage = stage(true).await?;
    let (status, body) = stage.caller.ask(json!({"text": "{\"lines\": [", "terminal": "incomplete"})).await?;
    assert_eq!((status, &body["status"]), (200, &json!("incomplete")), "{body}");
    let events = stage.caller.stream(json!({"text": "{\"lines\": [", "terminal": "incomplete"})).await?;
    assert_eq!(events.last().context("no events")?.json()["type"], "response.incomplete");
    assert_eq!(stage.calls().counts().started, 2);
    Ok(())
}

#[tokio::test]
async fn what_a_shape_does_not_take_is_400_with_its_path_and_costs_nothing() -> Result<()> {
    let shape = json!({"fields": ["x_fake", "tools"], "input_max_bytes": 2_000, "images_max": 1, "image_kinds": ["png"], "tools": {"named": ["look"]}});
    let stage = Stage::new(Bed::shared().await?, json!({"shape": shape})).await?;
    let said = |urls: &[&str]| {
        let image = |url: &&str| json!({"type": "input_image", "image_url": url});
        json!({"input": [{"role": "user", "content": urls.iter().map(image).collect::<Vec<_>>()}]})
    };
    let cases = [
        (json!({"top_p": 1}), "top_p"),
        (json!({"input": "x".repeat(2_000)}), "input"),
        (said(&["data:image/png;base64,AAAA", "https://x/y.png"]), "input[0].content[1].image_url"),
        (said(&["data:image/gif;base64,AAAA"]), "input[0].content[0].image_url"),
        (said(&["https://x/y.gif"]), "input[0].content[0].image_url"),
        (json!({"tools": [{"type": "function", "name": "leap"}]}), "tools[0]"),
    ];
    for (extra, path) in cases {
        let response = stage.caller.post(extra).await?;
        let (status, body) = (response.status().as_u16(), response.json::<Value>().await?);
        assert_eq!((status, &body["error"]["param"]), (400, &json!(path)), "{body}");
    }
    assert_eq!(stage.calls().counts().started, 0);
    let taken = stage.caller.post(said(&["data:image/png;base64,AAAA"])).await?;
    assert_eq!(taken.status().as_u16(), 200);
    stage.usage(1).await?;
    Ok(())
}

/// The example's program, in the Python of the tests: whether it succeeded, and what it said.
async fn evaluate(stage: &Stage, arguments: &[&str]) -> Result<(bool, String)> {
    let root = places::workspace()?;
    let own = || root.join("target/py/bin/python");
    let python = std::env::var_os("AG_PYTHON").map_or_else(own, Into::into);
    let mut command = Command::new(python);
    command
        .arg(root.join("examples/screentime/evaluate.py"))
        .args(["--model", &stage.caller.name])
        .args(arguments);
    command.env("OPENAI_BASE_URL", format!("{}/v1", stage.caller.edge_url));
    command.env("OPENAI_API_KEY", &stage.caller.key.secret);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

#[tokio::test]
async fn the_screencast_evaluator_answers_with_activities_or_says_what_is_wrong() -> Result<()> {
    let text = std::fs::read_to_string(places::workspace()?.join("examples/screentime/version.json"))?;
    let mut version: Value = serde_json::from_str(&text)?;
    version.as_object_mut().context("no object")?.remove("targets");
    let stage = Stage::new(Bed::shared().await?, version).await?;
    let scratch = Scratch::new()?;
    let shot = scratch.path().join("shot.png");
    std::fs::write(&shot, png(4_096))?;
    let shot = shot.to_str().context("no text")?;
    let activity = json!({"application": "editor", "category": "work", "description": "An invoice.", "seconds": 2650, "confidence": 0.9});
    let mut answer = json!({"session": {"started_at": "2026-11-20T09:00:00Z", "ended_at": "2026-11-20T10:00:00Z", "focus": 0.7},
        "activities": [activity], "summary": "Mostly work."});
    let says = |answer: &Value| {
        let knobs = Knobs { text: Some(answer.to_string()), ..Knobs::default() };
        stage.bed.provider().set_model(&stage.model, knobs);
    };
    says(&answer);
    for arguments in [[shot, shot].as_slice(), &["--stream", shot]] {
        let (succeeded, said) = evaluate(&stage, arguments).await?;
        ensure!(succeeded, "{said}");
        assert_eq!(serde_json::from_str::<Value>(&said)?, answer);
    }
    answer["activities"][0]["seconds"] = json!(-1);
    says(&answer);
    for (arguments, wanted) in [
        ([shot].as_slice(), "output_schema_mismatch: /activities/0/seconds"),
        (&["--stream", shot], "output_schema_mismatch: "),
    ] {
        let (succeeded, said) = evaluate(&stage, arguments).await?;
        assert!(!succeeded && said.contains(wanted), "{said}");
    }
    Ok(())
}
