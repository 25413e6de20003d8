//! C05: lists, limits and cursors.

use crate::bed::{Bed, Org, code, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn walk(bed: &Bed, org: &Org, path: &str, limit: &str) -> (usize, Vec<Value>) {
    let (mut items, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let (status, page) = bed.get(org, &format!("{path}?limit={limit}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        items.extend(page["data"].as_array().unwrap().clone());
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (pages, items),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c05_pages_neither_repeat_nor_skip_and_limits_are_clamped() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for number in 0..104 {
        bed.make(&org, "/v1/keys", json!({"name": format!("k{number}"), "scopes": ["call"]})).await;
    }
    for (limit, expected_pages) in
        [("10", 11), ("1000000000", 2), ("0", 105), ("-3", 105), ("99999999999999999999", 2)]
    {
        let (pages, items) = walk(&bed, &org, "/v1/keys", limit).await;
        let ids: BTreeSet<String> = items.iter().map(|item| text(&item["id"])).collect();
        assert_eq!((pages, items.len(), ids.len()), (expected_pages, 105, 105), "limit={limit}");
        assert!(items.is_sorted_by(|a, b| text(&a["id"]) > text(&b["id"])), "newest first");
    }
    assert_eq!(bed.get(&org, "/v1/keys").await.1["data"].as_array().unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c05_forged_and_foreign_cursors_are_400() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let endpoint = bed.published(&a, "e").await;
    for number in 0..3 {
        bed.make(&a, "/v1/keys", json!({"name": format!("k{number}"), "scopes": ["call"]})).await;
        bed.version(&a, &endpoint).await;
    }
    let cursor = text(&bed.get(&a, "/v1/keys?limit=1").await.1["next_cursor"]);
    assert_eq!(bed.get(&a, &format!("/v1/keys?cursor={cursor}")).await.0, 200);
    let mut damaged = cursor.clone().into_bytes();
    *damaged.last_mut().unwrap() ^= 1;
    let damaged = String::from_utf8(damaged).unwrap();
    let long = "0".repeat(5_000);
    let forged = [
        (&a, format!("/v1/keys?cursor={damaged}")),
        (&a, "/v1/keys?cursor=".into()),
        (&a, "/v1/keys?cursor=key_0198c0de00007000800000000000000a".into()),
        (&a, format!("/v1/keys?cursor={long}")),
        (&b, format!("/v1/keys?cursor={cursor}")),
        (&a, format!("/v1/endpoints?cursor={cursor}")),
        (&a, format!("/v1/endpoints/{endpoint}/versions?cursor={cursor}")),
        (&a, format!("/v1/usage?cursor={cursor}")),
        (&a, format!("/v1/catalog?cursor={cursor}")),
    ];
    for (org, path) in forged {
        let reply = bed.get(org, &path).await;
        assert_eq!(code(&reply), (400, "invalid_parameter"), "{path}");
        assert_eq!(reply.1["error"]["param"], "cursor");
    }
    for path in [
        "/v1/keys?limit=abc",
        "/v1/keys?limit=",
        "/v1/keys?offset=1",
        "/v1/keys?limit=1&limit=2",
        "/v1/catalog?q=%00",
    ] {
        assert_eq!(code(&bed.get(&a, path).await), (400, "invalid_parameter"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_list_goes_page_by_page() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let endpoint = bed.published(&a, "e0").await;
    for number in 1..4_u64 {
        let published = bed.published(&a, &format!("e{number}")).await;
        bed.version(&a, &endpoint).await;
        bed.publish(&a, &endpoint, number + 1, Some(number)).await;
        let install = json!({"endpoint": published, "name": format!("i{number}"), "payer": "publisher"});
        bed.make(&b, "/v1/installs", install).await;
        let secret = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk"});
        bed.make(&a, "/v1/credentials", secret).await;
        bed.job(&a, crate::jobs_hosts::job()).await;
    }
    let lists = [
        (&a, "/v1/credentials".to_owned(), 3),
        (&a, "/v1/endpoints".into(), 4),
        (&a, format!("/v1/endpoints/{endpoint}/versions"), 4),
        (&a, format!("/v1/endpoints/{endpoint}/publications"), 4),
        (&b, "/v1/installs".into(), 3),
        (&b, "/v1/catalog".into(), 4),
        (&a, "/v1/jobs".into(), 3),
    ];
    for (org, path, count) in lists {
        let (pages, items) = walk(&bed, org, &path, "1").await;
        assert_eq!((pages, items.len()), (count, count), "{path}");
    }
    let orgs = bed.operator("GET", "/operator/v1/orgs?limit=1", None).await.1;
    let next = bed
        .operator("GET", &format!("/operator/v1/orgs?cursor={}", text(&orgs["next_cursor"])), None)
        .await
        .1;
    assert_eq!((&orgs["data"][0]["name"], &next["data"][0]["name"]), (&json!("b"), &json!("a")));
}
