//! C10: Postgres goes away and comes back.

use crate::{
    bed::{Bed, Control, code, environment, read, settings},
    pg::Database,
};
use reqwest::Method;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// A line to Postgres that can be cut: all connections end, and new ones are refused.
pub struct Line {
    port: u16,
    up: Arc<AtomicBool>,
    cuts: watch::Sender<u32>,
}

impl Line {
    pub async fn to_database(database: &Database) -> Self {
        let url: Url = database.tenant_url().parse().unwrap();
        Self::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432))).await
    }

    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (up, (cuts, cut)) = (Arc::new(AtomicBool::new(true)), watch::channel(0));
        let open = up.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, mut cut) = (target.clone(), cut.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port, up, cuts }
    }

    pub fn cut(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub fn mend(&self) {
        self.up.store(true, Ordering::SeqCst);
    }

    pub fn through(&self, url: &str) -> String {
        let mut url: Url = url.parse().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c10_without_postgres_it_is_503_and_it_heals_by_itself() {
    let mut bed = Bed::start().await;
    let org = bed.org("a").await;
    let line = Line::to_database(&bed.database).await;
    let (tenant, system) =
        (line.through(&bed.database.tenant_url()), line.through(&bed.database.system_url()));
    bed.control.stop().await;
    let changes = [
        ("AG_DATABASE_URL", tenant.as_str()),
        ("AG_SYSTEM_DATABASE_URL", &system),
        ("AG_DATABASE_WAIT_MS", "1500"),
    ];
    bed.control =
        Control::start(settings(&environment(&bed.secrets, &bed.database, bed.edge.url()), &changes)).await;
    let make = || {
        read(
            bed.request(Method::POST, "/v1/keys")
                .bearer_auth(&org.admin)
                .json(&json!({"name": "k", "scopes": ["call"]})),
        )
    };
    assert_eq!(make().await.0, 201);
    // Cut in the middle of transactions.
    let running: Vec<_> = (0..8).map(|_| tokio::spawn(make())).collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    line.cut();
    for call in running {
        let reply = call.await.unwrap();
        assert!(reply.0 == 201 || code(&reply) == (503, "store_unavailable"), "{reply:?}");
    }
    let response = bed.request(Method::GET, "/v1/org").bearer_auth(&org.admin).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(code(&read(bed.request(Method::GET, "/readyz")).await), (503, "store_unavailable"));
    assert_eq!(read(bed.request(Method::GET, "/healthz")).await.0, 200);
    line.mend();
    let mended = Instant::now();
    while make().await.0 != 201 {
        assert!(mended.elapsed() < Duration::from_secs(5), "not healed after {:?}", mended.elapsed());
    }
    assert_eq!(read(bed.request(Method::GET, "/readyz")).await.0, 200);
    // No half rows: a key without its record, or the other way round.
    let mut db = bed.database.superuser().await;
    let (odd,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM keys FULL JOIN records ON records.key = 'v1/key/key_' || replace(keys.id::text, '-', '')
         WHERE (keys.id IS NULL AND records.key LIKE 'v1/key/%') OR records.key IS NULL",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(odd, 0);
    // The trail is what there is: each key has its entry, and each entry its key.
    let (odd,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM keys FULL JOIN (SELECT * FROM audit WHERE subject_kind = 'key' AND verb = 'create') AS made
            ON subject_id = 'key_' || replace(keys.id::text, '-', '')
         WHERE keys.id IS NULL OR made.id IS NULL",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(odd, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c10_all_backends_end_at_once_and_the_next_request_is_served() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let mut db = bed.database.superuser().await;
    for _ in 0..3 {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .execute(&mut db)
            .await
            .unwrap();
        let started = Instant::now();
        while bed.get(&org, "/v1/org").await.0 != 200 {
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        let made = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
        assert_eq!(made["edge"], "accepted");
    }
}
