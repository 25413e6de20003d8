//! Accounts: signing up, in and out, forgotten passwords, sessions; and API2 of OWASP's API Security Top 10 (2023),
//! broken authentication.

use crate::{
    bed::{Bed, Reply, bytes, code, read, text},
    bodies::all_at_once,
    people::PASSWORD,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};

const OTHER: &str = "correct horse battery staple";

async fn sql(bed: &Bed, sql: &str) {
    let mut db = bed.database.superuser().await;
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
}

async fn count(bed: &Bed, table: &str) -> i64 {
    let mut db = bed.database.superuser().await;
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_as::<_, (i64,)>(sql).fetch_one(&mut db).await.unwrap().0
}

async fn me(bed: &Bed, token: &str) -> Reply {
    bed.call("GET", token, "/v1/me", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_person_signs_up_confirms_works_and_signs_out() {
    let bed = Bed::start().await;
    let account = json!({"email": " Ada@Example.ORG ", "password": PASSWORD, "name": "Ada"});
    assert_eq!(bed.anyone("/v1/auth/sign-up", account).await, (202, json!({"status": "mailed"})));
    let mail = bed.mail("ada@example.org", 1).await;
    assert_eq!(mail.subject, "Confirm your address");
    assert_eq!(
        (count(&bed, "users").await, count(&bed, "orgs").await),
        (0, 0),
        "nothing before it is confirmed"
    );
    assert_eq!(code(&bed.sign_in("ada@example.org", PASSWORD).await), (401, "sign_in_failed"));
    let confirm = |password: &str| json!({"token": mail.token(), "password": password, "carrier": "bearer"});
    let by_another = bed.anyone("/v1/auth/verify", confirm(OTHER)).await;
    assert_eq!(code(&by_another), (401, "sign_in_failed"), "the mail alone is not enough");
    let (status, answer) = bed.anyone("/v1/auth/verify", confirm(PASSWORD)).await;
    assert_eq!(status, 200, "{answer}");
    let token = text(&answer["token"]);
    let (_, ada) = me(&bed, &token).await;
    assert_eq!((&ada["name"], &ada["email"]), (&json!("Ada"), &json!("ada@example.org")));
    let orgs = bed.call("GET", &token, "/v1/orgs", None).await.1;
    assert_eq!(orgs["data"].as_array().unwrap().len(), 1);
    assert_eq!(orgs["data"][0]["role"], "owner");
    assert_eq!((&orgs["data"][0]["name"], &orgs["data"][0]["personal"]), (&json!("Ada"), &json!(true)));
    // Without a word, it is the personal org that everything is done in.
    let key = bed.call("POST", &token, "/v1/keys", Some(&json!({"name": "k", "scopes": ["admin"]}))).await;
    assert_eq!(key.0, 201, "{}", key.1);
    let own = bed.call("GET", &text(&key.1["secret"]), "/v1/org", None).await.1;
    assert_eq!(own["id"], orgs["data"][0]["id"]);
    assert!(matches!(
        bed.edge.value(&format!("v1/org/{}", text(&own["id"]))),
        alphagate_contract::record::RecordValue::Org(_)
    ));
    assert_eq!(bed.call("POST", &token, "/v1/auth/sign-out", None).await.0, 204);
    assert_eq!(code(&me(&bed, &token).await), (401, "session_invalid"));
    let (status, again) = bed.sign_in("ADA@example.org", PASSWORD).await;
    assert_eq!((status, &again["user"]), (200, &ada["id"]));
    let rename = json!({"name": "Ada L."});
    let renamed = bed.call("PATCH", &text(&again["token"]), "/v1/me", Some(&rename)).await;
    assert_eq!((renamed.0, &renamed.1["name"]), (200, &json!("Ada L.")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_weak_and_breached_passwords_are_refused_wherever_one_is_set() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    bed.anyone("/v1/auth/forgot", json!({"email": ada.email})).await;
    let token = bed.mail(&ada.email, 2).await.token();
    for weak in ["short", "1234567890", "password2026", "aaaaaaaaaaaaaaaaaa"] {
        let calls = [
            bed.anyone("/v1/auth/sign-up", json!({"email": "b@example.org", "password": weak, "name": "b"}))
                .await,
            bed.anyone("/v1/auth/reset", json!({"token": token, "password": weak})).await,
            bed.call(
                "POST",
                &ada.token,
                "/v1/me/password",
                Some(&json!({"current": PASSWORD, "password": weak})),
            )
            .await,
        ];
        for reply in calls {
            assert_eq!(
                (code(&reply), &reply.1["error"]["param"]),
                ((422, "unprocessable"), &json!("password")),
                "{weak}"
            );
            assert!(!reply.1.to_string().contains(weak) || weak == "short", "{}", reply.1);
        }
    }
    // Nothing of it has used the token up.
    assert_eq!(bed.anyone("/v1/auth/reset", json!({"token": token, "password": OTHER})).await.0, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_neither_answers_nor_mails_nor_time_tell_a_stranger_who_has_an_account() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let send = |path: &str, body: Value| bytes(bed.request(Method::POST, path).json(&body));
    for path in ["/v1/auth/forgot", "/v1/auth/sign-up", "/v1/auth/sign-in"] {
        let body = |email: &str| match path {
            "/v1/auth/forgot" => json!({"email": email}),
            "/v1/auth/sign-up" => json!({"email": email, "password": OTHER, "name": "x"}),
            _ => json!({"email": email, "password": OTHER}),
        };
        let (known, unknown) =
            (send(path, body(&ada.email)).await, send(path, body("nobody@example.org")).await);
        assert_eq!(known, unknown, "{path}");
    }
    // The account's owner reads of it, and its password is what it was.
    let subjects = ["Confirm your address", "Set a new password", "You have an account already"];
    bed.mail(&ada.email, 3).await;
    let got: Vec<String> = bed.mails(&ada.email).into_iter().map(|mail| mail.subject).collect();
    assert_eq!(got, subjects);
    assert_eq!(bed.mail("nobody@example.org", 1).await.subject, "Confirm your address");
    assert_eq!(bed.sign_in(&ada.email, PASSWORD).await.0, 200);
    assert_eq!(code(&bed.sign_in(&ada.email, OTHER).await), (401, "sign_in_failed"));
    // An unknown address costs the same hash: without it, the answer would come twenty times as fast.
    let took = async |email: &str| {
        let start = Instant::now();
        bed.sign_in(email, OTHER).await;
        start.elapsed()
    };
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..4 {
        known = known.min(took(&ada.email).await);
        unknown = unknown.min(took("nobody@example.org").await);
    }
    assert!(unknown > known / 3 && known > unknown / 3, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_a_mailed_token_works_once_in_time_and_for_its_purpose() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let reset =
        async |token: &str| bed.anyone("/v1/auth/reset", json!({"token": token, "password": OTHER})).await;
    let forgot = async || bed.anyone("/v1/auth/forgot", json!({"email": ada.email})).await;
    forgot().await;
    let first = bed.mail(&ada.email, 2).await.token();
    forgot().await;
    let second = bed.mail(&ada.email, 3).await.token();
    let confirm = json!({"token": first, "password": PASSWORD});
    assert_eq!(code(&bed.anyone("/v1/auth/verify", confirm).await), (400, "token_invalid"));
    sql(&bed, "UPDATE password_resets SET expires_at = now() - interval '1 s'").await;
    assert_eq!(code(&reset(&first).await), (400, "token_invalid"), "too old");
    sql(&bed, "UPDATE password_resets SET expires_at = now() + interval '1 h'").await;
    let replies = all_at_once((0..4).map(|_| {
        let body = json!({"token": first, "password": OTHER});
        read(bed.request(Method::POST, "/v1/auth/reset").json(&body))
    }))
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.0 == 204).count(), 1, "{replies:?}");
    for used in [first.as_str(), &second, "agm_", "", "agm_00", &format!("agm_{}", "0".repeat(64))] {
        assert_eq!(code(&reset(used).await), (400, "token_invalid"), "{used}");
    }
    assert_eq!(code(&me(&bed, &ada.token).await), (401, "session_invalid"), "every session has ended");
    assert_eq!(code(&bed.sign_in(&ada.email, PASSWORD).await), (401, "sign_in_failed"));
    assert_eq!(bed.sign_in(&ada.email, OTHER).await.0, 200);
    assert_eq!(bed.mail(&ada.email, 4).await.subject, "Your password was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_of_two_sign_ups_of_one_address_the_confirmed_one_counts() {
    let bed = Bed::start().await;
    let sign_up = async |password: &str| {
        let account = json!({"email": "ada@example.org", "password": password, "name": "Ada"});
        assert_eq!(bed.anyone("/v1/auth/sign-up", account).await.0, 202);
    };
    // Somebody else was first, and chose a password.
    sign_up("attacker's own passphrase").await;
    let theirs = bed.mail("ada@example.org", 1).await.token();
    sign_up(PASSWORD).await;
    let own = bed.mail("ada@example.org", 2).await.token();
    let confirm = async |token: &str, password: &str| {
        bed.anyone("/v1/auth/verify", json!({"token": token, "password": password})).await
    };
    assert_eq!(code(&confirm(&theirs, PASSWORD).await), (401, "sign_in_failed"));
    assert_eq!(confirm(&own, PASSWORD).await.0, 200);
    assert_eq!(code(&confirm(&theirs, "attacker's own passphrase").await), (400, "token_invalid"));
    assert_eq!(
        (count(&bed, "users").await, count(&bed, "orgs").await, count(&bed, "sign_ups").await),
        (1, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_tries_are_counted_per_account_even_at_once() {
    let bed = Bed::start().await;
    let (ada, eve) = (bed.person("ada").await, bed.person("eve").await);
    let body = json!({"email": ada.email, "password": OTHER});
    let tries = (0..16).map(|_| read(bed.request(Method::POST, "/v1/auth/sign-in").json(&body)));
    let replies = all_at_once(tries).await;
    let of = |status: u16| replies.iter().filter(|reply| reply.0 == status).count();
    assert_eq!((of(401), of(429)), (10, 6), "{replies:?}");
    let right = bed.request(Method::POST, "/v1/auth/sign-in");
    let right = right.json(&json!({"email": ada.email, "password": PASSWORD})).send().await.unwrap();
    assert_eq!(right.status(), 429, "the right password is no way round");
    let wait_s: u64 = right.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((60..=90).contains(&wait_s), "{wait_s}");
    assert_eq!(bed.sign_in(&eve.email, PASSWORD).await.0, 200, "somebody else is not held up");
    sql(&bed, "UPDATE throttles SET free_at = free_at - interval '91 s'").await;
    assert_eq!(bed.sign_in(&ada.email, PASSWORD).await.0, 200);
    for _ in 0..9 {
        assert_eq!(bed.sign_in(&ada.email, OTHER).await.0, 401, "what was owed is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_tries_are_counted_per_client_address_as_far_as_proxies_are_trusted() {
    let bed = Bed::with(&[("AG_ADDRESS_TRIES_MAX", "3"), ("AG_TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let guess = async |number: usize, from: &str| {
        let body = json!({"email": format!("a{number}@example.org"), "password": OTHER});
        read(bed.request(Method::POST, "/v1/auth/sign-in").header("x-forwarded-for", from).json(&body))
            .await
            .0
    };
    for number in 0..3 {
        assert_eq!(guess(number, "203.0.113.1").await, 401);
    }
    assert_eq!(guess(3, "203.0.113.1").await, 429, "one guess each at many accounts");
    assert_eq!(guess(4, "198.51.100.9, 203.0.113.1").await, 429, "whatever it says of itself");
    assert_eq!(guess(5, "203.0.113.2").await, 401);
    let email = json!({"email": "a@example.org"});
    let flood = (0..8).map(|number| {
        let from = format!("203.0.113.{}", 100 + number);
        read(bed.request(Method::POST, "/v1/auth/forgot").header("x-forwarded-for", from).json(&email))
    });
    let replies = all_at_once(flood).await;
    assert_eq!(replies.iter().filter(|reply| reply.0 == 202).count(), 5, "nobody's mailbox is flooded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_texts_of_tokens_and_passwords_are_nowhere_in_the_database() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    bed.anyone("/v1/auth/forgot", json!({"email": ada.email})).await;
    let token = bed.mail(&ada.email, 2).await.token();
    let mut db = bed.database.superuser().await;
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    for secret in [PASSWORD, ada.token.trim_start_matches("ags_"), token.trim_start_matches("agm_")] {
        for (table,) in &tables {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table} t WHERE strpos(t::text, $1) > 0"));
            let (found,): (i64,) = sqlx::query_as(sql).bind(secret).fetch_one(&mut db).await.unwrap();
            assert_eq!(found, 0, "{table}");
        }
    }
    assert!(tables.len() > 40);
}
