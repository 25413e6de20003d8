//! The authorization grid: every route × every kind of caller.
//!
//! The rows come from the router's own table, so a new route is in the grid without anybody's doing; what it must answer
//! follows from who may call it. Nothing may shrink it.

use crate::evals_scene::Evals;
use crate::{
    bed::{Bed, Org, code, read, text},
    jobs_hosts::{Host, passed},
};
use alphagate_control::routes::{Caller, Route, all};
use reqwest::RequestBuilder;
use serde_json::json;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nobody,
    Garbage,
    CallKey,
    EvalsKey,
    OwnAdmin,
    OwnGatekeeper,
    ForeignAdmin,
    ForeignGatekeeper,
    Operator,
    Signed,
    SignedForAnotherPath,
    Host,
}

const KINDS: [Kind; 12] = [
    Kind::Nobody,
    Kind::Garbage,
    Kind::CallKey,
    Kind::EvalsKey,
    Kind::OwnAdmin,
    Kind::OwnGatekeeper,
    Kind::ForeignAdmin,
    Kind::ForeignGatekeeper,
    Kind::Operator,
    Kind::Signed,
    Kind::SignedForAnotherPath,
    Kind::Host,
];

struct Cast {
    bed: Bed,
    own: Org,
    foreign: Org,
    call_key: String,
    evals_key: String,
    gatekeepers: (String, String),
    operator: String,
    host: String,
    ids: Vec<(&'static str, String)>,
}

/// What a caller must be told on a route of this kind; `None`: anything but a refusal.
fn refusal(route: Caller, caller: Kind) -> Option<(u16, &'static str)> {
    let key_missing = Some((401, "key_missing"));
    let key_invalid = Some((401, "invalid_api_key"));
    match (route, caller) {
        (Caller::Anyone, _)
        | (Caller::Operator, Kind::Operator)
        | (Caller::Admin | Caller::Evaluator, Kind::OwnAdmin | Kind::ForeignAdmin)
        | (Caller::Evaluator, Kind::EvalsKey)
        | (
            Caller::Admin | Caller::Evaluator | Caller::Gatekeeper,
            Kind::OwnGatekeeper | Kind::ForeignGatekeeper,
        )
        | (Caller::Runner, Kind::Host)
        | (Caller::Edge, Kind::Signed) => None,
        (Caller::Edge, _) => Some((401, "signature_invalid")),
        (_, Kind::Nobody | Kind::Signed | Kind::SignedForAnotherPath) => key_missing,
        (Caller::Admin | Caller::Gatekeeper, Kind::EvalsKey)
        | (Caller::Admin | Caller::Evaluator | Caller::Gatekeeper, Kind::CallKey)
        | (Caller::Gatekeeper, Kind::OwnAdmin | Kind::ForeignAdmin) => Some((403, "scope_missing")),
        _ => key_invalid,
    }
}

/// A job that has ended and left a file.
async fn ended_job(bed: &Bed, org: &Org, host: &Host) -> String {
    let job = json!({"language": "bash", "source": "true", "artefacts": ["deep/a.txt"]});
    let job = text(&bed.make(org, "/v1/jobs", job).await["id"]);
    let claimed = host.claim(1, 0).await;
    let mut report = passed();
    report["artefacts"] = json!([{"path": "deep/a.txt", "content": "YQ=="}]);
    assert_eq!(host.finish(&claimed[0], report).await.0, 204);
    job
}

impl Cast {
    async fn new() -> Self {
        let bed = Bed::start().await;
        let (own, foreign) = (bed.org("own").await, bed.org("foreign").await);
        let call = bed.make(&own, "/v1/keys", json!({"name": "call", "scopes": ["call"]})).await;
        let gatekeepers = (bed.gatekeeper(&own).await, bed.gatekeeper(&foreign).await);
        let endpoint = bed.published(&own, "haiku").await;
        let list = bed.get(&own, &format!("/v1/endpoints/{endpoint}/publications")).await.1;
        let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk"});
        let credential = bed.make(&own, "/v1/credentials", secret).await;
        let poem = bed.published(&foreign, "poem").await;
        let install = json!({"endpoint": poem, "name": "poem", "payer": "publisher"});
        let install = bed.make(&own, "/v1/installs", install).await;
        let host = bed.runner_token().await;
        let runner = Host::register(&bed, &host, json!({})).await;
        let job = ended_job(&bed, &own, &runner).await;
        let runner = runner.id;
        let evals_key = bed.key(&own, &["evals"]).await;
        let evals = Evals::new(&bed, &own).await;
        let ids = vec![
            ("/v1/evals/", evals.eval),
            ("/v1/files/", evals.file),
            ("{run}", evals.run),
            ("{item}", evals.item),
            ("/operator/v1/orgs/", own.id.clone()),
            ("/v1/keys/", text(&call["id"])),
            ("/v1/credentials/", text(&credential["id"])),
            ("/v1/endpoints/", endpoint),
            ("/v1/installs/", text(&install["id"])),
            ("{publication}", text(&list["data"][0]["id"])),
            ("/operator/v1/runners/", runner.clone()),
            ("/operator/v1/runner-tokens/", format!("rtk_{}", &host[7..39])),
            ("/v1/jobs/", job),
            ("{runner}", runner),
        ];
        let (call_key, operator) = (text(&call["secret"]), bed.secrets["AG_OPERATOR_TOKEN"].clone());
        Self { bed, own, foreign, call_key, evals_key, gatekeepers, operator, host, ids }
    }

