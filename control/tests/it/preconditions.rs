//! `ETag`, `If-Match`, `If-None-Match`: every route that changes one resource, from the router's own table.

use crate::{
    bed::{Bed, Org, code, read, text},
    bodies::all_at_once,
    people::Person,
};
use alphagate_control::{
    preconditions::is_conditional,
    routes::{Caller, Route, all},
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// An org with one of everything that can be changed, and whoever may do so.
struct Scene {
    bed: Bed,
    org: Org,
    keeper: String,
    owner: Person,
    member: Person,
    ids: Vec<(&'static str, String)>,
}

impl Scene {
    async fn new() -> Self {
        let bed = Bed::start().await;
        let (owner, member) = (bed.person("owner").await, bed.person("member").await);
        let org = bed.org_of(&owner, "own").await;
        bed.join(&owner, &org.id, &member, "viewer").await;
        let publisher = bed.org("publisher").await;
        let poem = bed.published(&publisher, "poem").await;
        let install = json!({"endpoint": poem, "name": "poem", "payer": "publisher"});
        let install = bed.make(&org, "/v1/installs", install).await;
        let key = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
        let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-123"});
        let credential = bed.make(&org, "/v1/credentials", secret).await;
        let policy = json!({"name": "school", "policy": {"pii": {"email": "redact"}}});
        let policy = bed.make(&org, "/v1/policies", policy).await;
        let endpoint = bed.published(&org, "haiku").await;
        let keeper = bed.gatekeeper(&org).await;
        let ids = vec![
            ("/operator/v1/orgs/", org.id.clone()),
            ("/v1/keys/", text(&key["id"])),
            ("/v1/credentials/", text(&credential["id"])),
            ("/v1/endpoints/", endpoint),
            ("/v1/installs/", text(&install["id"])),
            ("/v1/members/", member.id.clone()),
            ("/v1/policies/", text(&policy["id"])),
        ];
        Self { bed, org, keeper, owner, member, ids }
    }

    fn path(&self, route: &Route) -> String {
        let of = self.ids.iter().find(|(prefix, _)| route.path.starts_with(prefix));
        assert!(of.is_some() || !route.path.contains('{'), "no id for {}", route.path);
        of.map_or(route.path.to_owned(), |(_, id)| route.path.replace("{id}", id))
    }

    fn request(&self, route: &Route, method: &Method) -> RequestBuilder {
        let request = self.bed.request(method.clone(), &self.path(route));
        match route.caller {
            Caller::Operator => request.bearer_auth(&self.bed.secrets["AG_OPERATOR_TOKEN"]),
            Caller::User => request.bearer_auth(&self.owner.token),
            // The gate takes a key with its scope.
            _ if route.path.ends_with("/gate") => request.bearer_auth(&self.keeper),
            _ => request.bearer_auth(&self.owner.token).header("x-ag-org", &self.org.id),
        }
    }

    /// What the route changes as it is now, and its tag.
    async fn now(&self, route: &Route) -> (Value, String) {
        let response = self.request(route, &Method::GET).send().await.unwrap();
        assert_eq!(response.status(), 200, "GET {}", route.path);
        let tag = tag(&response).unwrap_or_else(|| panic!("GET {} has no tag", route.path));
        (response.json().await.unwrap(), tag)
    }

    fn change(&self, route: &Route) -> RequestBuilder {
        let request = self.request(route, &route.method);
        body(route).map_or(request.try_clone().unwrap(), |body| request.json(&body))
    }
}

fn tag(response: &Response) -> Option<String> {
    Some(response.headers().get("etag")?.to_str().unwrap().to_owned())
}

/// A body that changes something, for the routes that take one.
fn body(route: &Route) -> Option<Value> {
    Some(match (route.method.as_str(), route.path) {
        ("DELETE", _) => return None,
        (_, "/v1/installs/{id}") => json!({"version": 1}),
        (_, "/v1/members/{id}") => json!({"role": "developer"}),
        (_, "/v1/endpoints/{id}") => json!({"description": "another"}),
        (_, "/v1/endpoints/{id}/gate") => json!({"evals": [], "deadline_s": 60}),
        (_, "/v1/quotas") => json!({"quotas": [{"subject": {"kind": "org"}, "limit": {"concurrency": 7}}]}),
        (_, "/operator/v1/orgs/{id}/queue") => json!({"sandbox_max": 3}),
        (_, "/operator/v1/orgs/{id}") => json!({"name": "by the operator"}),
        _ => json!({"name": "another"}),
    })
}

/// Walks one route: what does not hold changes nothing, what holds changes it.
async fn walk(scene: &Scene, route: &Route) {
    let at = format!("{} {}", route.method, route.path);
    let (before, own) = scene.now(route).await;
    let cases = [
        ("if-match", "\"other\"".to_owned()),
        ("if-match", format!("W/{own}")),
        ("if-none-match", "*".into()),
    ];
    for (name, value) in cases {
        let reply = read(scene.change(route).header(name, &value)).await;
        assert_eq!(code(&reply), (412, "precondition_failed"), "{at}, {name}: {value}: {}", reply.1);
    }
    assert_eq!(
        scene.now(route).await,
        (before.clone(), own.clone()),
        "{at} was refused, and changed something"
    );
    let response = scene.change(route).header("if-match", format!("\"other\", {own}")).send().await.unwrap();
    let (status, told) = (response.status(), tag(&response));
    assert!(status.is_success(), "{at}: {status} {}", response.text().await.unwrap());
    if route.method != Method::DELETE {
        let (after, new) = scene.now(route).await;
        assert!(after != before && new != own, "{at} changes nothing: {after}");
        assert_eq!(told, Some(new), "{at} tells the tag of what is there now");
        let late = read(scene.change(route).header("if-match", &own)).await;
        assert_eq!(code(&late), (412, "precondition_failed"), "{at}, late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_change_of_one_resource_holds_to_what_the_caller_believes() {
    let scene = Scene::new().await;
    let table = all();
    let conditional = || table.iter().filter(|route| is_conditional(route, &table));
    let mut walked = 0;
    for route in conditional().filter(|route| route.method != Method::DELETE) {
        walk(&scene, route).await;
        walked += 1;
    }
    // An endpoint that a gate or an install hangs on is none of these: each DELETE stands by itself.
    for route in conditional().filter(|route| route.method == Method::DELETE) {
        walk(&scene, route).await;
        walked += 1;
    }
    assert!(walked >= 13, "only {walked} routes were walked");
    let members = scene.bed.get(&scene.org, "/v1/members").await.1;
    assert!(!members.to_string().contains(&scene.member.id), "the member is gone: {members}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_has_the_newest_copy_is_spared_it() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path = format!("/v1/endpoints/{}", bed.published(&org, "haiku").await);
    let get =
        |name: &str, value: &str| bed.request(Method::GET, &path).bearer_auth(&org.admin).header(name, value);
    let first = get("accept", "*/*").send().await.unwrap();
    let own = tag(&first).unwrap();
    assert_eq!(first.headers()["cache-control"], "private, no-cache");
    for known in [own.clone(), format!("W/{own}"), format!("\"other\", {own}"), "*".to_owned()] {
        let response = get("if-none-match", &known).send().await.unwrap();
        assert_eq!((response.status().as_u16(), tag(&response)), (304, Some(own.clone())), "{known}");
        assert!(response.bytes().await.unwrap().is_empty());
    }
    for unknown in ["\"other\"", "", own.trim_matches('"')] {
        assert_eq!(get("if-none-match", unknown).send().await.unwrap().status(), 200, "{unknown}");
    }
    assert_eq!(get("if-match", &own).send().await.unwrap().status(), 200);
    assert_eq!(code(&read(get("if-match", "\"other\"")).await), (412, "precondition_failed"));
    // A list has no tag: its cursor is another one each time.
    let list = bed.request(Method::GET, "/v1/endpoints").bearer_auth(&org.admin).send().await.unwrap();
    assert_eq!((tag(&list), list.headers()["cache-control"].to_str().unwrap()), (None, "no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_many_who_read_the_same_one_changes_it() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path =
        format!("/v1/endpoints/{}", text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]));
    let first = bed.request(Method::GET, &path).bearer_auth(&org.admin).send().await.unwrap();
    let own = tag(&first).unwrap();
    let changes = (0..20).map(|number| {
        let request = bed.request(Method::PATCH, &path).bearer_auth(&org.admin).header("if-match", &own);
        read(request.json(&json!({"description": format!("by {number}")})))
    });
    let replies = all_at_once(changes).await;
    assert_eq!(replies.iter().filter(|reply| reply.0 == 200).count(), 1);
    assert!(replies.iter().all(|reply| reply.0 == 200 || code(reply) == (412, "precondition_failed")));
    let entries = bed.get(&org, "/v1/audit").await.1;
    let changed =
        entries["data"].as_array().unwrap().iter().filter(|entry| entry["verb"] == "change").count();
    assert_eq!(changed, 1, "what was refused is in no trail");
}
