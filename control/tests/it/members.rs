//! Members, roles and invitations: who gets in, what each may hand out, and that an org keeps an owner.
//!
//! With API1, API3 and API5 of OWASP's API Security Top 10 (2023), where they are about members.

use crate::{
    bed::{Bed, bytes, code, read, text},
    bodies::all_at_once,
    people::Person,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

/// The roles of an org's members, by their names.
async fn roles(bed: &Bed, person: &Person, org: &str) -> Vec<(String, String)> {
    let list = bed.as_member(person, org, "GET", "/v1/members", Value::Null).await.1;
    let mut roles: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["role"]))).collect();
    roles.sort();
    roles
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_member_comes_in_by_mail_works_in_their_role_and_is_out_at_once() {
    let bed = Bed::start().await;
    let (ada, ben) = (bed.person("ada").await, bed.person("ben").await);
    let lab = bed.org_of(&ada, "Ada's Lab").await;
    assert_eq!(bed.by(&ben, &lab.id, "GET", "/v1/org").send().await.unwrap().status(), 404);
    bed.join(&ada, &lab.id, &ben, "viewer").await;
    let mail = bed.mails(&ben.email).pop().unwrap();
    assert!(mail.subject == "You are invited" && mail.text.contains("\"Ada's Lab\""), "{mail:?}");
    assert_eq!(roles(&bed, &ben, &lab.id).await, pairs(&[("ada", "owner"), ("ben", "viewer")]));
    let endpoint = json!({"name": "haiku"});
    let make = async || bed.as_member(&ben, &lab.id, "POST", "/v1/endpoints", endpoint.clone()).await;
    let refused = make().await;
    assert_eq!(code(&refused), (403, "role_missing"));
    assert!(text(&refused.1["error"]["message"]).contains("developer"), "{}", refused.1);
    let path = format!("/v1/members/{}", ben.id);
    let promoted = bed.as_member(&ada, &lab.id, "PATCH", &path, json!({"role": "developer"})).await;
    assert_eq!(
        (promoted.0, &promoted.1["role"], &promoted.1["email"]),
        (200, &json!("developer"), &json!(ben.email))
    );
    assert_eq!(make().await.0, 201, "the new role counts from the next request on");
    assert_eq!(bed.as_member(&ada, &lab.id, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(code(&make().await), (404, "not_found"));
    assert_eq!(bed.as_member(&ada, &lab.id, "DELETE", &path, Value::Null).await.0, 404);
    // Whoever leaves is out, and comes back by another mail.
    bed.join(&ada, &lab.id, &ben, "parent").await;
    assert_eq!(bed.as_member(&ben, &lab.id, "POST", "/v1/org/leave", Value::Null).await.0, 204);
    assert_eq!(code(&bed.as_member(&ben, &lab.id, "GET", "/v1/org", Value::Null).await), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api2_an_invitation_is_for_its_address_once_and_in_time() {
    let bed = Bed::start().await;
    let (ada, ben, eve) = (bed.person("ada").await, bed.person("ben").await, bed.person("eve").await);
    let lab = bed.org_of(&ada, "lab").await;
    let invite = async || {
        let body = json!({"email": ben.email, "role": "viewer"});
        let (status, made) = bed.as_member(&ada, &lab.id, "POST", "/v1/invitations", body).await;
        assert_eq!(status, 201, "{made}");
        assert!(!made.to_string().contains("agm_"), "who invites does not see the token");
        text(&made["id"])
    };
    let accept = async |person: &Person, token: &str| {
        let body = json!({"token": token});
        read(bed.by(person, &lab.id, "POST", "/v1/invitations/accept").json(&body)).await
    };
    let invalid = (400, "token_invalid");
    let first = invite().await;
    let old = bed.mail(&ben.email, 2).await.token();
    assert_eq!(code(&accept(&eve, &old).await), invalid, "another address");
    invite().await;
    let token = bed.mail(&ben.email, 3).await.token();
    assert_eq!(code(&accept(&ben, &old).await), invalid, "a newer one took its place");
    let again =
        bed.as_member(&ada, &lab.id, "DELETE", &format!("/v1/invitations/{first}"), Value::Null).await;
    assert_eq!(again.0, 204);
    let mut db = bed.database.superuser().await;
    let mut late = async |sign: &str| {
        let sql = format!("UPDATE invitations SET expires_at = now() {sign} interval '1 s' * 60");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    };
    late("-").await;
    assert_eq!(code(&accept(&ben, &token).await), invalid, "too late");
    late("+").await;
    let twice = all_at_once((0..4).map(|_| {
        let request = bed.by(&ben, &lab.id, "POST", "/v1/invitations/accept");
        read(request.json(&json!({"token": token})))
    }))
    .await;
    assert_eq!(twice.iter().filter(|reply| reply.0 == 200).count(), 1, "{twice:?}");
    assert_eq!(code(&accept(&ben, &token).await), invalid, "used");
    let third = invite().await;
    let token = bed.mail(&ben.email, 4).await.token();
    assert_eq!(code(&accept(&ben, &token).await), (409, "conflict"), "a member stays what they are");
    let path = format!("/v1/invitations/{third}");
    assert_eq!(bed.as_member(&ada, &lab.id, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(code(&accept(&ben, &token).await), invalid, "taken back");
    let list = bed.as_member(&ada, &lab.id, "GET", "/v1/invitations", Value::Null).await.1;
    let state =
        |at: usize| (list["data"][at]["accepted_at"].is_string(), list["data"][at]["revoked_at"].is_string());
    assert_eq!((state(0), state(1), state(2)), ((false, true), (true, false), (false, true)));
    let accepted = format!("/v1/invitations/{}", text(&list["data"][1]["id"]));
    assert_eq!(bed.as_member(&ada, &lab.id, "DELETE", &accepted, Value::Null).await.0, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api5_nobody_hands_out_or_takes_away_more_than_they_have() {
    let bed = Bed::start().await;
    let owner = bed.person("owner").await;
    let lab = bed.org_of(&owner, "lab").await;
    let (admin, developer, teacher) =
        (bed.person("admin").await, bed.person("developer").await, bed.person("teacher").await);
    for (person, role) in [(&admin, "admin"), (&developer, "developer"), (&teacher, "teacher")] {
        bed.join(&owner, &lab.id, person, role).await;
    }
    let invite = async |person: &Person, role: &str| {
        let body = json!({"email": format!("new.{role}@example.org"), "role": role});
        bed.as_member(person, &lab.id, "POST", "/v1/invitations", body).await.0
    };
    for (person, role, status) in [
        (&owner, "owner", 201),
        (&admin, "owner", 403),
        (&admin, "admin", 201),
        (&teacher, "student", 201),
        (&teacher, "parent", 201),
        (&teacher, "viewer", 403),
        (&teacher, "admin", 403),
        (&developer, "parent", 403),
    ] {
        assert_eq!(invite(person, role).await, status, "{} invites {role}", person.email);
    }
    let by_key = json!({"email": "x@example.org", "role": "owner"});
    assert_eq!(code(&bed.post(&lab, "/v1/invitations", by_key).await), (403, "scope_missing"));
    let change = async |by: &Person, of: &Person, role: &str| {
        bed.as_member(by, &lab.id, "PATCH", &format!("/v1/members/{}", of.id), json!({"role": role})).await.0
    };
    let remove = async |by: &Person, of: &Person| {
        bed.as_member(by, &lab.id, "DELETE", &format!("/v1/members/{}", of.id), Value::Null).await.0
    };
    assert_eq!(change(&admin, &admin, "owner").await, 403);
    assert_eq!(change(&admin, &owner, "viewer").await, 403);
    assert_eq!(remove(&admin, &owner).await, 403);
    assert_eq!(change(&developer, &developer, "admin").await, 403);
    assert_eq!(remove(&teacher, &developer).await, 403);
    // Keys are power, too.
    let key = async |person: &Person, scopes: &[&str]| {
        let body = json!({"name": "k", "scopes": scopes});
        bed.as_member(person, &lab.id, "POST", "/v1/keys", body).await
    };
    assert_eq!(key(&developer, &["call", "evals"]).await.0, 201);
    assert_eq!(key(&teacher, &["call"]).await.0, 201);
    for (person, scopes) in
        [(&developer, &["admin"][..]), (&developer, &["call", "admin"]), (&teacher, &["call", "evals"])]
    {
        assert_eq!(code(&key(person, scopes).await), (403, "role_missing"), "{scopes:?}");
    }
    let (status, strong) = key(&admin, &["admin", "gate", "force"]).await;
    assert_eq!(status, 201);
    let path = format!("/v1/keys/{}", text(&strong["id"]));
    let rotate = json!({"overlap_s": 60});
    let rotated = bed.as_member(&developer, &lab.id, "POST", &format!("{path}/rotate"), rotate).await;
    assert_eq!(code(&rotated), (403, "role_missing"), "its successor would be shown");
    assert_eq!(bed.as_member(&developer, &lab.id, "DELETE", &path, Value::Null).await.0, 403);
    assert_eq!(bed.as_member(&owner, &lab.id, "DELETE", &path, Value::Null).await.0, 200);
    // API3: what is not the caller's to say is refused.
    for body in [
        json!({"role": "viewer", "org_id": lab.id}),
        json!({"role": "viewer", "personal": true}),
        json!({"role": "god"}),
        json!({}),
    ] {
        let reply = bed.as_member(&owner, &lab.id, "PATCH", &format!("/v1/members/{}", admin.id), body).await;
        assert_eq!(code(&reply), (422, "unprocessable"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_org_keeps_an_owner_whoever_goes_at_once() {
    let bed = Bed::start().await;
    let (ada, ben) = (bed.person("ada").await, bed.person("ben").await);
    let path = |person: &Person| format!("/v1/members/{}", person.id);
    let mut both_ways = 0;
    for round in 0..6 {
        let org = bed.org_of(&ada, "lab").await.id;
        bed.join(&ada, &org, &ben, "owner").await;
        let demote =
            |by: &Person, of: &Person| bed.by(by, &org, "PATCH", &path(of)).json(&json!({"role": "viewer"}));
        let (one, other) = match round % 3 {
            0 => (demote(&ada, &ben), demote(&ben, &ada)),
            1 => (bed.by(&ada, &org, "POST", "/v1/org/leave"), bed.by(&ben, &org, "POST", "/v1/org/leave")),
            _ => (bed.by(&ada, &org, "DELETE", &path(&ada)), demote(&ada, &ben)),
        };
        let replies = all_at_once([read(one), read(other)].into_iter()).await;
        let done = replies.iter().filter(|reply| [200, 204].contains(&reply.0)).count();
        assert_eq!(done, 1, "{round}: {replies:?}");
        let mut db = bed.database.superuser().await;
        let owners: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM memberships WHERE role = 'owner' AND org_id = $1::text::uuid",
        )
        .bind(org.replace("org_", ""))
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert_eq!(owners.0, 1, "{round}");
        both_ways += 1;
        // Leaves of the mail limit for the next round.
        sqlx::query("DELETE FROM throttles").execute(&mut db).await.unwrap();
    }
    assert_eq!(both_ways, 6);
    let alone = bed.org_of(&ada, "alone").await.id;
    for request in [
        bed.by(&ada, &alone, "POST", "/v1/org/leave"),
        bed.by(&ada, &alone, "DELETE", &path(&ada)),
        bed.by(&ada, &alone, "PATCH", &path(&ada)).json(&json!({"role": "admin"})),
    ] {
        assert_eq!(code(&read(request).await), (409, "conflict"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn api1_members_and_invitations_of_another_org_are_not_there() {
    let bed = Bed::start().await;
    let (ada, eve) = (bed.person("ada").await, bed.person("eve").await);
    let (lab, den) = (bed.org_of(&ada, "lab").await, bed.org_of(&eve, "den").await);
    let body = json!({"email": "new@example.org", "role": "viewer"});
    let made = bed.make(&lab, "/v1/invitations", body).await;
    let role = json!({"role": "viewer"});
    for (method, foreign, missing, body) in [
        ("PATCH", format!("/v1/members/{}", ada.id), format!("/v1/members/usr_{:032x}", 7), Some(&role)),
        ("DELETE", format!("/v1/members/{}", ada.id), format!("/v1/members/usr_{:032x}", 7), None),
        (
            "DELETE",
            format!("/v1/invitations/{}", text(&made["id"])),
            format!("/v1/invitations/inv_{:032x}", 7),
            None,
        ),
    ] {
        let send = |path: &str| {
            let request = bed.by(&eve, &den.id, method, path);
            bytes(if let Some(body) = body { request.json(body) } else { request })
        };
        let answer = send(&foreign).await;
        assert_eq!(answer.0, 404, "{method} {foreign}: {}", answer.1);
        assert_eq!(answer, send(&missing).await);
    }
    let members = bed.get(&den, "/v1/members").await.1;
    assert!(members["data"].as_array().unwrap().len() == 1 && !members.to_string().contains(&ada.email));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_user_publishes_forces_and_demands_is_noted_as_theirs() {
    let bed = Bed::start().await;
    let ada = bed.person("ada").await;
    let lab = bed.org_of(&ada, "lab").await;
    let endpoint = text(&bed.make(&lab, "/v1/endpoints", json!({"name": "haiku"})).await["id"]);
    bed.version(&lab, &endpoint).await;
    let path = format!("/v1/endpoints/{endpoint}");
    let (status, gate) =
        bed.as_member(&ada, &lab.id, "PUT", &format!("{path}/gate"), json!({"evals": []})).await;
    assert_eq!(status, 200, "{gate}");
    let gate = bed.get(&lab, &format!("{path}/gate")).await.1;
    assert_eq!((&gate["changed_by_user"], &gate["changed_by"]), (&json!(ada.id), &Value::Null));
    let force = json!({"version": 1, "expected_live": null, "force": true});
    let (status, live) = bed.as_member(&ada, &lab.id, "POST", &format!("{path}/publications"), force).await;
    assert_eq!((status, &live["state"]), (201, &json!("live")), "{live}");
    assert_eq!((&live["forced_by_user"], &live["forced_by"]), (&json!(ada.id), &Value::Null));
}