    /// The route's path with ids of `own` in it.
    fn path(&self, route: &Route) -> String {
        let id = |start: &str| &self.ids.iter().find(|(prefix, _)| *prefix == start).unwrap().1;
        let of = self.ids.iter().find(|(prefix, _)| route.path.starts_with(prefix));
        let path = of.map_or(route.path.to_owned(), |(_, own)| route.path.replace("{id}", own));
        let path = path.replace("{number}", "1").replace("{publication}", id("{publication}"));
        let path = path.replace("{run}", id("{run}")).replace("{item}", id("{item}"));
        let path = path.replace("{runner}", id("{runner}")).replace("{*path}", "deep/a.txt");
        path.replace("{file}", "start.js").replace("{*key}", &format!("v1/org/{}", self.own.id))
    }

    fn request(&self, route: &Route, caller: Kind) -> RequestBuilder {
        let path = self.path(route);
        let request = self.bed.request(route.method.clone(), &path).body("{}");
        match caller {
            Kind::Nobody => request,
            Kind::Garbage => request.bearer_auth("ag_live_garbage"),
            Kind::CallKey => request.bearer_auth(&self.call_key),
            Kind::EvalsKey => request.bearer_auth(&self.evals_key),
            Kind::OwnAdmin => request.bearer_auth(&self.own.admin),
            Kind::ForeignAdmin => request.bearer_auth(&self.foreign.admin),
            Kind::OwnGatekeeper => request.bearer_auth(&self.gatekeepers.0),
            Kind::ForeignGatekeeper => request.bearer_auth(&self.gatekeepers.1),
            Kind::Operator => request.bearer_auth(&self.operator),
            Kind::Host => request.bearer_auth(&self.host),
            Kind::Signed => self.bed.signed(route.method.as_str(), &path, b"{}"),
            Kind::SignedForAnotherPath => {
                let other = self.bed.signed(route.method.as_str(), "/other", b"{}").build().unwrap();
                request.headers(other.headers().clone())
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_route_answers_every_kind_of_caller_as_the_grid_says() {
    let cast = Cast::new().await;
    let mut cells = 0;
    for route in all() {
        // What only its own caller may do is not done here, where it would end the cast: DELETE, rotate, withdraw.
        for caller in KINDS {
            let allowed = refusal(route.caller, caller).is_none();
            let harmful = route.method == "DELETE"
                || ["/withdraw", "/retry"].iter().any(|end| route.path.ends_with(end));
            if allowed && harmful && !matches!(caller, Kind::ForeignAdmin | Kind::ForeignGatekeeper) {
                continue;
            }
            let reply = read(cast.request(&route, caller)).await;
            let cell = format!("{} {} by {caller:?}: {reply:?}", route.method, route.path);
            match refusal(route.caller, caller) {
                Some(expected) => assert_eq!(code(&reply), expected, "{cell}"),
                None => assert!(![401, 403].contains(&reply.0) && reply.0 < 500, "{cell}"),
            }
            let reads = route.method == "GET"
                && matches!(caller, Kind::OwnAdmin | Kind::OwnGatekeeper | Kind::Operator | Kind::Signed);
            if allowed && reads {
                assert_eq!(reply.0, 200, "{cell}");
            }
            let names_own = route.path.contains('{')
                && matches!(route.caller, Caller::Admin | Caller::Evaluator | Caller::Gatekeeper);
            if allowed && names_own && matches!(caller, Kind::ForeignAdmin | Kind::ForeignGatekeeper) {
                let hidden = matches!(code(&reply), (404, "not_found") | (422, "unprocessable"));
                assert!(hidden, "a foreign admin reached something: {cell}");
            }
            cells += 1;
        }
    }
    assert!(cells > 900, "the grid has shrunk to {cells} cells");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_in_the_table_is_not_there() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for path in
        ["/", "/v1", "/v1/", "/v1/keys/", "/v1//keys", "/v2/keys", "/internal/v1/records/", "/V1/KEYS"]
    {
        let reply = bed.get(&org, path).await;
        assert_eq!(code(&reply), (404, "route_not_found"), "{path}");
    }
    let reply = bed.call("DELETE", &org.admin, "/v1/keys", None).await;
    assert_eq!(code(&reply), (405, "method_not_allowed"));
}
