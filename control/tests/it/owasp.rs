//! The OWASP API Security Top 10 (2023), item by item: which tests hold what. Those that stand nowhere else stand here.

use crate::{
    bed::{Bed, Org, code, read, text, version},
    jobs_hosts::job,
    people::PASSWORD,
};
use alphagate_control::{openapi, routes::all};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// Item, what could go wrong, and the test that shows that it does not.
const CASES: [(&str, &str, &str); 37] = [
    (
        "API1",
        "an id of another org, on every route",
        "c02_a_foreign_id_is_answered_as_a_missing_one_on_every_route",
    ),
    ("API1", "an id of another org, in a body", "c02_a_foreign_id_in_a_body_is_answered_as_a_missing_one"),
    (
        "API1",
        "members and invitations of another org",
        "api1_members_and_invitations_of_another_org_are_not_there",
    ),
    (
        "API1",
        "a fork takes another org's secrets along",
        "a_fork_of_ones_own_has_the_version_and_one_of_anothers_what_the_catalog_shows",
    ),
    (
        "API2",
        "who has an account is told",
        "api2_neither_answers_nor_mails_nor_time_tell_a_stranger_who_has_an_account",
    ),
    ("API2", "passwords are guessed", "api2_tries_are_counted_per_account_even_at_once"),
    (
        "API2",
        "many accounts are tried from one address",
        "api2_tries_are_counted_per_client_address_as_far_as_proxies_are_trusted",
    ),
    ("API2", "weak passwords", "api2_weak_and_breached_passwords_are_refused_wherever_one_is_set"),
    ("API2", "a mailed token used twice", "api2_a_mailed_token_works_once_in_time_and_for_its_purpose"),
    ("API2", "a session that was ended", "sessions_are_listed_rotated_and_ended_one_by_one_or_all_others"),
    ("API2", "forged keys", "e02_forged_and_mistyped_keys_are_401_without_a_look_up"),
    ("API3", "fields that are not the caller's to set", "c03_fields_that_are_not_the_callers_are_422"),
    ("API3", "the same on every route", "api3_no_route_takes_a_field_that_it_does_not_know"),
    (
        "API3",
        "answers with more than their schema says",
        "api3_what_is_secret_is_in_no_answer_but_the_one_that_makes_it",
    ),
    (
        "API3",
        "the publisher's prompt and model",
        "e23_neither_model_nor_instructions_of_the_publisher_reach_the_caller_in_either_mode",
    ),
    ("API4", "bodies too large, too deep, too slow", "c04_bombs_are_refused_by_every_route"),
    ("API4", "pages without an end", "c05_pages_neither_repeat_nor_skip_and_limits_are_clamped"),
    ("API4", "too many requests", "each_caller_has_a_limit_of_their_own"),
    ("API4", "lists in a body without an end", "api4_every_list_in_a_body_has_an_end"),
    (
        "API4",
        "a quota that many use up at once",
        "of_a_thousand_requests_for_the_last_unit_exactly_one_is_admitted",
    ),
    (
        "API5",
        "every route by every kind of caller",
        "every_route_answers_every_kind_of_caller_as_the_grid_says",
    ),
    ("API5", "more power than one's own", "api5_nobody_hands_out_or_takes_away_more_than_they_have"),
    ("API5", "another method on the same path", "api5_another_method_is_no_way_in"),
    ("API6", "a mailbox flooded by invitations", "api6_nobodys_mailbox_is_flooded"),
    ("API6", "orgs without an end", "api6_a_user_makes_orgs_up_to_a_number"),
    ("API6", "accounts without an end", "api6_one_address_asks_for_so_many_accounts_and_no_more"),
    ("API7", "a provider in the private network", "c12_private_upstreams_need_the_operators_leave"),
    (
        "API7",
        "the same, by every way to a version",
        "api7_no_way_to_a_version_leads_into_the_private_network",
    ),
    ("API7", "a provider that redirects there", "e22_a_redirect_is_not_followed_wherever_it_leads"),
    (
        "API8",
        "headers, and what errors tell",
        "api8_answers_say_what_they_are_and_errors_nothing_of_the_inside",
    ),
    ("API8", "another site in the user's browser", "what_another_site_makes_a_browser_send_changes_nothing"),
    ("API8", "cookies that scripts read", "a_cookie_is_the_browsers_own_and_no_script_sees_its_token"),
    ("API9", "a route that nobody knows of", "every_route_is_described_and_nothing_else"),
    ("API9", "old and unlisted paths", "api9_what_is_not_in_the_document_is_not_there"),
    (
        "API10",
        "a provider's broken stream",
        "e10_an_early_end_at_any_place_becomes_error_and_failed_and_is_settled_once",
    ),
    (
        "API10",
        "a provider's answer against the schema",
        "a_violation_is_502_with_its_path_and_billed_as_used",
    ),
    (
        "API10",
        "a provider's answer that cannot be read",
        "e10_whole_answers_that_break_off_or_cannot_be_read_are_502",
    ),
];

