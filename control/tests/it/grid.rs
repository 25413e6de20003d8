//! The authorization grid: every route × every kind of caller.
//!
//! The rows come from the router's own table, so a new route is in the grid without anybody's doing; what it must answer
//! follows from who may call it. Nothing may shrink it.

use crate::evals_scene::Evals;
use crate::{
    bed::{Bed, Org, code, read, text},
    jobs_hosts::{Host, passed},
    people::{PASSWORD, Person},
};
use alphagate_control::{
    roles::{Action, Power, Role, Scope, may},
    routes::{Caller, Route, all},
};
use reqwest::RequestBuilder;
use serde_json::json;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nobody,
    Garbage,
    /// A key of the org whose ids are in the paths.
    Own(&'static [Scope]),
    /// A key of another org.
    Foreign(&'static [Scope]),
    /// A member of the org whose ids are in the paths, by session.
    User(Role),
    /// The owner of another org.
    ForeignUser,
    /// An owner's session after its time.
    StaleSession,
    /// An owner's session that was ended.
    EndedSession,
    /// An admin's key after its time.
    Expired,
    /// An admin's key that was revoked.
    Revoked,
    Operator,
    Signed,
    SignedForAnotherPath,
    Host,
}

const KINDS: [Kind; 26] = [
    Kind::User(Role::Owner),
    Kind::User(Role::Admin),
    Kind::User(Role::Developer),
    Kind::User(Role::Viewer),
    Kind::User(Role::Teacher),
    Kind::User(Role::Student),
    Kind::User(Role::Parent),
    Kind::ForeignUser,
    Kind::StaleSession,
    Kind::EndedSession,
    Kind::Nobody,
    Kind::Garbage,
    Kind::Own(&[Scope::Call]),
    Kind::Own(&[Scope::Evals]),
    Kind::Own(&[Scope::Gate]),
    Kind::Own(&[Scope::Force]),
    Kind::Own(&[Scope::Admin]),
    Kind::Own(&[Scope::Admin, Scope::Gate]),
    Kind::Foreign(&[Scope::Admin]),
    Kind::Foreign(&[Scope::Admin, Scope::Gate]),
    Kind::Expired,
    Kind::Revoked,
    Kind::Operator,
    Kind::Signed,
    Kind::SignedForAnotherPath,
    Kind::Host,
];

/// Routes that name what is the same for every org.
const OF_EVERYBODY: [&str; 1] = ["/v1/templates/{name}"];

/// What an allowed call would end, beside every DELETE.
const HARMFUL: [&str; 5] = ["/withdraw", "/retry", "/sign-out", "/sessions/rotate", "/leave"];

struct Cast {
    bed: Bed,
    own: Org,
    tokens: Vec<(Kind, String)>,
    ids: Vec<(&'static str, String)>,
}

/// What a caller must be told on a route of this kind; `None`: anything but a refusal.
fn refusal(route: Caller, caller: Kind) -> Option<(u16, &'static str)> {
    match (route, caller) {
        (Caller::Anyone, _)
        | (Caller::Operator, Kind::Operator)
        | (Caller::Runner, Kind::Host)
        | (Caller::User, Kind::User(_) | Kind::ForeignUser)
        | (Caller::Edge, Kind::Signed) => None,
        (Caller::Edge, _) => Some((401, "signature_invalid")),
        (_, Kind::Nobody | Kind::Signed | Kind::SignedForAnotherPath) => Some((401, "key_missing")),
        (Caller::Member(action), Kind::Own(scopes) | Kind::Foreign(scopes)) => {
            if may(Power::Scopes(scopes), action) { None } else { Some((403, "scope_missing")) }
        }
        (Caller::Member(action), Kind::User(role)) => {
            if may(Power::Role(role), action) {
                None
            } else {
                Some((403, "role_missing"))
            }
        }
        (Caller::Member(_), Kind::ForeignUser) => None,
        (Caller::User, _) | (Caller::Member(_), Kind::StaleSession | Kind::EndedSession) => {
            Some((401, "session_invalid"))
        }
        _ => Some((401, "invalid_api_key")),
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

/// The words of scopes, as a key is made with them.
fn words(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(|scope| text(&serde_json::to_value(scope).unwrap())).collect()
}

/// A token for everybody who shows one.
async fn tokens(bed: &Bed, own: &Org, foreign: &Org, host: String) -> Vec<(Kind, String)> {
    let mut tokens = vec![
        (Kind::Garbage, "ag_live_garbage".to_owned()),
        (Kind::Operator, bed.secrets["AG_OPERATOR_TOKEN"].clone()),
        (Kind::Host, host),
    ];
    for kind in KINDS {
        let (org, scopes) = match kind {
            Kind::Own(scopes) => (own, words(scopes)),
            Kind::Foreign(scopes) => (foreign, words(scopes)),
            Kind::Expired | Kind::Revoked => (own, words(&[Scope::Admin, Scope::Gate])),
            _ => continue,
        };
        let made = bed.make(org, "/v1/keys", json!({"name": format!("{kind:?}"), "scopes": scopes})).await;
        let path = format!("/v1/keys/{}", text(&made["id"]));
        if kind == Kind::Revoked {
            assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 200);
        }
        tokens.push((kind, text(&made["secret"])));
    }
    let late = "UPDATE keys SET created_at = now() - interval '2 d', expires_at = now() - interval '1 s'
        WHERE name = 'Expired'";
    sqlx::query(late).execute(&mut bed.database.superuser().await).await.unwrap();
    tokens
}

/// A session for everybody who is in `org`, or was; with the id of one of them.
async fn sessions(bed: &Bed, owner: &Person, org: &Org) -> (Vec<(Kind, String)>, String) {
    let mut sessions = vec![(Kind::User(Role::Owner), owner.token.clone())];
    let mut last = String::new();
    for role in &Role::ALL[1..] {
        let word = text(&serde_json::to_value(role).unwrap());
        let person = bed.person(&word).await;
        bed.join(owner, &org.id, &person, &word).await;
        sessions.push((Kind::User(*role), person.token));
        last = person.id;
    }
    let stale = text(&bed.sign_in(&owner.email, PASSWORD).await.1["token"]);
    let late = "UPDATE sessions SET expires_at = now() WHERE id = (SELECT id FROM sessions ORDER BY id DESC LIMIT 1)";
    sqlx::query(late).execute(&mut bed.database.superuser().await).await.unwrap();
    let ended = text(&bed.sign_in(&owner.email, PASSWORD).await.1["token"]);
    assert_eq!(bed.call("POST", &ended, "/v1/auth/sign-out", None).await.0, 204);
    sessions.extend([(Kind::StaleSession, stale), (Kind::EndedSession, ended)]);
    (sessions, last)
}

impl Cast {
    async fn new() -> Self {
        let bed = Bed::start().await;
        let (owner, stranger) = (bed.person("owner").await, bed.person("stranger").await);
        let (own, foreign) = (bed.org_of(&owner, "own").await, bed.org_of(&stranger, "foreign").await);
        let (mut sessions, member) = sessions(&bed, &owner, &own).await;
        sessions.push((Kind::ForeignUser, stranger.token));
        let own_session = bed.call("GET", &owner.token, "/v1/sessions", None).await.1;
        let invitation = json!({"email": "new@example.org", "role": "viewer"});
        let invitation = bed.make(&own, "/v1/invitations", invitation).await;
        let call = bed.make(&own, "/v1/keys", json!({"name": "call", "scopes": ["call"]})).await;
        let endpoint = bed.published(&own, "haiku").await;
        let list = bed.get(&own, &format!("/v1/endpoints/{endpoint}/publications")).await.1;
        let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk"});
        let credential = bed.make(&own, "/v1/credentials", secret).await;
        let poem = bed.published(&foreign, "poem").await;
        let install = json!({"endpoint": poem, "name": "poem", "payer": "publisher"});
        let install = bed.make(&own, "/v1/installs", install).await;
        let policy = bed.make(&own, "/v1/policies", json!({"name": "p", "preset": "pii"})).await;
        let host = bed.runner_token().await;
        let runner = Host::register(&bed, &host, json!({})).await;
        let job = ended_job(&bed, &own, &runner).await;
        let runner = runner.id;
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
            ("/v1/policies/", text(&policy["id"])),
            ("/v1/installs/", text(&install["id"])),
            ("{publication}", text(&list["data"][0]["id"])),
            ("/operator/v1/runners/", runner.clone()),
            ("/operator/v1/runner-tokens/", format!("rtk_{}", &host[7..39])),
            ("/v1/jobs/", job),
            ("{runner}", runner),
            ("/v1/members/", member),
            ("/v1/invitations/", text(&invitation["id"])),
            ("/v1/sessions/", text(&own_session["data"][0]["id"])),
        ];
        let mut tokens = tokens(&bed, &own, &foreign, host).await;
        tokens.extend(sessions);
        Self { bed, own, tokens, ids }
    }

    /// The route's path with ids of `own` in it.
    fn path(&self, route: &Route) -> String {
        let id = |start: &str| &self.ids.iter().find(|(prefix, _)| *prefix == start).unwrap().1;
        let of = self.ids.iter().find(|(prefix, _)| route.path.starts_with(prefix));
        let path = of.map_or(route.path.to_owned(), |(_, own)| route.path.replace("{id}", own));
        let path = path.replace("{number}", "1").replace("{publication}", id("{publication}"));
        let path = path.replace("{run}", id("{run}")).replace("{item}", id("{item}"));
        let path = path.replace("{runner}", id("{runner}")).replace("{*path}", "deep/a.txt");
        let path = path.replace("{name}", "text-classifier");
        path.replace("{file}", "start.js").replace("{*key}", &format!("v1/org/{}", self.own.id))
    }

    fn request(&self, route: &Route, caller: Kind) -> RequestBuilder {
        let path = self.path(route);
        let request = self.bed.request(route.method.clone(), &path).body("{}");
        match caller {
            Kind::Nobody => request,
            Kind::Signed => self.bed.signed(route.method.as_str(), &path, b"{}"),
            Kind::SignedForAnotherPath => {
                let other = self.bed.signed(route.method.as_str(), "/other", b"{}").build().unwrap();
                request.headers(other.headers().clone())
            }
            _ => {
                let token = &self.tokens.iter().find(|(kind, _)| *kind == caller).unwrap().1;
                // Everybody but a stranger names the org; a stranger's is another one.
                let request = request.bearer_auth(token);
                if matches!(caller, Kind::User(_)) {
                    request.header("x-ag-org", &self.own.id)
                } else {
                    request
                }
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
            let harmful = route.method == "DELETE" || HARMFUL.iter().any(|end| route.path.ends_with(end));
            let foreign = matches!(caller, Kind::Foreign(_) | Kind::ForeignUser);
            if allowed && harmful && !(foreign && route.path.contains('{')) {
                continue;
            }
            let reply = read(cast.request(&route, caller)).await;
            let cell = format!("{} {} by {caller:?}: {reply:?}", route.method, route.path);
            match refusal(route.caller, caller) {
                Some(expected) => assert_eq!(code(&reply), expected, "{cell}"),
                None => assert!(![401, 403].contains(&reply.0) && reply.0 < 500, "{cell}"),
            }
            let reads = route.method == "GET"
                && route.path != "/v1/auth/device"
                && matches!(caller, Kind::Own(_) | Kind::User(_) | Kind::Operator | Kind::Signed);
            if allowed && reads {
                assert_eq!(reply.0, 200, "{cell}");
            }
            let names_own = route.path.contains('{')
                && !OF_EVERYBODY.contains(&route.path)
                && matches!(route.caller, Caller::Member(_) | Caller::User);
            if allowed && names_own && foreign {
                let hidden = matches!(code(&reply), (404, "not_found") | (422, "unprocessable"));
                assert!(hidden, "a foreign admin reached something: {cell}");
            }
            cells += 1;
        }
    }
    assert!(cells > 2_200, "the grid has shrunk to {cells} cells");
}

#[test]
fn every_action_of_this_program_has_a_route() {
    let asked_for = |action: &Action| all().iter().any(|route| route.caller == Caller::Member(*action));
    // What is asked for within a route, or by another program.
    let elsewhere = [Action::EndpointsCall, Action::EndpointsForce, Action::OwnersWrite];
    for action in Action::ALL {
        assert!(asked_for(action) != elsewhere.contains(action), "{}", action.as_str());
    }
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
