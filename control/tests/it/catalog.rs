//! The catalog's search and tags, and the notices of updates.

use crate::bed::{Bed, Org, code, read, text};
use reqwest::Method;
use serde_json::{Value, json};

async fn offer(bed: &Bed, org: &Org, name: &str, description: &str, tags: &[&str]) -> String {
    let body = json!({"name": name, "visibility": "public", "description": description, "tags": tags});
    let id = text(&bed.make(org, "/v1/endpoints", body).await["id"]);
    bed.version(org, &id).await;
    bed.publish(org, &id, 1, None).await;
    id
}

async fn names(bed: &Bed, org: &Org, query: &[(&str, &str)]) -> Vec<String> {
    let request = bed.request(Method::GET, "/v1/catalog").query(query).bearer_auth(&org.admin);
    let (status, found) = read(request).await;
    assert_eq!(status, 200, "{query:?}: {found}");
    found["data"].as_array().unwrap().iter().rev().map(|item| text(&item["name"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_catalog_is_searched_by_words_and_tags() {
    let bed = Bed::start().await;
    let (acme, other) = (bed.org("Acme Poems, Ltd.").await, bed.org("b").await);
    offer(&bed, &acme, "haiku-writer.v2", "Drei Zeilen über das Meer", &["poems", "k-5"]).await;
    offer(&bed, &other, "classifier", "Sorts what people write", &["k-5"]).await;
    let hidden = json!({"name": "haiku-hidden", "tags": ["poems"]});
    bed.make(&acme, "/v1/endpoints", hidden).await;
    let both = ["haiku-writer.v2", "classifier"];
    for (query, found) in [
        (vec![], &both[..]),
        (vec![("q", "writer")], &both[..1]),
        (vec![("q", "WRIT")], &both[..]),
        (vec![("q", "v2 haiku")], &both[..1]),
        (vec![("q", "über meer")], &both[..1]),
        (vec![("q", "poems acme")], &both[..1]),
        (vec![("q", "haiku sorts")], &both[..0]),
        (vec![("q", "aiku")], &both[..0]),
        (vec![("q", "%")], &both[..0]),
        (vec![("tag", "k-5")], &both[..]),
        (vec![("tag", "poems")], &both[..1]),
        (vec![("tag", "poem")], &both[..0]),
        (vec![("tag", "k-5"), ("q", "people")], &both[1..]),
    ] {
        assert_eq!(names(&bed, &other, &query).await, found, "{query:?}");
    }
    for (query, param) in [("tag=", "tag"), ("tag=A", "tag"), ("tag=a%27", "tag")] {
        let reply = bed.get(&other, &format!("/v1/catalog?{query}")).await;
        assert_eq!(
            (code(&reply), &reply.1["error"]["param"]),
            ((400, "invalid_parameter"), &json!(param)),
            "{query}"
        );
    }
    for tags in [
        json!(["A"]),
        json!(["a b"]),
        json!([""]),
        json!(["-a"]),
        json!((0..17).map(|n| format!("t{n}")).collect::<Vec<_>>()),
    ] {
        let reply = bed.post(&acme, "/v1/endpoints", json!({"name": "tagged", "tags": tags})).await;
        assert_eq!(
            (code(&reply), &reply.1["error"]["param"]),
            ((422, "unprocessable"), &json!("tags")),
            "{tags}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tags_are_changed_as_a_whole_and_seen_at_once() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let id = offer(&bed, &org, "haiku", "", &["b", "a", "b"]).await;
    let path = format!("/v1/endpoints/{id}");
    assert_eq!(bed.get(&org, &path).await.1["tags"], json!(["a", "b"]));
    let changed = bed.call("PATCH", &org.admin, &path, Some(&json!({"tags": ["c"]}))).await.1;
    assert_eq!(changed["tags"], json!(["c"]));
    assert_eq!(names(&bed, &org, &[("tag", "c")]).await, ["haiku"]);
    assert_eq!(names(&bed, &org, &[("tag", "a")]).await, Vec::<String>::new());
    assert_eq!(
        bed.call("PATCH", &org.admin, &path, Some(&json!({"description": "d"}))).await.1["tags"],
        json!(["c"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pinned_install_is_told_of_what_is_newer() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let id = bed.published(&a, "haiku").await;
    let install = |name: &str, version: Value| json!({"endpoint": id, "name": name, "payer": "publisher", "version": version});
    let pinned = text(&bed.make(&b, "/v1/installs", install("pinned", json!(1))).await["id"]);
    bed.make(&b, "/v1/installs", install("follows", Value::Null)).await;
    let get = async || bed.get(&b, &format!("/v1/installs/{pinned}")).await.1;
    let updates = async || {
        let list = bed.get(&b, "/v1/installs?updates=true").await.1;
        list["data"].as_array().unwrap().iter().map(|install| text(&install["name"])).collect::<Vec<_>>()
    };
    assert_eq!((get().await["update_available"].clone(), updates().await.len()), (Value::Null, 0));
    bed.version(&a, &id).await;
    assert_eq!(updates().await.len(), 0, "a draft is no update");
    bed.publish(&a, &id, 2, Some(1)).await;
    assert_eq!(
        (get().await["update_available"].clone(), updates().await),
        (json!(2), vec!["pinned".to_owned()])
    );
    let late = bed.make(&b, "/v1/installs", install("late", json!(1))).await;
    assert_eq!(late["update_available"], 2);
    // Pages of the filtered list neither repeat nor skip.
    let first = bed.get(&b, "/v1/installs?updates=true&limit=1").await.1;
    assert_eq!(first["data"][0]["name"], "late");
    let next = format!("/v1/installs?updates=true&limit=1&cursor={}", text(&first["next_cursor"]));
    let second = bed.get(&b, &next).await.1;
    assert_eq!((&second["data"][0]["name"], &second["next_cursor"]), (&json!("pinned"), &Value::Null));
    let path = format!("/v1/installs/{pinned}");
    let moved = bed.call("PATCH", &b.admin, &path, Some(&json!({"version": 2}))).await.1;
    assert_eq!((&moved["version"], &moved["update_available"]), (&json!(2), &Value::Null));
    assert_eq!(updates().await, ["late"]);
    // What is withdrawn has no newer version.
    bed.call("POST", &a.admin, &format!("/v1/endpoints/{id}/withdraw"), Some(&json!({}))).await;
    assert_eq!(updates().await.len(), 0);
    assert_eq!(code(&bed.get(&b, "/v1/installs?updates=yes").await), (400, "invalid_parameter"));
}
