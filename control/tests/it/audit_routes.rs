//! Every route that changes something leaves an entry of the right actor: whoever adds a route adds a call here, or says why not.

use crate::{
    audit::linked,
    bed::{Bed, Org, text, version},
    evals_scene::{check, config, content, upload},
    jobs_hosts::{Host, job},
    play::{self, demand},
};
use alphagate_control::routes::{Caller, all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Routes that leave no entry, and why.
const WITHOUT_ENTRY: [(&str, &str); 2] = [
    ("/v1/fine_tuning/alpha/graders/run", "tries a grader on one sample, and keeps nothing"),
    ("/v1/fine_tuning/alpha/graders/validate", "looks at a grader, and keeps nothing"),
];

/// Who calls, and how the trail names them.
struct By {
    token: String,
    kind: &'static str,
    id: Option<String>,
}

struct Tour {
    bed: Bed,
    org: Org,
    admin: By,
    operator: By,
    made: BTreeSet<(String, &'static str)>,
}

impl Tour {
    async fn start() -> Self {
        let bed = Bed::start().await;
        let org = bed.org("a").await;
        let key = json!({"name": "k", "scopes": ["admin", "gate"]});
        let key = bed.make(&org, "/v1/keys", key).await;
        let admin = By { token: text(&key["secret"]), kind: "key", id: Some(text(&key["id"])) };
        let operator = By { token: bed.secrets["AG_OPERATOR_TOKEN"].clone(), kind: "operator", id: None };
        Self { bed, org, admin, operator, made: BTreeSet::new() }
    }

    /// Calls the route with these ids in its path, and looks for its entry; gives the answer.
    async fn call(
        &mut self,
        method: Method,
        route: &'static str,
        ids: &[&str],
        body: Option<Value>,
    ) -> Value {
        let mut path = route.to_owned();
        for id in ids {
            let (from, to) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(from..=to, id);
        }
        let caller = if route.starts_with("/operator/") { &self.operator } else { &self.admin };
        let mut request = self.bed.request(method.clone(), &path).bearer_auth(&caller.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.sent(method, route, request).await
    }

    async fn sent(&mut self, method: Method, route: &'static str, request: RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        let (status, id) =
            (response.status(), response.headers()["x-request-id"].to_str().unwrap().to_owned());
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {route}: {status} {body}");
        let found: Vec<(String, Option<String>, String)> =
            sqlx::query_as("SELECT actor_kind, actor_id, action FROM audit WHERE request = $1")
                .bind(id)
                .fetch_all(&mut self.bed.database.superuser().await)
                .await
                .unwrap();
        let caller = if route.starts_with("/operator/") { &self.operator } else { &self.admin };
        assert!(!found.is_empty(), "{method} {route} left no entry");
        for (kind, actor, _) in &found {
            assert_eq!((kind.as_str(), actor), (caller.kind, &caller.id), "{method} {route}");
        }
        let row = all().into_iter().find(|row| row.method == method && row.path == route).expect(route);
        let named = |action: &str| match row.caller {
            Caller::Member(wanted) => action == wanted.as_str(),
            _ => action.starts_with("operator."),
        };
        assert!(found.iter().any(|(_, _, action)| named(action)), "{method} {route}: {found:?}");
        self.made.insert((method.to_string(), route));
        serde_json::from_str(&body).unwrap_or_default()
    }

    async fn post(&mut self, route: &'static str, ids: &[&str], body: Value) -> Value {
        self.call(Method::POST, route, ids, Some(body)).await
    }

    async fn delete(&mut self, route: &'static str, ids: &[&str]) {
        self.call(Method::DELETE, route, ids, None).await;
    }
}

async fn of_operator(tour: &mut Tour) {
    let made = tour.post("/operator/v1/orgs", &[], json!({"name": "n"})).await;
    let org = text(&made["org"]["id"]);
    tour.call(Method::PATCH, "/operator/v1/orgs/{id}", &[&org], Some(json!({"name": "m"}))).await;
    let body = json!({"sandbox_max": 3});
    tour.call(Method::PUT, "/operator/v1/orgs/{id}/queue", &[&org], Some(body)).await;
    let token = tour.post("/operator/v1/runner-tokens", &[], json!({"name": "hosts"})).await;
    let host = Host::register(&tour.bed, &text(&token["secret"]), json!({})).await;
    tour.call(Method::POST, "/operator/v1/runners/{id}/drain", &[&host.id], None).await;
    tour.delete("/operator/v1/runner-tokens/{id}", &[&text(&token["id"])]).await;
    tour.post("/operator/v1/orgs/{id}/data-key", &[&org], json!({})).await;
    tour.post("/operator/v1/vault/renew", &[], json!({})).await;
    tour.post("/operator/v1/vault/end-move", &[], json!({})).await;
}

async fn of_org(tour: &mut Tour) {
    let key = text(&tour.post("/v1/keys", &[], json!({"name": "k", "scopes": ["call"]})).await["id"]);
    let next = text(&tour.post("/v1/keys/{id}/rotate", &[&key], json!({"overlap_s": 60})).await["id"]);
    tour.delete("/v1/keys/{id}", &[&next]).await;
    let credential = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "x"});
    let credential = text(&tour.post("/v1/credentials", &[], credential).await["id"]);
    let secret = Some(json!({"secret": "y"}));
    tour.call(Method::PUT, "/v1/credentials/{id}/secret", &[&credential], secret).await;
    tour.delete("/v1/credentials/{id}", &[&credential]).await;
    let quotas = json!({"quotas": [{"subject": {"kind": "org"}, "limit": {"concurrency": 1}}]});
    tour.call(Method::PUT, "/v1/quotas", &[], Some(quotas)).await;
    let publisher = tour.bed.org("publisher").await;
    let poem = tour.bed.published(&publisher, "poem").await;
    let install = json!({"endpoint": poem, "name": "poem", "payer": "publisher"});
    let install = text(&tour.post("/v1/installs", &[], install).await["id"]);
    tour.call(Method::PATCH, "/v1/installs/{id}", &[&install], Some(json!({"version": 1}))).await;
    tour.delete("/v1/installs/{id}", &[&install]).await;
}

/// The org is renamed, one is invited in vain, one joins and is removed, and one joins and leaves.
async fn of_members(tour: &mut Tour) {
    let org = tour.org.id.clone();
    tour.call(Method::PATCH, "/v1/org", &[], Some(json!({"name": "renamed"}))).await;
    let invitation = |email: &str| json!({"email": email, "role": "viewer"});
    let in_vain = text(&tour.post("/v1/invitations", &[], invitation("eve@example.org")).await["id"]);
    tour.delete("/v1/invitations/{id}", &[&in_vain]).await;
    let (bob, carol) = (tour.bed.person("bob").await, tour.bed.person("carol").await);
    for person in [&bob, &carol] {
        let before = tour.bed.mails(&person.email).len();
        tour.post("/v1/invitations", &[], invitation(&person.email)).await;
        let accept = json!({"token": tour.bed.mail(&person.email, before + 1).await.token()});
        let path = "/v1/invitations/accept";
        let reply = tour.bed.call("POST", &person.token, path, Some(&accept)).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
    }
    tour.call(Method::PATCH, "/v1/members/{id}", &[&bob.id], Some(json!({"role": "developer"}))).await;
    tour.delete("/v1/members/{id}", &[&bob.id]).await;
    let leaves = tour.bed.by(&carol, &org, "POST", "/v1/org/leave");
    let user = By { token: carol.token.clone(), kind: "user", id: Some(carol.id.clone()) };
    let admin = std::mem::replace(&mut tour.admin, user);
    tour.sent(Method::POST, "/v1/org/leave", leaves).await;
    tour.admin = admin;
}

async fn of_policies(tour: &mut Tour) {
    let policy = text(&tour.post("/v1/policies", &[], json!({"name": "p", "preset": "k-5"})).await["id"]);
    tour.post("/v1/policies/{id}/revisions", &[&policy], json!({"policy": {"locked": ["user"]}})).await;
    tour.delete("/v1/policies/{id}", &[&policy]).await;
}

async fn of_endpoints(tour: &mut Tour) {
    let endpoint = text(&tour.post("/v1/endpoints", &[], json!({"name": "haiku"})).await["id"]);
    let id = [endpoint.as_str()];
    tour.call(Method::PATCH, "/v1/endpoints/{id}", &id, Some(json!({"description": "d"}))).await;
    for _ in 0..2 {
        tour.post("/v1/endpoints/{id}/versions", &id, version(None)).await;
    }
    let first = json!({"version": 1, "expected_live": null});
    tour.post("/v1/endpoints/{id}/publications", &id, first).await;
    tour.post("/v1/endpoints/{id}/canary", &id, json!({"version": 2, "percent": 10})).await;
    tour.delete("/v1/endpoints/{id}/canary", &id).await;
    tour.post("/v1/endpoints/{id}/canary", &id, json!({"version": 2, "percent": 20})).await;
    tour.post("/v1/endpoints/{id}/promote", &id, json!({"version": 2})).await;
    tour.post("/v1/endpoints/{id}/rollback", &id, json!({"expected_live": 2})).await;
    tour.post("/v1/endpoints/{id}/fork", &id, json!({"name": "fork"})).await;
    tour.post("/v1/templates/{name}/endpoints", &["text-classifier"], json!({"name": "inbox"})).await;
    let eval = play::eval(&tour.bed, &tour.org).await;
    let gate = json!({"evals": [demand(&eval, "haiku", json!({"pass_rate": 1}))]});
    tour.call(Method::PUT, "/v1/endpoints/{id}/gate", &id, Some(gate)).await;
    let second = json!({"version": 2, "expected_live": 1});
    let running = tour.post("/v1/endpoints/{id}/publications", &id, second).await;
    assert_eq!(running["state"], "running");
    let cancel = "/v1/endpoints/{id}/publications/{publication}/cancel";
    tour.call(Method::POST, cancel, &[&endpoint, &text(&running["id"])], None).await;
    tour.call(Method::POST, "/v1/endpoints/{id}/withdraw", &id, None).await;
    tour.delete("/v1/endpoints/{id}", &id).await;
}

async fn of_evals(tour: &mut Tour) {
    let eval = json!({"data_source_config": config(), "testing_criteria": [check()]});
    let eval = text(&tour.post("/v1/evals", &[], eval).await["id"]);
    tour.post("/v1/evals/{id}", &[&eval], json!({"name": "other"})).await;
    let line = json!({"item": {"q": "q", "a": "right"}, "sample": {"output_text": "right"}});
    let run = json!({"data_source": {"type": "jsonl", "source": content(&[line])}});
    let run = text(&tour.post("/v1/evals/{id}/runs", &[&eval], run).await["id"]);
    for route in ["/v1/evals/{id}/runs/{run}", "/v1/evals/{id}/runs/{run}/cancel"] {
        tour.call(Method::POST, route, &[&eval, &run], None).await;
    }
    tour.delete("/v1/evals/{id}/runs/{run}", &[&eval, &run]).await;
    tour.delete("/v1/evals/{id}", &[&eval]).await;
    let admin = Org { id: tour.org.id.clone(), admin: tour.admin.token.clone() };
    let request = upload(&tour.bed, &admin, "evals", b"{\"item\":{}}");
    let file = text(&tour.sent(Method::POST, "/v1/files", request).await["id"]);
    tour.delete("/v1/files/{id}", &[&file]).await;
}

async fn of_jobs(tour: &mut Tour) {
    let id = text(&tour.post("/v1/jobs", &[], job()).await["id"]);
    for route in ["/v1/jobs/{id}/cancel", "/v1/jobs/{id}/retry", "/v1/jobs/{id}/cancel"] {
        tour.call(Method::POST, route, &[&id], None).await;
    }
    tour.delete("/v1/jobs/{id}", &[&id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_route_that_changes_something_leaves_an_entry_of_who_called_it() {
    let mut tour = Tour::start().await;
    of_operator(&mut tour).await;
    of_org(&mut tour).await;
    of_members(&mut tour).await;
    of_policies(&mut tour).await;
    of_endpoints(&mut tour).await;
    of_evals(&mut tour).await;
    of_jobs(&mut tour).await;
    let changes = |caller| matches!(caller, Caller::Member(_) | Caller::Operator);
    let excused = |path: &str| WITHOUT_ENTRY.iter().any(|(route, _)| *route == path);
    let wanted: BTreeSet<(String, &str)> = all()
        .into_iter()
        .filter(|route| route.method != Method::GET && changes(route.caller) && !excused(route.path))
        .map(|route| (route.method.to_string(), route.path))
        .collect();
    let forgotten: Vec<_> = wanted.difference(&tour.made).collect();
    assert!(forgotten.is_empty(), "nobody has looked for the entries of {forgotten:#?}");
    linked(&tour.bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_system_decides_by_itself_is_in_the_trail() {
    let scene = play::Scene::start().await;
    let published = json!({"version": 2, "expected_live": 1});
    let running = scene.bed.make(&scene.org, &scene.path(), published).await;
    assert_eq!(running["state"], "running");
    let publication = text(&running["id"]);
    let deadline = "UPDATE publications SET deadline_at = now() WHERE state = 'running'";
    sqlx::query(deadline).execute(&mut scene.bed.database.superuser().await).await.unwrap();
    let begun = std::time::Instant::now();
    let entry = loop {
        let path = format!("/v1/audit?subject={publication}");
        let found = scene.bed.get(&scene.org, &path).await.1;
        if found["data"][0]["verb"] == "end" {
            break found["data"][0].clone();
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{found:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(entry["actor"], json!({"kind": "system", "id": null, "session": null, "role": null}));
    assert_eq!(entry["after"]["state"], "inconclusive");
}
