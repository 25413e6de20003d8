//! The vault: envelopes in the database, the move from the last release's form, and rotations of every key of ours.

use crate::{
    bed::{Bed, Control, Org, Secrets, code, environment, read, secrets, settings, text, version},
    credentials::opened,
    edge::now_ms,
    pg::{Database, TENANT, connect},
};
use alphagate_contract::{id::RequestId, ring::Ring};
use alphagate_control::store::MIGRATIONS;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use uuid::Uuid;

/// The last migration that programs of the last release know.
const LAST_RELEASE: i64 = 15;

fn new(secret: &str) -> Value {
    json!({"name": "openai", "origin": "http://127.0.0.1:9", "secret": secret})
}

fn uuid(id: &str) -> Uuid {
    id.split_once('_').unwrap().1.parse().unwrap()
}

/// `name`'s ring with a fresh entry in front of those that are there.
fn with_new_entry(secrets: &Secrets, name: &str) -> Secrets {
    let fresh = crate::bed::secrets();
    let mut rotated = secrets.clone();
    rotated.insert(name.into(), format!("{},{}", fresh[name], secrets[name]));
    rotated
}

/// A replica with these secrets.
async fn replica(bed: &Bed, secrets: &Secrets, changes: &[(&str, &str)]) -> Control {
    Control::start(settings(&environment(secrets, &bed.database, bed.edge.url()), changes)).await
}

async fn operator(bed: &Bed, control: &Control, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = bed.http.request(method.parse().unwrap(), format!("{}{path}", control.url));
    read(request.bearer_auth(&bed.secrets["AG_OPERATOR_TOKEN"]).json(&body)).await
}

/// Until it is so; housekeeping and pushes take a moment.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 10 s");
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Row {
    secret: Option<Vec<u8>>,
    sealed: Option<Vec<u8>>,
    data_key: Option<i32>,
    last_four: Option<String>,
}

