//! C11: hosts' clocks that are wrong decide nothing.

use crate::bed::{Bed, environment, settings, text};
use alphagate_control::{
    app::App,
    platform::{Host, Platform},
    serve,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

const TEN_MINUTES_MS: i64 = 600_000;

/// The machine, with a clock that is off.
pub struct Skewed(pub i64);

impl Platform for Skewed {
    fn now_ms(&self) -> u64 {
        Host.now_ms().saturating_add_signed(self.0)
    }

    fn fill(&self, bytes: &mut [u8]) {
        Host.fill(bytes);
    }
}

/// A replica whose clock is off; gives its URL.
async fn replica(bed: &Bed, off_ms: i64) -> String {
    let settings =
        settings(&environment(&bed.secrets, &bed.database, bed.edge.url()), &[("AG_PUSH_WAIT_MS", "10")]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (app, inbox) = App::new(settings, Arc::new(Skewed(off_ms))).unwrap();
    tokio::spawn(serve::until(app, inbox, listener, std::future::pending()));
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c11_keys_expire_and_overlap_by_the_databases_clock() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let soon = chrono::DateTime::from_timestamp_millis(crate::edge::now_ms() as i64 + 60_000).unwrap();
    let body = json!({"name": "k", "scopes": ["admin"], "expires_at": soon});
    let key = text(&bed.make(&org, "/v1/keys", body.clone()).await["secret"]);
    for off_ms in [TEN_MINUTES_MS, -TEN_MINUTES_MS] {
        let url = replica(&bed, off_ms).await;
        let own = bed.http.get(format!("{url}/v1/org")).bearer_auth(&key).send().await.unwrap();
        assert_eq!(own.status().as_u16(), 200, "{off_ms}: neither expired nor unexpired by the host's clock");
        let made =
            bed.http.post(format!("{url}/v1/keys")).bearer_auth(&org.admin).json(&body).send().await.unwrap();
        assert_eq!(made.status().as_u16(), 201, "{off_ms}: a minute from now is not in the past");
        let made: Value = made.json().await.unwrap();
        let rotate = format!("{url}/v1/keys/{}/rotate", text(&made["id"]));
        let rotated = bed.http.post(rotate).bearer_auth(&org.admin).json(&json!({"overlap_s": 30}));
        assert_eq!(rotated.send().await.unwrap().status().as_u16(), 201);
        let old = bed.get(&org, &format!("/v1/keys/{}", text(&made["id"]))).await.1;
        let ends: chrono::DateTime<chrono::Utc> = text(&old["expires_at"]).parse().unwrap();
        let left_ms = ends.timestamp_millis() - crate::edge::now_ms() as i64;
        assert!((20_000..=30_000).contains(&left_ms), "{off_ms}: {left_ms} ms left");
    }
}
