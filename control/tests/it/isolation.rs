//! C02: what belongs to another org is not there, to the letter.

use crate::evals_scene::{Evals, content, item};
use crate::{
    bed::{Bed, Org, bytes, text, version},
    jobs_hosts::job,
};
use alphagate_control::routes::{Caller, Route, all};
use reqwest::Method;
use serde_json::{Value, json};

/// An org that has one of everything.
struct Full {
    org: Org,
    key: String,
    credential: String,
    endpoint: String,
    policy: String,
    publication: String,
    install: String,
    job: String,
    invitation: String,
    evals: Evals,
}

async fn full(bed: &Bed, name: &str, foreign: &str) -> Full {
    let org = bed.org(name).await;
    let key = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
    let credential = bed.make(&org, "/v1/credentials", secret).await;
    let endpoint = bed.published(&org, "haiku").await;
    let list = bed.get(&org, &format!("/v1/endpoints/{endpoint}/publications")).await.1;
    let install = json!({"endpoint": foreign, "name": "other", "payer": "publisher"});
    let install = bed.make(&org, "/v1/installs", install).await;
    let policy = bed.make(&org, "/v1/policies", json!({"name": name, "preset": "pii"})).await;
    let invitation = json!({"email": format!("{name}@example.org"), "role": "viewer"});
    Full {
        key: text(&key["id"]),
        credential: text(&credential["id"]),
        publication: text(&list["data"][0]["id"]),
        install: text(&install["id"]),
        policy: text(&policy["id"]),
        job: bed.job(&org, job()).await,
        invitation: text(&bed.make(&org, "/v1/invitations", invitation).await["id"]),
        evals: Evals::new(bed, &org).await,
        endpoint,
        org,
    }
}

impl Full {
    fn path(&self, route: &Route, missing: bool) -> String {
        let swap = |id: &str| {
            let (prefix, _) = id.split_once('_').unwrap();
            if missing { format!("{prefix}_{:032x}", 0x0198_c0de_u64) } else { id.to_owned() }
        };
        let id = match route.path.split('/').nth(2).unwrap() {
            "keys" => &self.key,
            "credentials" => &self.credential,
            "endpoints" => &self.endpoint,
            "policies" => &self.policy,
            "installs" => &self.install,
            "jobs" => &self.job,
            "invitations" => &self.invitation,
            // A user of this org's is in the tests of members.
            "members" => "usr_00000000000000000000000000000009",
            "evals" => &self.evals.eval,
            "files" => &self.evals.file,
            other => panic!("a route with an unknown noun: {other}"),
        };
        let path = route.path.replace("{id}", &swap(id)).replace("{number}", "1");
        let path = path.replace("{*path}", "a.txt").replace("{run}", &swap(&self.evals.run));
        let path = path.replace("{item}", &swap(&self.evals.item));
        path.replace("{publication}", &swap(&self.publication))
    }
}

fn is_of_an_org(route: &Route) -> bool {
    matches!(route.caller, Caller::Member(_))
}