/// Every source of the tests of the house.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(entry).unwrap());
        }
    }
}

#[test]
fn every_case_of_the_table_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for folder in ["control/src", "control/tests", "tests/tests"] {
        sources(&root.join(folder), &mut text);
    }
    let is_test = |name: &str| text.contains(&format!("fn {name}("));
    let missing: Vec<_> = CASES.iter().filter(|(_, _, name)| !is_test(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    let items: BTreeSet<&str> = CASES.iter().map(|(item, ..)| *item).collect();
    let all: BTreeSet<String> = (1..=10).map(|number| format!("API{number}")).collect();
    assert_eq!(items, all.iter().map(String::as_str).collect());
}

/// Every operation with a JSON body: method, path, caller and example.
fn operations() -> Vec<(Method, String, String, Value)> {
    let document = openapi::document().json;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Some(body) = operation.pointer("/requestBody/content/application~1json") {
                let method = method.to_uppercase().parse().unwrap();
                found.push((method, path.clone(), text(&operation["x-caller"]), body["example"].clone()));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api3_no_route_takes_a_field_that_it_does_not_know() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let owner = bed.person("owner").await;
    let endpoint = bed.published(&org, "haiku").await;
    let keeper = bed.gatekeeper(&org).await;
    let mut walked = 0;
    for (method, path, caller, example) in operations() {
        let token = match caller.as_str() {
            "operator" => &bed.secrets["AG_OPERATOR_TOKEN"],
            "user" => &owner.token,
            "member" => &keeper,
            _ => "",
        };
        // OpenAI's own bodies grow with its SDKs, and what a runner sends with its version.
        let is_ours =
            !["/v1/evals", "/v1/fine_tuning", "/v1/files"].iter().any(|theirs| path.starts_with(theirs));
        let is_there = !path.contains("{id}") || path.starts_with("/v1/endpoints/{id}");
        if ["runner", "edge"].contains(&caller.as_str()) || !is_ours || !is_there {
            continue;
        }
        let at = path.replace("{id}", &endpoint).replace("{name}", "text-classifier");
        for (field, value) in [("org_id", json!(org.id)), ("role", json!("owner")), ("is_admin", json!(true))]
        {
            let mut body = example.clone();
            if body.get(field).is_some() {
                continue;
            }
            body[field] = value;
            let mut request = bed.request(method.clone(), &at).json(&body);
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            let reply = read(request).await;
            assert_eq!(code(&reply), (422, "unprocessable"), "{method} {path} took {field}: {}", reply.1);
        }
        walked += 1;
    }
    assert!(walked > 25, "only {walked} routes were walked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api3_what_is_secret_is_in_no_answer_but_the_one_that_makes_it() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-very-secret-0123"});
    bed.make(&org, "/v1/credentials", secret).await;
    let key = text(&bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await["secret"]);
    bed.published(&org, "haiku").await;
    let mut read_all = 0;
    for route in all().iter().filter(|route| route.method == Method::GET && route.path.starts_with("/v1/")) {
        if route.path.contains('{') {
            continue;
        }
        let response = bed.request(Method::GET, route.path).bearer_auth(&org.admin).send().await.unwrap();
        let body = response.text().await.unwrap();
        for kept in ["sk-very-secret", key.as_str(), org.admin.as_str()] {
            assert!(!body.contains(kept), "{} shows a secret: {body}", route.path);
        }
        read_all += 1;
    }
    assert!(read_all > 12, "only {read_all} routes were read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api4_every_list_in_a_body_has_an_end() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let target = &version(None)["targets"][0];
    let many = |number: usize, item: &Value| Value::Array(vec![item.clone(); number]);
    let limit = json!({"unit": "requests", "window": "minute", "cap": 1});
    let quota = json!({"subject": {"kind": "org"}, "limit": {"concurrency": 1}});
    let versions = format!("/v1/endpoints/{endpoint}/versions");
    for (method, path, body) in [
        ("POST", versions.as_str(), json!({"targets": many(9, target)})),
        ("POST", &versions, json!({"targets": many(1, target), "locked": many(65, &json!("x"))})),
        ("PUT", "/v1/quotas", json!({"quotas": many(5_000, &quota)})),
        (
            "POST",
            "/v1/endpoints",
            json!({"name": "f", "installs": {"payer": "installer", "limits": many(21, &limit)}}),
        ),
        (
            "POST",
            "/v1/endpoints",
            json!({"name": "f", "tags": (0..17).map(|n| format!("t{n}")).collect::<Vec<_>>()}),
        ),
        ("POST", "/v1/jobs", json!({"jobs": many(1_001, &job())})),
    ] {
        let reply = bed.call(method, &org.admin, path, Some(&body)).await;
        assert!([413, 422].contains(&reply.0), "{path}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api5_another_method_is_no_way_in() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let paths: BTreeSet<&str> =
        all().iter().map(|route| route.path).filter(|path| !path.contains('{')).collect();
    for path in paths {
        for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, Method::CONNECT] {
            if method == Method::CONNECT
                || all().iter().any(|route| route.path == path && route.method == method)
            {
                continue;
            }
            let request = bed.request(method.clone(), path).bearer_auth(&org.admin);
            // A header that other frameworks take for the method.
            let reply = read(request.header("x-http-method-override", "GET")).await;
            assert_eq!(code(&reply), (405, "method_not_allowed"), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api6_nobodys_mailbox_is_flooded() {
    let bed = Bed::start().await;
    let orgs = [bed.org("a").await, bed.org("b").await];
    let invite = async |org: &Org| {
        bed.post(org, "/v1/invitations", json!({"email": "ada@example.org", "role": "viewer"})).await
    };
    let mut statuses = Vec::new();
    for number in 0..8 {
        statuses.push(invite(&orgs[number % 2]).await.0);
    }
    assert_eq!(statuses, [201, 201, 201, 201, 201, 429, 429, 429], "five mails, whoever asks for them");
    assert_eq!(code(&invite(&orgs[0]).await), (429, "too_many_tries"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api6_a_user_makes_orgs_up_to_a_number() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let mut made = 0;
    let refused = loop {
        let reply = bed.call("POST", &ada.token, "/v1/orgs", Some(&json!({"name": "n"}))).await;
        if reply.0 != 201 {
            break reply;
        }
        made += 1;
        assert!(made < 200);
    };
    assert_eq!((made, code(&refused)), (99, (409, "conflict")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api6_one_address_asks_for_so_many_accounts_and_no_more() {
    let bed = Bed::with(&[("AG_ADDRESS_TRIES_MAX", "3"), ("AG_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let asks = async |address: &str, name: &str| {
        let account = json!({"email": format!("{name}@example.org"), "password": PASSWORD, "name": name});
        let request = bed.request(Method::POST, "/v1/auth/sign-up").header("x-forwarded-for", address);
        read(request.json(&account)).await
    };
    for name in ["a", "b", "c"] {
        assert_eq!(asks("203.0.113.1", name).await.0, 202);
    }
    assert_eq!(code(&asks("203.0.113.1", "d").await), (429, "too_many_tries"));
    assert_eq!(asks("203.0.113.2", "e").await.0, 202, "another address is not to blame");
    bed.mail("e@example.org", 1).await;
    assert_eq!(bed.mails("d@example.org").len(), 0, "what is refused sends nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api7_no_way_to_a_version_leads_into_the_private_network() {
    let bed = Bed::with(&[("AG_ALLOW_PRIVATE_UPSTREAMS", "false")]).await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    for url in [
        "http://169.254.169.254/latest",
        "https://127.0.0.1/v1",
        "https://2130706433/v1",
        "https://0x7f.1/v1",
        "https://[::ffff:10.0.0.1]/v1",
        "https://10.1.2.3/v1",
        "file:///etc/passwd",
        "https://user:pass@api.openai.com/v1",
        "http://api.openai.com/v1",
    ] {
        let config = json!({"targets": [{"base_url": url, "model": "m"}]});
        let body = json!({"name": "x", "base_url": url});
        for (path, body) in [
            (format!("/v1/endpoints/{endpoint}/versions"), config),
            ("/v1/templates/text-classifier/endpoints".to_owned(), body),
        ] {
            let reply = bed.post(&org, &path, body).await;
            assert_eq!(
                (code(&reply), &reply.1["error"]["param"]),
                ((422, "unprocessable"), &json!("targets[0].base_url")),
                "{path} {url}"
            );
        }
        let credential = json!({"name": "c", "origin": url, "secret": "sk"});
        assert_eq!(
            code(&bed.post(&org, "/v1/credentials", credential).await),
            (422, "unprocessable"),
            "{url}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api8_answers_say_what_they_are_and_errors_nothing_of_the_inside() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for (path, token) in [
        ("/v1/keys", org.admin.as_str()),
        ("/v1/keys", "x"),
        ("/none", ""),
        ("/v1/openapi.json", ""),
        ("/docs", ""),
    ] {
        let request =
            bed.request(Method::GET, path).bearer_auth(token).header("origin", "https://evil.example");
        let response = request.send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers.contains_key("cache-control"), "{path}");
        assert!(
            headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{path}: {headers:?}"
        );
        assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"), "{path}");
    }
    let preflight = bed.request(Method::OPTIONS, "/v1/keys").header("origin", "https://evil.example");
    let preflight = preflight.header("access-control-request-method", "POST").send().await.unwrap();
    assert!(preflight.status() == 405 && !preflight.headers().contains_key("access-control-allow-origin"));
    // A statement that fails is in the log, and nowhere else.
    sqlx::query("ALTER TABLE endpoints RENAME COLUMN description TO secret_column")
        .execute(&mut bed.database.superuser().await)
        .await
        .unwrap();
    let (status, body) = bed.get(&org, "/v1/endpoints").await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("internal_error")));
    for inside in ["column", "SELECT", "postgres", "sqlx", "src/", "panicked"] {
        assert!(!body.to_string().contains(inside), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api9_what_is_not_in_the_document_is_not_there() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let document = bed.get(&org, "/v1/openapi.json").await.1;
    let described = document["paths"].as_object().unwrap();
    assert!(all().iter().all(|route| described.contains_key(&route.path.replace("{*", "{"))));
    for path in [
        "/v0/keys",
        "/v2/keys",
        "/api/v1/keys",
        "/internal/v1",
        "/debug",
        "/metrics",
        "/admin",
        "/operator/v1",
        "/v1/keys.json",
        "/.env",
        "/actuator",
    ] {
        assert_eq!(code(&bed.get(&org, path).await), (404, "route_not_found"), "{path}");
    }
}
