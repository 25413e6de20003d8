//! Policies: revisions that never change, versions that go by them, and what they resolve to.

use crate::bed::{Bed, Org, code, text, version};
use alphagate_contract::record::RecordValue;
use serde_json::{Value, json};

async fn policy(bed: &Bed, org: &Org, name: &str, document: Value) -> String {
    text(&bed.make(org, "/v1/policies", json!({"name": name, "policy": document})).await["id"])
}

async fn revise(bed: &Bed, org: &Org, id: &str, document: Value) -> Value {
    bed.make(org, &format!("/v1/policies/{id}/revisions"), json!({"policy": document})).await
}

async fn versions(bed: &Bed, org: &Org) -> String {
    let endpoint = bed.make(org, "/v1/endpoints", json!({"name": "e"})).await;
    format!("/v1/endpoints/{}/versions", text(&endpoint["id"]))
}

fn under(policies: Value, more: Value) -> Value {
    let mut config = version(None);
    config["policies"] = policies;
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_policy_is_made_revised_read_and_deleted() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let body = json!({"name": "school", "description": "d", "policy": {"pii": {"email": "redact"}}});
    let made = bed.make(&org, "/v1/policies", body.clone()).await;
    assert_eq!((&made["revision"], &made["policy"]), (&json!(1), &json!({"pii": {"email": "redact"}})));
    assert_eq!(code(&bed.post(&org, "/v1/policies", body).await), (409, "conflict"));
    let path = format!("/v1/policies/{}", text(&made["id"]));
    let second = json!({"policy": {"locked": ["user"]}, "expected_revision": 1, "description": "e"});
    let revised = bed.make(&org, &format!("{path}/revisions"), second.clone()).await;
    assert_eq!((&revised["revision"], &revised["description"]), (&json!(2), &json!("e")));
    let late = bed.post(&org, &format!("{path}/revisions"), second).await;
    assert_eq!(code(&late), (409, "conflict"), "{late:?}");
    let again = bed.post(&org, &format!("{path}/revisions"), json!({"policy": {"locked": ["user"]}})).await;
    assert_eq!((again.0, &again.1["revision"]), (200, &json!(2)), "what says the same is no new revision");
    let read = bed.get(&org, &path).await.1;
    assert_eq!((&read["revision"], &read["policy"]), (&json!(2), &json!({"locked": ["user"]})));
    let first = bed.get(&org, &format!("{path}/revisions/1")).await;
    assert_eq!((first.0, &first.1["policy"]), (200, &json!({"pii": {"email": "redact"}})));
    for number in ["0", "3", "01", "x"] {
        assert_eq!(bed.get(&org, &format!("{path}/revisions/{number}")).await.0, 404, "{number}");
    }
    let page = bed.get(&org, &format!("{path}/revisions?limit=1")).await.1;
    assert_eq!(page["data"][0]["revision"], 2);
    let next = format!("{path}/revisions?limit=1&cursor={}", text(&page["next_cursor"]));
    let page = bed.get(&org, &next).await.1;
    assert_eq!((&page["data"][0]["revision"], &page["next_cursor"]), (&json!(1), &Value::Null));
    let list = bed.get(&org, "/v1/policies").await.1;
    assert_eq!((&list["data"][0]["name"], &list["data"][0]["policy"]), (&json!("school"), &Value::Null));
    assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 200);
    assert_eq!(
        (bed.get(&org, &path).await.0, bed.get(&org, &format!("{path}/revisions/1")).await.0),
        (404, 404)
    );
    assert_eq!(bed.get(&org, &format!("{path}/revisions")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_a_policy_is_refused_with_its_path() {
    let bed = Bed::with(&[("AG_ALLOW_PRIVATE_UPSTREAMS", "false")]).await;
    let org = bed.org("a").await;
    let moderation = |base_url: &str, credential: Value| {
        let mut moderation = json!({"base_url": base_url, "model": "m", "thresholds": {"hate": 0.5}});
        if !credential.is_null() {
            moderation["credential"] = credential;
        }
        json!({"name": "p", "policy": {"moderation": [moderation]}})
    };
    let secret = json!({"name": "c", "origin": "https://api.openai.com", "secret": "sk"});
    let credential = bed.make(&org, "/v1/credentials", secret).await["id"].clone();
    let missing = json!(format!("cred_{:032x}", 7));
    let (good, private) = ("https://api.openai.com/v1", "http://127.0.0.1:9/v1");
    let moderator = |preset: &str| json!({"name": "p", "preset": preset, "moderator": {"base_url": private, "model": "m"}});
    let cases = [
        (json!({"name": "p"}), "policy"),
        (json!({"name": "P", "policy": {}}), "name"),
        (json!({"name": "p", "preset": "k-6"}), "preset"),
        (json!({"name": "p", "policy": {}, "moderator": {"base_url": good, "model": "m"}}), "moderator"),
        (moderator("pii"), "moderator"),
        (moderator("k-5"), "policy.moderation[0].base_url"),
        (json!({"name": "p", "policy": {"retention": {"max_days": 400}}}), "policy.retention.max_days"),
        (json!({"name": "p", "policy": {"pii": {"email": "hide"}}}), "policy.pii"),
        (json!({"name": "p", "policy": {"prompt": 1}}), "policy.prompt"),
        (moderation(private, Value::Null), "policy.moderation[0].base_url"),
        (moderation("https://other.example.com/v1", credential.clone()), "policy.moderation[0].base_url"),
        (moderation(good, missing), "policy.moderation[0].credential"),
    ];
    for (body, param) in cases {
        let reply = bed.post(&org, "/v1/policies", body.clone()).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!(param)), "{body}: {}", reply.1);
    }
    bed.make(&org, "/v1/policies", moderation(good, credential)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_preset_makes_a_policy_by_its_name_and_the_stricter_of_both_wins() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let presets = bed.get(&org, "/v1/policies/presets").await.1;
    let presets = presets["data"].as_array().unwrap();
    for name in ["k-5", "6-8", "9-12", "pii", "retention-24h"] {
        assert!(presets.iter().any(|preset| preset["name"] == name), "{name}");
    }
    for preset in presets {
        let name = text(&preset["name"]);
        let made = bed.make(&org, "/v1/policies", json!({"name": name, "preset": name})).await;
        assert_eq!(made["policy"], preset["policy"], "{name}");
        let path = format!("/v1/policies/{}/revisions/1", text(&made["id"]));
        assert_eq!(bed.get(&org, &path).await.1["preset"], *name);
    }
    let both = json!({"name": "both", "preset": "9-12", "policy": {"pii": {"email": "refuse"}},
        "moderator": {"base_url": "http://127.0.0.1:9/v1", "model": "omni"}});
    let both = bed.make(&org, "/v1/policies", both).await;
    assert_eq!(
        (&both["policy"]["pii"]["email"], &both["policy"]["pii"]["phone"]),
        (&json!("refuse"), &json!("redact"))
    );
    assert_eq!(both["policy"]["moderation"][0]["model"], "omni");
    assert!(both["policy"]["moderation"][0]["thresholds"]["violence"].is_number());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_version_goes_by_what_its_policies_were_when_it_was_created() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path = versions(&bed, &org).await;
    let pii = policy(&bed, &org, "pii", json!({"pii": {"email": "redact"}})).await;
    revise(&bed, &org, &pii, json!({"pii": {"email": "redact", "phone": "refuse"}})).await;
    policy(&bed, &org, "day", json!({"retention": {"max_days": 1}, "locked": ["user"]})).await;
    let config = under(
        json!([{"name": "pii", "revision": 1}, {"name": "day"}]),
        json!({"retain": {"days": 30}, "locked": ["top_p"], "allow": {"store": true}}),
    );
    let made = bed.make(&org, &path, config).await;
    assert_eq!(
        made["config"]["policies"],
        json!([{"name": "pii", "revision": 1}, {"name": "day", "revision": 1}])
    );
    assert_eq!(
        (&made["config"]["retain"]["days"], &made["config"]["locked"]),
        (&json!(30), &json!(["top_p"]))
    );
    let resolved = &made["resolved"];
    assert_eq!((&resolved["retain"]["days"], &resolved["allow"]["store"]), (&json!(1), &json!(false)));
    assert_eq!(
        (&resolved["locked"], &resolved["pii"]),
        (&json!(["top_p", "user"]), &json!({"email": "redact"}))
    );
    let endpoint = path.split('/').nth(3).unwrap();
    let RecordValue::Version(served) = bed.edge.value(&format!("v1/version/{endpoint}/1")) else { panic!() };
    assert_eq!(&serde_json::to_value(served.config).unwrap(), resolved);
    let read = async |number: u32| {
        let read = bed.get(&org, &format!("{path}/{number}")).await.1;
        let known =
            |one: &Value| [one["name"].clone(), one["revision"].clone(), one["newest_revision"].clone()];
        let policies = read["policies"].as_array().unwrap().iter().map(known).collect::<Vec<_>>();
        (read["resolved"].clone(), json!(policies))
    };
    assert_eq!(read(1).await, (resolved.clone(), json!([["day", 1, 1], ["pii", 1, 2]])));
    // What is revised later holds from the next version on.
    let day = bed.get(&org, "/v1/policies?limit=1").await.1["data"][0]["id"].clone();
    revise(&bed, &org, &text(&day), json!({"retention": {"max_days": 0}})).await;
    assert_eq!(read(1).await, (resolved.clone(), json!([["day", 1, 2], ["pii", 1, 2]])));
    let next = under(json!([{"name": "day"}, {"name": "pii"}]), json!({"retain": {"days": 30}}));
    bed.make(&org, &path, next).await;
    let (resolved, policies) = read(2).await;
    assert_eq!(policies, json!([["day", 2, 2], ["pii", 2, 2]]));
    assert_eq!((&resolved["retain"], &resolved["pii"]["phone"]), (&Value::Null, &json!("refuse")));
    // Without policies there is nothing to resolve.
    let plain = bed.make(&org, &path, version(None)).await;
    assert!(plain.get("resolved").is_none() && plain.get("policies").is_none(), "{plain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_version_cannot_refer_to_is_refused_with_its_path() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path = versions(&bed, &org).await;
    policy(&bed, &org, "p", json!({"retention": {"max_days": 1}})).await;
    let cases = [
        (json!([{"name": "p", "revision": 2}]), json!({}), "policies[0].revision"),
        (json!([{"name": "p", "revision": 4_000_000_000_u32}]), json!({}), "policies[0].revision"),
        (json!([{"name": "p"}, {"name": "q"}]), json!({}), "policies[1].name"),
        (json!([{"name": "p"}, {"name": "p"}]), json!({}), "policies[1].name"),
        (json!([{"name": "p"}]), json!({"defaults": {"background": true}}), "defaults.background"),
    ];
    for (policies, more, param) in cases {
        let reply = bed.post(&org, &path, under(policies.clone(), more)).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!(param)), "{policies}: {}", reply.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_policy_and_its_moderators_credential_stay_while_a_version_can_be_served() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path = versions(&bed, &org).await;
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk"});
    let credential = text(&bed.make(&org, "/v1/credentials", secret).await["id"]);
    let moderation = json!({"base_url": "http://127.0.0.1:9/v1", "credential": credential, "model": "m",
        "thresholds": {"hate": 0.5}});
    let id = policy(&bed, &org, "p", json!({"moderation": [moderation]})).await;
    bed.make(&org, &path, under(json!([{"name": "p"}]), json!({}))).await;
    revise(&bed, &org, &id, json!({})).await;
    for path in [format!("/v1/policies/{id}"), format!("/v1/credentials/{credential}")] {
        assert_eq!(code(&bed.call("DELETE", &org.admin, &path, None).await), (409, "conflict"), "{path}");
    }
    let withdraw = path.replace("versions", "withdraw");
    assert_eq!(bed.call("POST", &org.admin, &withdraw, None).await.0, 200);
    for path in [format!("/v1/policies/{id}"), format!("/v1/credentials/{credential}")] {
        assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 200, "{path}");
    }
    let read = bed.get(&org, &format!("{path}/1")).await.1;
    assert_eq!(read["config"]["policies"], json!([{"name": "p", "revision": 1}]));
    assert_eq!(read["resolved"]["moderation"][0]["thresholds"]["hate"], 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_orgs_policy_of_the_same_name_is_another_one() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    policy(&bed, &a, "school", json!({"locked": ["user"]})).await;
    policy(&bed, &b, "school", json!({"locked": ["top_p"]})).await;
    for (org, locked) in [(&a, "user"), (&b, "top_p")] {
        let path = versions(&bed, org).await;
        let made = bed.make(org, &path, under(json!([{"name": "school"}]), json!({}))).await;
        assert_eq!(made["resolved"]["locked"], json!([locked]));
    }
}