/// A body that the route takes.
fn body(route: &Route) -> Value {
    match (route.method.as_str(), route.path) {
        ("PATCH", "/v1/installs/{id}") => json!({"version": null}),
        ("PATCH", "/v1/members/{id}") => json!({"role": "viewer"}),
        ("PUT", "/v1/endpoints/{id}/gate") => json!({"evals": []}),
        ("PUT", _) => json!({"secret": "sk-new"}),
        (_, "/v1/keys/{id}/rotate") => json!({"overlap_s": 0}),
        (_, "/v1/endpoints/{id}/versions") => version(None),
        (_, "/v1/policies/{id}/revisions") => json!({"policy": {}}),
        (_, "/v1/endpoints/{id}/publications") => json!({"version": 1, "expected_live": null}),
        (_, "/v1/endpoints/{id}/fork") => json!({"name": "copy"}),
        (_, "/v1/endpoints/{id}/rollback") => json!({"expected_live": null}),
        (_, "/v1/endpoints/{id}/canary") => json!({"version": 1, "percent": 10}),
        (_, "/v1/evals/{id}/runs") => {
            json!({"data_source": {"type": "jsonl", "source": content(&[item(0)])}})
        }
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c02_a_foreign_id_is_answered_as_a_missing_one_on_every_route() {
    let bed = Bed::start().await;
    let third = bed.org("third").await;
    let poem = bed.published(&third, "poem").await;
    let a = full(&bed, "a", &poem).await;
    let b = full(&bed, "b", &poem).await;
    let mut walked = 0;
    let keeper = bed.gatekeeper(&b.org).await;
    // What the catalog shows may be forked, as far as it shows it: in the tests of forks.
    let hidden = |route: &&Route| is_of_an_org(route) && !route.path.ends_with("/fork");
    for route in all().iter().filter(|route| hidden(route) && route.path.contains("{id}")) {
        let send = |path: String| {
            let request = bed.request(route.method.clone(), &path).bearer_auth(&keeper);
            if route.method == Method::GET { request } else { request.json(&body(route)) }
        };
        let foreign = bytes(send(a.path(route, false))).await;
        let missing = bytes(send(a.path(route, true))).await;
        assert_eq!(foreign.0, 404, "{} {}: {}", route.method, route.path, foreign.1);
        assert_eq!(foreign, missing, "{} {}", route.method, route.path);
        walked += 1;
    }
    assert!(walked >= 40, "only {walked} routes were walked");
    // Nothing of it had an effect.
    assert_eq!(bed.job_now(&a.org, &a.job).await["state"], "queued");
    let (status, key) = bed.get(&a.org, &format!("/v1/keys/{}", a.key)).await;
    assert_eq!((status, &key["revoked_at"], &key["replaced_by"]), (200, &Value::Null, &Value::Null));
    assert_eq!(
        bed.get(&a.org, &format!("/v1/credentials/{}", a.credential)).await.1["rotated_at"],
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c02_a_foreign_publication_is_missing_under_an_own_endpoint() {
    let bed = Bed::start().await;
    let third = bed.org("third").await;
    let poem = bed.published(&third, "poem").await;
    let a = full(&bed, "a", &poem).await;
    let b = full(&bed, "b", &poem).await;
    let path = format!("/v1/endpoints/{}/publications/{}", b.endpoint, a.publication);
    assert_eq!(bed.get(&b.org, &path).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c02_a_foreign_id_in_a_body_is_answered_as_a_missing_one() {
    let bed = Bed::start().await;
    let third = bed.org("third").await;
    let poem = bed.published(&third, "poem").await;
    let a = full(&bed, "a", &poem).await;
    let b = full(&bed, "b", &poem).await;
    let missing = |prefix: &str| format!("{prefix}_{:032x}", 7);
    let versions = format!("/v1/endpoints/{}/versions", b.endpoint);
    let quota = |subject: Value| json!({"quotas": [{"subject": subject, "limit": {"concurrency": 1}}]});
    let under = |name: &str| {
        let mut version = version(None);
        version["policies"] = json!([{"name": name}]);
        version
    };
    let pairs = [
        ("POST", versions.as_str(), under("a"), under("missing")),
        ("POST", versions.as_str(), version(Some(&a.credential)), version(Some(&missing("cred")))),
        (
            "PUT",
            "/v1/quotas",
            quota(json!({"kind": "key", "key": a.key})),
            quota(json!({"kind": "key", "key": missing("key")})),
        ),
        (
            "PUT",
            "/v1/quotas",
            quota(json!({"kind": "endpoint", "endpoint": a.endpoint})),
            quota(json!({"kind": "endpoint", "endpoint": missing("ep")})),
        ),
        (
            "PUT",
            "/v1/quotas",
            quota(json!({"kind": "each_install", "endpoint": poem})),
            quota(json!({"kind": "each_install", "endpoint": missing("ep")})),
        ),
        (
            "PUT",
            "/v1/quotas",
            quota(json!({"kind": "install", "install": a.install})),
            quota(json!({"kind": "install", "install": missing("ins")})),
        ),
    ];
    for (method, path, foreign, missing) in pairs {
        let send =
            |body: &Value| bed.request(method.parse().unwrap(), path).bearer_auth(&b.org.admin).json(body);
        let answer = bytes(send(&foreign)).await;
        assert_eq!(answer.0, 422, "{}", answer.1);
        assert_eq!(answer, bytes(send(&missing)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lists_show_the_own_org_only() {
    let bed = Bed::start().await;
    let third = bed.org("third").await;
    let poem = bed.published(&third, "poem").await;
    let a = full(&bed, "a", &poem).await;
    let empty = bed.org("empty").await;
    for path in ["/v1/credentials", "/v1/endpoints", "/v1/installs", "/v1/usage", "/v1/jobs"] {
        assert_eq!(bed.get(&empty, path).await.1["data"], json!([]), "{path}");
    }
    let keys = bed.get(&a.org, "/v1/keys").await.1;
    assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    assert_eq!(bed.get(&empty, "/v1/queue").await.1["queued"], 0);
    assert_eq!(bed.get(&empty, "/v1/org").await.1["id"], empty.id.as_str());
}
