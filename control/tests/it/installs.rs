//! The catalog and installs: who may install what, who pays, and what happens later.

use crate::bed::{Bed, Org, bytes, code, text, version};
use alphagate_contract::{
    quota::Subject,
    record::{NameRecord, RecordValue},
};
use reqwest::Method;
use serde_json::{Value, json};

fn install(endpoint: &str, payer: &str) -> Value {
    json!({"endpoint": endpoint, "name": "poet", "payer": payer})
}

fn name_record(bed: &Bed, org: &Org) -> NameRecord {
    let RecordValue::Name(record) = bed.edge.value(&format!("v1/name/{}/poet", org.id)) else {
        panic!("no name")
    };
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_installed_is_missing_to_the_letter() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let private = bed.published(&a, "private").await;
    let path = format!("/v1/endpoints/{private}");
    bed.call("PATCH", &a.admin, &path, Some(&json!({"visibility": "private"}))).await;
    let withdrawn = bed.published(&a, "withdrawn").await;
    bed.call("POST", &a.admin, &format!("/v1/endpoints/{withdrawn}/withdraw"), None).await;
    let draft = json!({"name": "draft", "visibility": "public"});
    let draft = text(&bed.make(&a, "/v1/endpoints", draft).await["id"]);
    let suspended = bed.org("suspended").await;
    let of_suspended = bed.published(&suspended, "poem").await;
    let suspend = json!({"suspended": true});
    bed.operator("PATCH", &format!("/operator/v1/orgs/{}", suspended.id), Some(&suspend)).await;
    let missing = format!("ep_{:032x}", 9);
    let send = |endpoint: &str| {
        bed.request(Method::POST, "/v1/installs").bearer_auth(&b.admin).json(&install(endpoint, "publisher"))
    };
    let expected = bytes(send(&missing)).await;
    assert_eq!(expected.0, 404);
    for endpoint in [private, withdrawn, draft, of_suspended] {
        assert_eq!(bytes(send(&endpoint)).await, expected);
    }
    assert_eq!(bed.get(&b, "/v1/catalog").await.1["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_catalog_shows_what_is_public_and_finds_it() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("Acme 100%").await, bed.org("b").await);
    let haiku = bed.published(&a, "haiku").await;
    bed.published(&b, "limerick").await;
    let all = bed.get(&b, "/v1/catalog").await.1;
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    for q in ["haiku", "HAIK", "acme", "100%"] {
        let request = bed.request(Method::GET, "/v1/catalog").query(&[("q", q)]).bearer_auth(&b.admin);
        let found = crate::bed::read(request).await.1;
        let found = found["data"].as_array().unwrap();
        assert_eq!((found.len(), &found[0]["endpoint"]), (1, &json!(haiku)), "{q}");
        assert_eq!((&found[0]["publisher"]["id"], &found[0]["version"]), (&json!(a.id), &json!(1)));
        assert!(!found[0].to_string().contains("Write a haiku."), "instructions are the publisher's own");
    }
    assert_eq!(bed.get(&b, "/v1/catalog?q=h_iku").await.1["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_install_follows_or_is_pinned_to_what_was_once_live() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let endpoint = bed.published(&a, "haiku").await;
    bed.version(&a, &endpoint).await;
    let made = bed.make(&b, "/v1/installs", install(&endpoint, "publisher")).await;
    assert_eq!((&made["version"], &made["publisher"]), (&Value::Null, &json!(a.id)));
    assert_eq!(name_record(&bed, &b).install.unwrap().pinned, None);
    let path = format!("/v1/installs/{}", text(&made["id"]));
    let pin =
        async |version: Value| bed.call("PATCH", &b.admin, &path, Some(&json!({"version": version}))).await;
    assert_eq!(pin(json!(1)).await.0, 200);
    assert_eq!(name_record(&bed, &b).install.unwrap().pinned, Some(1));
    let draft = pin(json!(2)).await;
    let unknown = pin(json!(99)).await;
    assert_eq!(
        (draft.0, &draft.1["error"]["param"]),
        (422, &json!("version")),
        "a draft is nobody's business"
    );
    assert_eq!(draft, unknown);
    // Made private, it goes on, and may still be pinned or follow.
    let change = json!({"visibility": "private"});
    bed.call("PATCH", &a.admin, &format!("/v1/endpoints/{endpoint}"), Some(&change)).await;
    assert_eq!(pin(Value::Null).await.0, 200);
    assert_eq!(name_record(&bed, &b).install.unwrap().pinned, None);
    assert_eq!(bed.get(&b, &path).await.0, 200);
    bed.call("POST", &a.admin, &format!("/v1/endpoints/{endpoint}/withdraw"), None).await;
    assert_eq!(code(&pin(json!(1)).await), (409, "conflict"));
    let gone = bed.call("DELETE", &b.admin, &path, None).await;
    assert_eq!((gone.0, &gone.1["edge"]), (200, &json!("accepted")));
    assert_eq!(bed.edge.value(&format!("v1/name/{}/poet", b.id)), RecordValue::Gone);
    // The name is free again, and its record goes on growing.
    let before = bed.edge.record(&format!("v1/name/{}/poet", b.id)).unwrap().revision;
    bed.make(&b, "/v1/endpoints", json!({"name": "poet"})).await;
    assert!(bed.edge.record(&format!("v1/name/{}/poet", b.id)).unwrap().revision > before);
    assert_eq!(name_record(&bed, &b).publisher.to_string(), b.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_publisher_pays_only_under_its_terms_and_always_with_a_limit() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let endpoint = bed.published(&a, "haiku").await;
    let each_install = || {
        let RecordValue::Org(org) = bed.edge.value(&format!("v1/org/{}", a.id)) else { panic!() };
        org.quotas.iter().filter(|quota| matches!(quota.subject, Subject::EachInstall { .. })).count()
    };
    assert_eq!(each_install(), 1);
    let path = format!("/v1/endpoints/{endpoint}");
    let terms = async |payer: &str, limits: Value| {
        let body = json!({"installs": {"payer": payer, "limits": limits}});
        bed.call("PATCH", &a.admin, &path, Some(&body)).await
    };
    let limit = json!({"concurrency": 2});
    assert_eq!(
        terms("publisher", json!([limit, {"unit": "cost_micros", "window": "day", "cap": 5}])).await.0,
        200
    );
    assert_eq!(each_install(), 2);
    bed.make(&b, "/v1/installs", install(&endpoint, "publisher")).await;
    let none = terms("installer", json!([])).await;
    assert_eq!(
        (none.0, &none.1["error"]["param"]),
        (422, &json!("installs.limits")),
        "older installs stay limited"
    );
    assert_eq!(terms("installer", json!([limit])).await.0, 200);
    let mut other = install(&endpoint, "publisher");
    other["name"] = json!("second");
    let refused = bed.post(&b, "/v1/installs", other.clone()).await;
    assert_eq!((refused.0, &refused.1["error"]["param"]), (422, &json!("payer")));
    let own = bed.post(&a, "/v1/installs", install(&endpoint, "installer")).await;
    assert_eq!((own.0, &own.1["error"]["param"]), (422, &json!("endpoint")));
    bed.call("POST", &a.admin, &format!("{path}/withdraw"), None).await;
    assert_eq!(each_install(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_installer_who_pays_needs_a_credential_for_the_same_origin() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let credential = async |org: &Org, origin: &str| {
        let body = json!({"name": "c", "origin": origin, "secret": "sk"});
        text(&bed.make(org, "/v1/credentials", body).await["id"])
    };
    let (of_a, of_b) =
        (credential(&a, "http://127.0.0.1:9").await, credential(&b, "http://127.0.0.1:9").await);
    let elsewhere = credential(&b, "http://127.0.0.1:8").await;
    let endpoint = json!({"name": "haiku", "visibility": "public"});
    let endpoint = text(&bed.make(&a, "/v1/endpoints", endpoint).await["id"]);
    bed.make(&a, &format!("/v1/endpoints/{endpoint}/versions"), version(Some(&of_a))).await;
    bed.publish(&a, &endpoint, 1, None).await;
    let item = bed.get(&b, "/v1/catalog").await.1["data"][0].clone();
    assert_eq!(item["credential_origins"], json!(["http://127.0.0.1:9"]));
    for credential in [Value::Null, json!(elsewhere), json!(of_a), json!(format!("cred_{:032x}", 1))] {
        let mut body = install(&endpoint, "installer");
        body["credential"] = credential.clone();
        let reply = bed.post(&b, "/v1/installs", body).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("credential")), "{credential}");
    }
    let mut body = install(&endpoint, "installer");
    body["credential"] = json!(of_b);
    let made = bed.make(&b, "/v1/installs", body).await;
    assert_eq!(name_record(&bed, &b).install.unwrap().credential.unwrap().to_string(), of_b);
    let path = format!("/v1/credentials/{of_b}");
    assert_eq!(code(&bed.call("DELETE", &b.admin, &path, None).await), (409, "conflict"));
    bed.call("DELETE", &b.admin, &format!("/v1/installs/{}", text(&made["id"])), None).await;
    assert_eq!(bed.call("DELETE", &b.admin, &path, None).await.0, 200);
}
