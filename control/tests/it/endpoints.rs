//! Endpoints that are deleted, forked, made after templates; versions compared; the live pointer under its other names.

use crate::{
    bed::{Bed, Org, bytes, code, read, text, version},
    play::{demand, eval},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A record as the edge has it.
async fn record(bed: &Bed, key: &str) -> Value {
    let (status, record) = read(bed.signed("GET", &format!("/internal/v1/records/{key}"), b"")).await;
    assert_eq!(status, 200, "{key}: {record}");
    record["value"].clone()
}

async fn endpoint(bed: &Bed, org: &Org, name: &str) -> (String, String) {
    let id = text(&bed.make(org, "/v1/endpoints", json!({"name": name, "tags": ["b", "a"]})).await["id"]);
    (format!("/v1/endpoints/{id}"), id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_deleted_endpoint_is_gone_and_its_history_stays() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let (path, id) = endpoint(&bed, &org, "haiku").await;
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
    let credential = text(&bed.make(&org, "/v1/credentials", secret).await["id"]);
    bed.make(&org, &format!("{path}/versions"), version(Some(&credential))).await;
    let publication = text(&bed.publish(&org, &id, 1, None).await["id"]);
    let eval = eval(&bed, &org).await;
    let gate = json!({"evals": [demand(&eval, "haiku", json!({"pass_rate": 1}))]});
    let keeper = bed.gatekeeper(&org).await;
    assert_eq!(bed.call("PUT", &keeper, &format!("{path}/gate"), Some(&gate)).await.0, 200);

    let (status, gone) = bed.call("DELETE", &org.admin, &path, None).await;
    assert_eq!((status, &gone), (200, &json!({"id": id, "deleted": true, "edge": "accepted"})));
    assert_eq!(record(&bed, &format!("v1/name/{}/haiku", org.id)).await["kind"], "gone");
    assert_eq!(record(&bed, &format!("v1/live/{id}")).await["withdrawn"], true);
    assert_eq!(record(&bed, &format!("v1/version/{id}/1")).await["kind"], "gone");

    let missing = bytes(
        bed.request(Method::GET, "/v1/endpoints/ep_00000000000000000000000000000009").bearer_auth(&org.admin),
    )
    .await;
    for rest in ["", "/versions", "/versions/1", "/versions/1/diff?against=1", "/publications", "/gate"] {
        let found = bytes(bed.request(Method::GET, &format!("{path}{rest}")).bearer_auth(&org.admin)).await;
        assert_eq!(found, missing, "{rest}");
    }
    let found = bed.get(&org, &format!("{path}/publications/{publication}")).await;
    assert_eq!(code(&found), (404, "not_found"));
    assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 404);
    assert_eq!(bed.get(&org, "/v1/endpoints").await.1["data"], json!([]));
    let trail = bed.get(&org, &format!("/v1/audit?subject={id}")).await.1;
    assert_eq!(
        (&trail["data"][0]["verb"], &trail["data"][0]["before"]["name"]),
        (&json!("delete"), &json!("haiku"))
    );
    let kept: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM versions), (SELECT count(*) FROM publications)")
            .fetch_one(&mut bed.database.superuser().await)
            .await
            .unwrap();
    assert_eq!(kept, (1, 1));

    // What it held is free: its name, its credential, its eval.
    assert_eq!(bed.call("DELETE", &org.admin, &format!("/v1/credentials/{credential}"), None).await.0, 200);
    assert_eq!(bed.call("DELETE", &org.admin, &format!("/v1/evals/{eval}"), None).await.0, 200);
    let (_, second) = endpoint(&bed, &org, "haiku").await;
    let name = record(&bed, &format!("v1/name/{}/haiku", org.id)).await;
    assert_eq!((&name["kind"], &name["endpoint"]), (&json!("name"), &json!(second)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_others_have_installed_is_withdrawn_before_it_is_deleted() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let id = bed.published(&a, "haiku").await;
    let path = format!("/v1/endpoints/{id}");
    bed.make(&b, "/v1/installs", json!({"endpoint": id, "name": "poet", "payer": "publisher"})).await;
    let refused = bed.call("DELETE", &a.admin, &path, None).await;
    assert_eq!(code(&refused), (409, "conflict"));
    assert_eq!(refused.1["error"]["details"], json!({"installs": 1}));
    assert_eq!(bed.get(&a, &path).await.1["withdrawn_at"], Value::Null);
    assert_eq!(bed.call("POST", &a.admin, &format!("{path}/withdraw"), Some(&json!({}))).await.0, 200);
    assert_eq!(bed.call("DELETE", &a.admin, &path, None).await.0, 200);
    assert_eq!(record(&bed, &format!("v1/live/{id}")).await["withdrawn"], true);
    assert_eq!(bed.get(&b, "/v1/installs").await.1["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_fork_of_ones_own_has_the_version_and_one_of_anothers_what_the_catalog_shows() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
    let credential = text(&bed.make(&a, "/v1/credentials", secret).await["id"]);
    let public =
        json!({"name": "haiku", "visibility": "public", "description": "three lines", "tags": ["poems"]});
    let id = text(&bed.make(&a, "/v1/endpoints", public).await["id"]);
    let path = format!("/v1/endpoints/{id}");
    let mut first = version(Some(&credential));
    first["instructions"] = json!("a secret of a's");
    bed.make(&a, &format!("{path}/versions"), first.clone()).await;
    bed.version(&a, &id).await;

    // A draft is nobody's but the org's.
    let fork = |name: &str| json!({"name": name});
    let by = async |org: &Org, body: Value| bed.post(org, &format!("{path}/fork"), body).await;
    assert_eq!(code(&by(&b, fork("x")).await), (404, "not_found"));
    let newest = by(&a, fork("newest")).await;
    assert_eq!(newest.0, 201, "{}", newest.1);
    assert_eq!(newest.1["forked_from"], json!({"endpoint": id, "publisher": a.id, "version": 2}));

    bed.publish(&a, &id, 1, None).await;
    let own = by(&a, fork("own")).await.1;
    assert_eq!((&own["version"], &own["forked_from"]["version"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&own["visibility"], &own["tags"], &own["live"]),
        (&json!("private"), &json!(["poems"]), &Value::Null)
    );
    let copied = bed.get(&a, &format!("/v1/endpoints/{}/versions/1", text(&own["id"]))).await.1;
    assert_eq!(
        (&copied["config"]["instructions"], &copied["config"]["targets"]),
        (&first["instructions"], &first["targets"])
    );
    let missing = by(&a, json!({"name": "z", "version": 9})).await;
    assert_eq!((code(&missing), &missing.1["error"]["param"]), ((422, "unprocessable"), &json!("version")));

    let (status, foreign) = by(&b, fork("theirs")).await;
    assert_eq!((status, &foreign["version"]), (201, &Value::Null));
    assert_eq!((&foreign["description"], &foreign["tags"]), (&json!("three lines"), &json!(["poems"])));
    assert_eq!(foreign["forked_from"], json!({"endpoint": id, "publisher": a.id, "version": null}));
    let made = text(&foreign["id"]);
    assert_eq!(bed.get(&b, &format!("/v1/endpoints/{made}/versions")).await.1["data"], json!([]));
    assert_eq!(code(&by(&b, json!({"name": "v", "version": 1})).await), (422, "unprocessable"));
    // Neither the prompt nor the credential is anywhere in what b can read.
    let mut db = bed.database.superuser().await;
    let leaked: (i64,) = sqlx::query_as(
        "SELECT count(*) FROM (SELECT after::text AS t, org_id FROM audit UNION ALL SELECT value::text, org_id FROM records
            UNION ALL SELECT config::text, org_id FROM versions) AS texts
         WHERE org_id = $1::uuid AND (t LIKE '%a secret of%' OR t LIKE '%' || $2 || '%')",
    )
    .bind(b.id.trim_start_matches("org_"))
    .bind(&credential)
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(leaked.0, 0);
    let private = json!({"visibility": "private"});
    assert_eq!(bed.call("PATCH", &a.admin, &path, Some(&private)).await.0, 200);
    assert_eq!(code(&by(&b, fork("late")).await), (404, "not_found"));
    assert_eq!(code(&by(&a, fork("own")).await), (409, "conflict"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_template_becomes_an_endpoint_with_a_draft() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let all = bed.get(&org, "/v1/templates").await.1;
    let names: Vec<&str> =
        all["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["chat-assistant", "text-classifier", "vision-screencast-evaluator"]);
    for name in names {
        let (status, template) = bed.get(&org, &format!("/v1/templates/{name}")).await;
        assert_eq!(status, 200);
        let path = format!("/v1/templates/{name}/endpoints");
        let made = bed.make(&org, &path, json!({"name": name})).await;
        assert_eq!(
            (&made["version"], &made["template"], &made["live"]),
            (&json!(1), &json!(name), &Value::Null)
        );
        assert_eq!((&made["tags"], &made["visibility"]), (&template["tags"], &json!("private")));
        let version = bed.get(&org, &format!("/v1/endpoints/{}/versions/1", text(&made["id"]))).await.1;
        assert_eq!(version["config"], template["version"], "{name}");
    }
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
    let credential = text(&bed.make(&org, "/v1/credentials", secret).await["id"]);
    let with =
        json!({"name": "mine", "credential": credential, "base_url": "http://127.0.0.1:9/v1", "model": "m"});
    let path = "/v1/templates/text-classifier/endpoints";
    let mine = bed.make(&org, path, with).await;
    let target = bed.get(&org, &format!("/v1/endpoints/{}/versions/1", text(&mine["id"]))).await.1;
    let target = &target["config"]["targets"][0];
    assert_eq!((&target["credential"], &target["model"]), (&json!(credential), &json!("m")));
    // A credential goes nowhere but to its origin, whatever the template says.
    let elsewhere = bed.post(&org, path, json!({"name": "other", "credential": credential})).await;
    assert_eq!(
        (code(&elsewhere), &elsewhere.1["error"]["param"]),
        ((422, "unprocessable"), &json!("targets[0].base_url"))
    );
    assert_eq!(code(&bed.get(&org, "/v1/templates/none").await), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_diff_is_a_patch_that_makes_one_version_the_other() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let (path, id) = endpoint(&bed, &org, "haiku").await;
    let mut second = version(None);
    second["instructions"] = json!("Two lines.");
    second["defaults"] = json!({"temperature": 0.2, "a/b~c": [1, 2]});
    second["max_output_tokens"] = json!(10);
    bed.version(&org, &id).await;
    bed.make(&org, &format!("{path}/versions"), second).await;
    let get = async |rest: &str| bed.get(&org, &format!("{path}/versions/{rest}")).await;
    assert_eq!(code(&get("2/diff").await), (400, "missing_required_parameter"));
    let (status, diff) = get("2/diff?against=1").await;
    assert_eq!((status, &diff["against"], &diff["version"]), (200, &json!(1), &json!(2)));
    let patch: json_patch::Patch = serde_json::from_value(diff["patch"].clone()).unwrap();
    let mut config = get("1").await.1["config"].clone();
    json_patch::patch(&mut config, &patch).unwrap();
    assert_eq!(config, get("2").await.1["config"]);
    assert!(diff["patch"].to_string().contains("/defaults/a~1b~0c"), "{diff}");
    bed.publish(&org, &id, 2, None).await;
    assert_eq!(get("2/diff").await.1["patch"], json!([]));
    for (rest, refusal) in [
        ("2/diff?against=9", (404, "not_found")),
        ("9/diff?against=1", (404, "not_found")),
        ("2/diff?against=x", (400, "invalid_parameter")),
        ("2/diff?against=01", (400, "invalid_parameter")),
        ("2/diff?with=1", (400, "invalid_parameter")),
    ] {
        assert_eq!(code(&get(rest).await), refusal, "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn promote_and_rollback_are_publications_and_stand_before_the_gate() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let (path, id) = endpoint(&bed, &org, "haiku").await;
    for _ in 0..3 {
        bed.version(&org, &id).await;
    }
    let post = async |rest: &str, body: Value| bed.post(&org, &format!("{path}/{rest}"), body).await;
    assert_eq!(code(&post("rollback", json!({"expected_live": null})).await), (409, "conflict"));
    bed.publish(&org, &id, 1, None).await;
    assert_eq!(code(&post("rollback", json!({"expected_live": 1})).await), (409, "conflict"));
    assert_eq!(code(&post("promote", json!({})).await), (409, "conflict"));
    assert_eq!(post("canary", json!({"version": 2, "percent": 5})).await.0, 201);
    assert_eq!(code(&post("promote", json!({"version": 3})).await), (409, "conflict"));
    let (status, promoted) = post("promote", json!({"version": 2})).await;
    assert_eq!((status, &promoted["state"], &promoted["version"]), (201, &json!("live"), &json!(2)));
    assert_eq!(bed.get(&org, &path).await.1["canary"], Value::Null);
    assert_eq!(code(&post("rollback", json!({"expected_live": 1})).await), (409, "conflict"));
    assert_eq!(code(&post("rollback", json!({})).await), (422, "unprocessable"));
    let (status, back) = post("rollback", json!({"expected_live": 2})).await;
    assert_eq!((status, &back["version"], &back["replaced"]), (201, &json!(1), &json!(2)));
    let list = bed.get(&org, &format!("{path}/publications")).await.1;
    assert_eq!(list["data"].as_array().unwrap().len(), 4);

    let eval = eval(&bed, &org).await;
    let gate = json!({"evals": [demand(&eval, "haiku", json!({"pass_rate": 1}))]});
    let keeper = bed.gatekeeper(&org).await;
    assert_eq!(bed.call("PUT", &keeper, &format!("{path}/gate"), Some(&gate)).await.0, 200);
    assert_eq!(
        code(&post("rollback", json!({"expected_live": 1, "force": true})).await),
        (403, "scope_missing")
    );
    let (status, waits) = post("rollback", json!({"expected_live": 1})).await;
    assert_eq!((status, &waits["state"], &waits["version"]), (201, &json!("running"), &json!(2)));
    assert_eq!(bed.get(&org, &path).await.1["live"], 1);
}
