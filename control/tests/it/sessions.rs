//! Sessions, by cookie and by bearer token: their ends, their rotation, and requests that another site makes.

use crate::{
    bed::{Bed, Reply, bytes, code, read, text},
    people::{PASSWORD, Person},
};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

const OTHER: &str = "correct horse battery staple";

async fn me(bed: &Bed, token: &str) -> (u16, String) {
    let reply = bed.call("GET", token, "/v1/me", None).await;
    (reply.0, code(&reply).1.to_owned())
}

async fn another(bed: &Bed, person: &Person) -> String {
    text(&bed.sign_in(&person.email, PASSWORD).await.1["token"])
}

fn gone() -> (u16, String) {
    (401, "session_invalid".to_owned())
}

fn good() -> (u16, String) {
    (200, String::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sessions_are_listed_rotated_and_ended_one_by_one_or_all_others() {
    let bed = Bed::start().await;
    let (ada, eve) = (bed.person("ada").await, bed.person("eve").await);
    let (second, third) = (another(&bed, &ada).await, another(&bed, &ada).await);
    let list = bed.call("GET", &second, "/v1/sessions", None).await.1;
    let sessions = list["data"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 3);
    let current: Vec<bool> = sessions.iter().map(|session| session["current"] == true).collect();
    assert_eq!(current, [false, true, false], "newest first");
    assert_eq!(sessions[0]["address"], "127.0.0.1");
    assert!(!list.to_string().contains("ags_"));
    // C02: somebody else's session is not there.
    let end = |token: &str, id: &str| {
        bytes(bed.request(Method::DELETE, &format!("/v1/sessions/{id}")).bearer_auth(token))
    };
    let foreign = end(&eve.token, sessions[0]["id"].as_str().unwrap()).await;
    assert_eq!(foreign, end(&eve.token, &format!("ses_{:032x}", 7)).await);
    assert_eq!(foreign.0, 404);
    assert_eq!(end(&second, sessions[0]["id"].as_str().unwrap()).await.0, 204);
    assert_eq!(me(&bed, &third).await, gone());
    // C05: a cursor is one user's own.
    let page = bed.call("GET", &ada.token, "/v1/sessions?limit=1", None).await.1;
    let cursor = format!("/v1/sessions?cursor={}", text(&page["next_cursor"]));
    assert_eq!(bed.call("GET", &ada.token, &cursor, None).await.0, 200);
    assert_eq!(bed.call("GET", &eve.token, &cursor, None).await.0, 400);
    let rotated = bed.call("POST", &second, "/v1/sessions/rotate", None).await;
    let newer = text(&rotated.1["token"]);
    assert_eq!((me(&bed, &second).await, me(&bed, &newer).await), (gone(), good()));
    assert_eq!(bed.call("DELETE", &newer, "/v1/sessions", None).await.0, 204);
    assert_eq!((me(&bed, &ada.token).await, me(&bed, &newer).await), (gone(), good()));
    assert_eq!(me(&bed, &eve.token).await, good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_session_ends_when_idle_and_at_its_end_by_the_databases_clock() {
    let bed = Bed::with(&[("AG_SESSION_IDLE_MS", "3600000")]).await;
    let ada = bed.person("ada").await;
    let mut db = bed.database.superuser().await;
    let mut set = async |what: &'static str| {
        sqlx::query(what).execute(&mut db).await.unwrap();
    };
    set("UPDATE sessions SET seen_at = now() - interval '59 min'").await;
    assert_eq!(me(&bed, &ada.token).await, good());
    set("UPDATE sessions SET seen_at = seen_at - interval '59 min'").await;
    assert_eq!(me(&bed, &ada.token).await, good(), "its use was noted");
    set("UPDATE sessions SET seen_at = now() - interval '61 min'").await;
    assert_eq!(me(&bed, &ada.token).await, gone());
    set("UPDATE sessions SET seen_at = now()").await;
    assert_eq!(me(&bed, &ada.token).await, good());
    set("UPDATE sessions SET expires_at = now()").await;
    assert_eq!(me(&bed, &ada.token).await, gone());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_changed_password_ends_all_other_sessions_and_renews_this_one() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let other = another(&bed, &ada).await;
    let change = async |token: &str, current: &str| {
        let body = json!({"current": current, "password": OTHER});
        bed.call("POST", token, "/v1/me/password", Some(&body)).await
    };
    let wrong = change(&ada.token, OTHER).await;
    assert_eq!((code(&wrong), &wrong.1["error"]["param"]), ((401, "sign_in_failed"), &json!("current")));
    assert_eq!(me(&bed, &other).await, good());
    let changed = change(&ada.token, PASSWORD).await;
    assert_eq!(changed.0, 200, "{}", changed.1);
    assert_eq!(me(&bed, &text(&changed.1["token"])).await, good());
    assert_eq!((me(&bed, &ada.token).await, me(&bed, &other).await), (gone(), gone()));
    assert_eq!(bed.mail(&ada.email, 2).await.subject, "Your password was changed");
}

/// Signs in as a browser does; gives the cookie, and the answer with its headers.
async fn by_browser(bed: &Bed, person: &Person, more: &[(&str, &str)]) -> (String, HeaderMap, Value) {
    let body = json!({"email": person.email, "password": PASSWORD});
    let request = bed.request(Method::POST, "/v1/auth/sign-in").json(&body);
    let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    (cookie, headers, response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cookie_is_the_browsers_own_and_no_script_sees_its_token() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let (cookie, headers, answer) = by_browser(&bed, &ada, &[]).await;
    let set = headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("__Host-ag_session=ags_"), "{set}");
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=2592000"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains("Domain") && answer.get("token").is_none());
    assert_eq!(headers["cache-control"], "no-store");
    let get = bed.request(Method::GET, "/v1/orgs").header("cookie", &cookie);
    assert_eq!(read(get).await.0, 200);
    // Fixation: what somebody planted before is not a session afterwards, nor another one's.
    let planted = format!("__Host-ag_session=ags_{}", "7".repeat(64));
    let (fresh, ..) = by_browser(&bed, &ada, &[("cookie", &planted)]).await;
    assert!(fresh != planted && fresh != cookie);
    let with = |cookie: &str| read(bed.request(Method::GET, "/v1/me").header("cookie", cookie));
    assert_eq!(code(&with(&planted).await), (401, "session_invalid"));
    let two = format!("{planted}; {fresh}");
    assert_eq!(code(&with(&two).await), (401, "key_missing"));
    let out =
        bed.request(Method::POST, "/v1/auth/sign-out").header("cookie", &fresh).header("x-ag-csrf", "1");
    let out = out.send().await.unwrap();
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(code(&with(&fresh).await), (401, "session_invalid"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_another_site_makes_a_browser_send_changes_nothing() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let (cookie, ..) = by_browser(&bed, &ada, &[]).await;
    let own = bed.control.url.clone();
    let post = |headers: &[(&str, &str)]| -> RequestBuilder {
        let request =
            bed.request(Method::POST, "/v1/orgs").header("cookie", &cookie).json(&json!({"name": "x"}));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let refused: [&[(&str, &str)]; 8] = [
        &[],
        &[("x-ag-csrf", "")],
        &[("origin", &own)],
        &[("x-ag-csrf", "1"), ("origin", "https://evil.example")],
        &[("x-ag-csrf", "1"), ("origin", "null")],
        &[("x-ag-csrf", "1"), ("sec-fetch-site", "cross-site")],
        &[("x-ag-csrf", "1"), ("sec-fetch-site", "same-site")],
        &[("x-ag-csrf", "1"), ("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    ];
    for headers in refused {
        assert_eq!(code(&read(post(headers)).await), (403, "cross_site_request"), "{headers:?}");
    }
    for headers in [&[("x-ag-csrf", "1")][..], &[("x-ag-csrf", "1"), ("origin", &own)]] {
        assert_eq!(read(post(headers)).await.0, 201, "{headers:?}");
    }
    // A member's routes are under the same rule, and a key or token in `Authorization` is never a browser's doing.
    let keys = bed.request(Method::POST, "/v1/keys").header("cookie", &cookie);
    let keys = keys.json(&json!({"name": "k", "scopes": ["call"]}));
    assert_eq!(code(&read(keys).await), (403, "cross_site_request"));
    let bearer = bed
        .request(Method::POST, "/v1/orgs")
        .bearer_auth(&ada.token)
        .header("origin", "https://evil.example");
    assert_eq!(read(bearer.json(&json!({"name": "y"}))).await.0, 201);
    // A browser is not signed in by another site either.
    let credentials = json!({"email": ada.email, "password": PASSWORD});
    let sign_in = bed.request(Method::POST, "/v1/auth/sign-in").header("origin", "https://evil.example");
    assert_eq!(code(&read(sign_in.json(&credentials)).await), (403, "cross_site_request"));
    let socket = bed.request(Method::GET, "/v1/me").header("cookie", &cookie).header("upgrade", "websocket");
    assert_eq!(code(&read(socket).await), (403, "cross_site_request"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_org_is_chosen_by_its_header_and_a_foreign_one_is_not_there() {
    let bed = Bed::start().await;
    let (ada, eve) = (bed.person("ada").await, bed.person("eve").await);
    let lab = bed.org_of(&ada, "lab").await;
    let named = async |person: &Person, org: &str| bytes(bed.by(person, org, "GET", "/v1/org")).await;
    let (status, body) = named(&ada, &lab.id).await;
    assert!(status == 200 && body.contains("\"lab\""), "{body}");
    let personal = bed.call("GET", &ada.token, "/v1/org", None).await.1;
    assert_eq!(personal["name"], "ada");
    let foreign = named(&eve, &lab.id).await;
    assert_eq!(foreign, named(&eve, &format!("org_{:032x}", 7)).await);
    assert_eq!(foreign, named(&eve, "rubbish").await);
    assert_eq!(foreign.0, 404);
    let rename = json!({"name": "Lab II"});
    let renamed: Reply = bed.as_member(&ada, &lab.id, "PATCH", "/v1/org", rename).await;
    assert_eq!((renamed.0, &renamed.1["name"]), (200, &json!("Lab II")));
    let suspend = json!({"suspended": true});
    assert_eq!(bed.operator("PATCH", &format!("/operator/v1/orgs/{}", lab.id), Some(&suspend)).await.0, 200);
    assert_eq!(named(&ada, &lab.id).await.0, 403);
    assert_eq!(bed.call("GET", &ada.token, "/v1/org", None).await.0, 200, "the others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_is_let_in_by_its_user_once_and_not_by_a_guess() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let ask = async || bed.anyone("/v1/auth/device", json!({"client": "laptop"})).await.1;
    let token = async |device: &Value| {
        bed.anyone("/v1/auth/device/token", json!({"device_code": device["device_code"]})).await
    };
    let decide = async |device: &Value, approve: bool| {
        let body = json!({"user_code": text(&device["user_code"]).to_lowercase(), "approve": approve});
        bed.call("POST", &ada.token, "/v1/auth/device/approve", Some(&body)).await
    };
    let (device, other) = (ask().await, ask().await);
    assert_eq!((&device["interval"], &device["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(code(&token(&device).await), (400, "authorization_pending"));
    assert_eq!(code(&token(&device).await), (400, "slow_down"));
    let look = format!("/v1/auth/device?user_code={}", text(&device["user_code"]));
    let (status, seen) = bed.call("GET", &ada.token, &look, None).await;
    assert_eq!((status, &seen["client"], &seen["address"]), (200, &json!("laptop"), &json!("127.0.0.1")));
    assert_eq!(decide(&device, true).await.0, 204);
    assert_eq!(code(&decide(&device, false).await), (404, "not_found"), "decided once");
    let (status, session) = token(&device).await;
    assert_eq!((status, &session["user"]), (200, &json!(ada.id)), "{session}");
    assert_eq!(me(&bed, &text(&session["token"])).await, good());
    assert_eq!(code(&token(&device).await), (400, "expired_token"), "given once");
    assert_eq!(decide(&other, false).await.0, 204);
    assert_eq!(code(&token(&other).await), (400, "access_denied"));
    let late = ask().await;
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE device_logins SET expires_at = now()").execute(&mut db).await.unwrap();
    assert_eq!(code(&token(&late).await), (400, "expired_token"));
    assert_eq!(code(&decide(&late, true).await), (404, "not_found"));
    sqlx::query("DELETE FROM throttles").execute(&mut db).await.unwrap();
    let guess = json!({"user_code": "BBBB-BBBB", "approve": true});
    for number in 0..11 {
        let reply = bed.call("POST", &ada.token, "/v1/auth/device/approve", Some(&guess)).await;
        assert_eq!(reply.0, if number < 10 { 404 } else { 429 });
    }
}