async fn row(db: &mut PgConnection, credential: &str) -> Row {
    sqlx::query_as("SELECT secret, sealed, data_key, last_four FROM credentials WHERE id = $1")
        .bind(uuid(credential))
        .fetch_one(db)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_is_under_its_orgs_data_key_and_opens_in_its_own_place_only() {
    let (bed, _held) = Bed::without_housekeeping().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let mut ids = Vec::new();
    for (org, secret) in [(&a, "sk-first-of-a-0001"), (&a, "sk-second-of-a-0002"), (&b, "sk-first-of-b-0003")]
    {
        let made = bed.make(org, "/v1/credentials", new(secret)).await;
        assert_eq!(made["last_four"], secret[secret.len() - 4..]);
        assert_eq!((&made["uses"], &made["last_used_at"]), (&json!(0), &Value::Null));
        ids.push(text(&made["id"]));
    }
    let mut db = bed.database.superuser().await;
    let before = [row(&mut db, &ids[0]).await, row(&mut db, &ids[1]).await, row(&mut db, &ids[2]).await];
    for row in &before {
        assert_eq!((row.data_key, &row.secret), (Some(1), &None), "a new installation keeps no copies");
    }
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT master_key FROM data_keys").fetch_all(&mut db).await.unwrap();
    let kid = bed.secrets["AG_MASTER_RING"].split(':').next().unwrap();
    assert_eq!(names, [(format!("local:{kid}"),), (format!("local:{kid}"),)]);
    // What is moved to another row or org, or put back after a rotation, does not open.
    let put = async |db: &mut PgConnection, id: &str, sealed: &Option<Vec<u8>>| {
        sqlx::query("UPDATE credentials SET sealed = $2 WHERE id = $1")
            .bind(uuid(id))
            .bind(sealed)
            .execute(db)
            .await
            .unwrap();
    };
    let rotate = async |org: &Org| {
        let path = format!("/operator/v1/orgs/{}/data-key", org.id);
        let (status, rotated) = bed.operator("POST", &path, None).await;
        assert_eq!(status, 201, "{rotated}");
        rotated
    };
    put(&mut db, &ids[0], &before[1].sealed).await;
    let rotated = rotate(&a).await;
    assert_eq!(rotated["credentials"], json!({"done": 1, "failed": 1, "left": 1}));
    assert_eq!((&rotated["number"], &rotated["destroyed"]), (&json!(2), &json!([])));
    put(&mut db, &ids[2], &before[0].sealed).await;
    assert_eq!(rotate(&b).await["credentials"], json!({"done": 0, "failed": 1, "left": 1}));
    put(&mut db, &ids[0], &before[0].sealed).await;
    put(&mut db, &ids[2], &before[2].sealed).await;
    let (status, renewed) = bed.operator("POST", "/operator/v1/vault/renew", Some(&json!({}))).await;
    assert_eq!((status, &renewed["destroyed"]), (200, &json!(2)), "{renewed}");
    let older = row(&mut db, &ids[0]).await.sealed;
    let secret = json!({"secret": "sk-third-of-a-0004"});
    let path = format!("/v1/credentials/{}/secret", ids[0]);
    let changed = bed.call("PUT", &a.admin, &path, Some(&secret)).await.1;
    assert_eq!(changed["last_four"], "0004");
    put(&mut db, &ids[0], &older).await;
    assert_eq!(rotate(&a).await["credentials"], json!({"done": 1, "failed": 1, "left": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_data_key_is_rotated_and_the_edge_need_not_be_told() {
    let (bed, _held) = Bed::without_housekeeping().await;
    let org = bed.org("a").await;
    let path = format!("/operator/v1/orgs/{}/data-key", org.id);
    let none_yet = bed.operator("POST", &path, None).await;
    assert_eq!((none_yet.0, &none_yet.1["number"]), (201, &json!(1)), "{}", none_yet.1);
    let id = text(&bed.make(&org, "/v1/credentials", new("sk-kept-for-good")).await["id"]);
    let pushes = bed.edge.order(&org.id).len();
    let (status, rotated) = bed.operator("POST", &path, None).await;
    assert_eq!((status, &rotated["destroyed"]), (201, &json!([1])), "{rotated}");
    assert_eq!(rotated["credentials"], json!({"done": 1, "failed": 0, "left": 0}));
    assert_eq!(row(&mut bed.database.superuser().await, &id).await.data_key, Some(2));
    assert_eq!(bed.edge.order(&org.id).len(), pushes);
    assert_eq!(opened(&bed, &org, &id, &bed.secrets["AG_SEAL_PRIVATE_KEYS"]), "sk-kept-for-good");
    let trail = bed.get(&org, "/v1/audit?limit=3").await.1;
    let verbs: Vec<&str> =
        trail["data"].as_array().unwrap().iter().map(|entry| entry["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["destroy", "seal anew", "rotate"], "{trail}");
    let nobody = format!("/operator/v1/orgs/org_{:032x}/data-key", 7);
    assert_eq!(code(&bed.operator("POST", &nobody, None).await), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_master_key_is_rotated_in_batches_and_goes_on_where_it_was() {
    // Housekeeping would renew, too.
    let (mut bed, held) = Bed::without_housekeeping().await;
    let rotated = with_new_entry(&bed.secrets, "AG_MASTER_RING");
    let next = replica(&bed, &rotated, &[]).await;
    let mut orgs = Vec::new();
    for number in 0..5 {
        let org = bed.org(&format!("org {number}")).await;
        let id = text(&bed.make(&org, "/v1/credentials", new("sk-under-a-master")).await["id"]);
        orgs.push((org, id));
    }
    let progress = async |control: &Control| {
        let limit = json!({"limit": 2});
        let (status, renewed) = operator(&bed, control, "POST", "/operator/v1/vault/renew", limit).await;
        assert_eq!((status, &renewed["data_keys"]["failed"]), (200, &json!(0)), "{renewed}");
        (renewed["data_keys"]["done"].as_i64().unwrap(), renewed["data_keys"]["left"].as_i64().unwrap())
    };
    assert_eq!(progress(&next).await, (2, 3));
    // Old and new replicas, and keys under both: each does with both what it can.
    for (control, (org, _)) in [(&next, &orgs[4]), (&bed.control, &orgs[4]), (&next, &orgs[0])] {
        let made = bed.http.post(format!("{}/v1/credentials", control.url)).bearer_auth(&org.admin);
        assert_eq!(read(made.json(&new("sk-meanwhile"))).await.0, 201);
    }
    let refused = bed.post(&orgs[0].0, "/v1/credentials", new("sk-x")).await;
    assert_eq!(code(&refused), (503, "vault_unavailable"), "that replica has not been told of the new key");
    assert_eq!(progress(&next).await, (2, 1));
    assert_eq!(progress(&next).await, (1, 0));
    assert_eq!(progress(&next).await, (0, 0));
    held.close().await.unwrap();
    let state = operator(&bed, &next, "GET", "/operator/v1/vault", Value::Null).await.1;
    let kid = rotated["AG_MASTER_RING"].split(':').next().unwrap();
    assert_eq!(state["wrapped_by"], json!([{"key": format!("local:{kid}"), "count": 5}]), "{state}");
    assert_eq!((&state["master_key"], &state["missing"]), (&json!(format!("local:{kid}")), &json!([])));
    let missing = bed.operator("GET", "/operator/v1/vault", None).await.1["missing"].clone();
    assert_eq!(missing, json!([format!("local:{kid}")]), "the old replica lacks the key");
    // The old master key is nowhere needed any more.
    bed.control.stop().await;
    let mut new_only = rotated.clone();
    new_only.insert("AG_MASTER_RING".into(), rotated["AG_MASTER_RING"].split(',').next().unwrap().to_owned());
    bed.control = replica(&bed, &new_only, &[]).await;
    for (org, id) in &orgs {
        let (status, rotated) =
            bed.operator("POST", &format!("/operator/v1/orgs/{}/data-key", org.id), None).await;
        assert_eq!((status, &rotated["credentials"]["failed"]), (201, &json!(0)), "{rotated}");
        assert_eq!(opened(&bed, org, id, &bed.secrets["AG_SEAL_PRIVATE_KEYS"]), "sk-under-a-master");
    }
    let trail = bed.get(&orgs[0].0, "/v1/audit?limit=100").await.1.to_string();
    assert!(trail.contains("wrap anew"), "{trail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn master_keys_may_lie_in_a_file_or_be_the_vaults_ring() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    bed.make(&org, "/v1/credentials", new("sk-in-a-file-0001")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("master.ring");
    let mut without = bed.secrets.clone();
    std::fs::write(&file, format!("{}\n", without.remove("AG_MASTER_RING").unwrap())).unwrap();
    let by_file = replica(&bed, &without, &[("AG_MASTER_RING_FILE", file.to_str().unwrap())]).await;
    let by_vaults_ring = replica(&bed, &without, &[]).await;
    for (control, status) in [(&by_file, 201), (&by_vaults_ring, 503)] {
        let made = bed.http.post(format!("{}/v1/credentials", control.url)).bearer_auth(&org.admin);
        assert_eq!(read(made.json(&new("sk-another"))).await.0, status);
    }
    let state = operator(&bed, &by_vaults_ring, "GET", "/operator/v1/vault", Value::Null).await.1;
    let kid = without["AG_VAULT_RING"].split(':').next().unwrap();
    assert_eq!(state["master_key"], format!("local:{kid}"));
}

/// A text as programs of the last release encrypt and decrypt it.
struct OldForm {
    kid: String,
    key: [u8; 32],
}

impl OldForm {
    fn new(secrets: &Secrets) -> Self {
        let ring = Ring::parse(&secrets["AG_VAULT_RING"]).unwrap();
        let (kid, key) = ring.current();
        Self { kid: kid.to_string(), key: *key }
    }

    fn purpose(org: &str, credential: &str) -> String {
        format!("credential\n{org}\n{credential}")
    }

    fn seal(&self, org: &str, credential: &str, secret: &str) -> Vec<u8> {
        let nonce = [7; 24];
        let purpose = Self::purpose(org, credential);
        let payload = Payload { msg: secret.as_bytes(), aad: purpose.as_bytes() };
        let text = XChaCha20Poly1305::new(&self.key.into()).encrypt(&XNonce::from(nonce), payload).unwrap();
        [self.kid.as_bytes(), b":", &nonce, &text].concat()
    }

    fn open(&self, org: &str, credential: &str, sealed: &[u8]) -> String {
        let rest = sealed.strip_prefix(format!("{}:", self.kid).as_bytes()).expect("its own key");
        let (nonce, text) = rest.split_at(24);
        let nonce: [u8; 24] = nonce.try_into().unwrap();
        let purpose = Self::purpose(org, credential);
        let payload = Payload { msg: text, aad: purpose.as_bytes() };
        let clear = XChaCha20Poly1305::new(&self.key.into()).decrypt(&XNonce::from(nonce), payload).unwrap();
        String::from_utf8(clear).unwrap()
    }
}

/// As a program of the last release does it, to the letter.
async fn in_old_form(
    db: &mut PgConnection,
    org: &str,
    sql: &'static str,
    binds: (Uuid, Vec<u8>, &str, &str),
) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.org_id', $1, true)")
        .bind(uuid(org).to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    let (id, secret, vault_kid, seal_kid) = binds;
    let done = sqlx::query(sql).bind(uuid(org)).bind(id).bind(secret).bind(vault_kid).bind(seal_kid);
    assert_eq!(done.execute(&mut *tx).await.unwrap().rows_affected(), 1);
    tx.commit().await.unwrap();
}

const OLD_CREATE: &str = "INSERT INTO credentials (org_id, id, name, origin, secret, vault_kid, seal_kid)
    VALUES ($1, $2, 'old', 'http://127.0.0.1:9', $3, $4, $5)";
const OLD_ROTATE: &str =
    "UPDATE credentials SET secret = $3, vault_kid = $4, seal_kid = $5, rotated_at = now()
    WHERE org_id = $1 AND id = $2";

/// A database with the last release's schema and an org in it.
async fn last_release() -> (Database, String) {
    let database = Database::empty().await;
    let mut db = PgConnection::connect(&database.owner_url()).await.unwrap();
    MIGRATIONS.run_to(LAST_RELEASE, &mut db).await.unwrap();
    let org = format!("org_{:032x}", 0x0198_c0de_u128);
    sqlx::query("INSERT INTO orgs (id, name) VALUES ($1, 'old')")
        .bind(uuid(&org))
        .execute(&mut database.superuser().await)
        .await
        .unwrap();
    (database, org)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_last_release_and_this_one_work_side_by_side_and_the_move_loses_nothing() {
    let (secrets, (database, org)) = (secrets(), last_release().await);
    let old = OldForm::new(&secrets);
    let seal_kid = secrets["AG_SEAL_PUBLIC_KEYS"].split(':').next().unwrap().to_owned();
    let id = format!("cred_{:032x}", 0x0198_c0de_u128);
    let mut by_old = connect(&database.name, Some(TENANT)).await;
    let text = |secret: &str| (uuid(&id), old.seal(&org, &id, secret), old.kid.as_str(), seal_kid.as_str());
    in_old_form(&mut by_old, &org, OLD_CREATE, text("sk-by-the-old-one-1")).await;
    alphagate_control::store::migrate(&database.owner_url()).await.unwrap();
    let edge = crate::edge::FakeEdge::start(&secrets["AG_CONTROL_TO_EDGE_RING"]).await;
    let quick = [("AG_HOUSEKEEPING_MS", "100")];
    let control = Control::start(settings(&environment(&secrets, &database, edge.url()), &quick)).await;
    let mut db = database.superuser().await;
    let moved = async |db: &mut PgConnection, four: &str| {
        until(four, async || row(db, &id).await.last_four.as_deref() == Some(four)).await;
        let row = row(db, &id).await;
        assert!(row.sealed.is_some() && row.data_key == Some(1));
        row.secret.map(|copy| old.open(&org, &id, &copy))
    };
    assert_eq!(moved(&mut db, "ne-1").await.as_deref(), Some("sk-by-the-old-one-1"));
    // The old program goes on: what it writes counts, and is moved again.
    in_old_form(&mut by_old, &org, OLD_ROTATE, text("sk-by-the-old-one-2")).await;
    assert_eq!(moved(&mut db, "ne-2").await.as_deref(), Some("sk-by-the-old-one-2"));
    // What the new one writes, the old one can read.
    let mut bed = Bed { database, edge, secrets: secrets.clone(), control, http: reqwest::Client::new() };
    let key = bed.org("keeper").await;
    let made = bed.make(&key, "/v1/credentials", new("sk-by-the-new-one-3")).await;
    let (theirs, by_new) = (key.id.clone(), crate::bed::text(&made["id"]));
    let copy = row(&mut db, &by_new).await.secret.expect("a copy for the old program");
    assert_eq!(old.open(&theirs, &by_new, &copy), "sk-by-the-new-one-3");
    let standing = bed.operator("GET", "/operator/v1/vault", None).await.1["credentials"].clone();
    assert_eq!(standing, json!({"total": 2, "outdated": 0, "copies": 2, "copies_kept": true}));
    // The last old program is gone.
    assert_eq!(bed.operator("POST", "/operator/v1/vault/end-move", None).await.1, json!({"copies": false}));
    until("no copies", async || {
        row(&mut db, &id).await.secret.is_none() && row(&mut db, &by_new).await.secret.is_none()
    })
    .await;
    let standing = bed.operator("GET", "/operator/v1/vault", None).await.1["credentials"].clone();
    assert_eq!(standing, json!({"total": 2, "outdated": 0, "copies": 0, "copies_kept": false}));
    let made = bed.make(&key, "/v1/credentials", new("sk-without-a-copy")).await;
    assert_eq!(row(&mut db, &crate::bed::text(&made["id"])).await.secret, None);
    // Nothing was lost on the way: sealed to another key of the edge, all are what they were.
    let mut rotated = with_new_entry(&secrets, "AG_SEAL_PUBLIC_KEYS");
    let fresh = crate::bed::secrets();
    rotated.insert("AG_SEAL_PUBLIC_KEYS".into(), fresh["AG_SEAL_PUBLIC_KEYS"].clone());
    // It would go on sealing to the key that it knows.
    bed.control.stop().await;
    let next = replica(&bed, &rotated, &[]).await;
    let renewed = operator(&bed, &next, "POST", "/operator/v1/vault/renew", json!({})).await.1;
    assert_eq!(renewed["credentials"]["left"], 0, "{renewed}");
    for (org, id, secret) in [(&org, &id, "sk-by-the-old-one-2"), (&theirs, &by_new, "sk-by-the-new-one-3")] {
        let org = Org { id: org.clone(), admin: String::new() };
        until(secret, async || {
            bed.edge.record(&format!("v1/credential/{id}")).is_some_and(|record| {
                serde_json::to_string(&record)
                    .unwrap()
                    .contains(fresh["AG_SEAL_PUBLIC_KEYS"].split(':').next().unwrap())
            })
        })
        .await;
        assert_eq!(opened(&bed, &org, id, &fresh["AG_SEAL_PRIVATE_KEYS"]), secret);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn uses_of_a_credential_are_counted_once_from_events() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let credential = text(&bed.make(&a, "/v1/credentials", new("sk-used")).await["id"]);
    let own = text(&bed.make(&b, "/v1/credentials", new("sk-own")).await["id"]);
    let endpoint = text(&bed.make(&a, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    bed.make(&a, &format!("/v1/endpoints/{endpoint}/versions"), version(Some(&credential))).await;
    let event = |n: u8, payer: &str, credential: &str| {
        json!({
            "id": RequestId::new(now_ms() - 5_000, [n; 10]), "at_ms": now_ms() - 5_000, "org": b.id,
            "key": format!("key_{:032x}", 1), "endpoint": endpoint, "publisher": a.id, "payer": payer, "version": 1,
            "stream": false, "outcome": "completed",
            "amounts": {"requests": 1, "input_tokens": 1, "output_tokens": 1, "cost_micros": 1},
            "estimated": false, "cached_input_tokens": 0, "reasoning_tokens": 0, "first_byte_ms": 0, "total_ms": 0,
            "credential": credential,
        })
    };
    let hand_over = async |events: Vec<Value>| {
        let body = json!({"org": b.id, "events": events}).to_string();
        assert_eq!(read(bed.signed("POST", "/internal/v1/usage", body.as_bytes())).await.0, 200);
    };
    let one = event(1, "publisher", &credential);
    hand_over(vec![one.clone(), event(2, "publisher", &credential), event(3, "installer", &own)]).await;
    hand_over(vec![one, event(4, "publisher", &credential)]).await;
    // Neither another org's nor one that is gone is counted.
    hand_over(vec![event(5, "installer", &credential), event(6, "publisher", &format!("cred_{:032x}", 9))])
        .await;
    for (org, id, uses) in [(&a, &credential, 3), (&b, &own, 1)] {
        let shown = bed.get(org, &format!("/v1/credentials/{id}")).await.1;
        assert_eq!(shown["uses"], uses, "{shown}");
        assert!(shown["last_used_at"].is_string());
    }
}
