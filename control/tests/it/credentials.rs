//! Credentials: sealed to the edge, encrypted at rest, never read back.

use crate::bed::{Bed, Control, Org, code, environment, secrets, settings, text, version};
use alphagate_contract::{
    record::{CredentialRecord, RecordValue},
    ring::Ring,
    seal::Binding,
};
use serde_json::{Value, json};

fn new(secret: &str) -> Value {
    json!({"name": "openai", "origin": "http://127.0.0.1:9", "secret": secret})
}

fn record(bed: &Bed, id: &str) -> (CredentialRecord, u64) {
    let found = bed.edge.record(&format!("v1/credential/{id}")).unwrap();
    let RecordValue::Credential(record) = found.value else { panic!("not a credential") };
    (record, found.revision)
}

/// What the edge reads, with its private key.
pub fn opened(bed: &Bed, org: &Org, id: &str, private: &str) -> String {
    let (record, revision) = record(bed, id);
    assert_eq!((record.sealed_revision, record.org.to_string()), (revision, org.id.clone()));
    let binding =
        Binding { org: record.org, credential: id.parse().unwrap(), revision, origin: &record.origin };
    record.sealed.open(&Ring::parse(private).unwrap(), &binding).unwrap().reveal().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_goes_to_the_edge_sealed_and_nowhere_else() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let made = bed.make(&org, "/v1/credentials", new("sk-very-secret-1")).await;
    let id = text(&made["id"]);
    assert_eq!(opened(&bed, &org, &id, &bed.secrets["AG_SEAL_PRIVATE_KEYS"]), "sk-very-secret-1");
    let path = format!("/v1/credentials/{id}");
    let (status, changed) = bed
        .call("PUT", &org.admin, &format!("{path}/secret"), Some(&json!({"secret": "sk-very-secret-2"})))
        .await;
    assert!(status == 200 && changed["rotated_at"].is_string());
    assert_eq!(opened(&bed, &org, &id, &bed.secrets["AG_SEAL_PRIVATE_KEYS"]), "sk-very-secret-2");
    for answer in [&made, &changed, &bed.get(&org, &path).await.1, &bed.get(&org, "/v1/credentials").await.1]
    {
        assert!(!answer.to_string().contains("very-secret") && !answer.to_string().contains("\"secret\""));
    }
    let mut db = bed.database.superuser().await;
    for table in ["credentials", "records", "outbox", "idempotency"] {
        let sql = format!(
            "SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%very-secret%' OR t::text LIKE $1"
        );
        let hidden = format!("%{}%", hex::encode("very-secret"));
        let (found,): (i64,) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(hidden).fetch_one(&mut db).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_credential_in_use_cannot_be_deleted() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let id = text(&bed.make(&org, "/v1/credentials", new("sk")).await["id"]);
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let versions = format!("/v1/endpoints/{endpoint}/versions");
    bed.make(&org, &versions, version(Some(&id))).await;
    let path = format!("/v1/credentials/{id}");
    let reply = bed.call("DELETE", &org.admin, &path, None).await;
    assert_eq!((code(&reply), &reply.1["error"]["param"]), ((409, "conflict"), &json!("credential")));
    bed.call("POST", &org.admin, &format!("/v1/endpoints/{endpoint}/withdraw"), None).await;
    let reply = bed.call("DELETE", &org.admin, &path, None).await;
    assert_eq!((reply.0, &reply.1["edge"]), (200, &json!("accepted")));
    assert_eq!(bed.edge.value(&format!("v1/credential/{id}")), RecordValue::Gone);
    assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 404);
    assert_eq!(bed.get(&org, &path).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_targets_origin_must_be_its_credentials() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let id = text(&bed.make(&org, "/v1/credentials", new("sk")).await["id"]);
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let versions = format!("/v1/endpoints/{endpoint}/versions");
    for base_url in
        ["http://127.0.0.1:10/v1", "http://127.0.0.1/v1", "https://127.0.0.1:9/v1", "http://localhost:9"]
    {
        let mut config = version(Some(&id));
        config["targets"][0]["base_url"] = json!(base_url);
        let reply = bed.post(&org, &versions, config).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("targets[0].base_url")), "{base_url}");
    }
    bed.make(&org, &versions, version(Some(&id))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c12_private_upstreams_need_the_operators_leave() {
    let bed = Bed::with(&[("AG_ALLOW_PRIVATE_UPSTREAMS", "false")]).await;
    let org = bed.org("a").await;
    let reply = bed.post(&org, "/v1/credentials", new("sk")).await;
    assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("origin")));
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    for base_url in [
        "http://127.0.0.1:9/v1",
        "https://2130706433/v1",
        "https://[::ffff:7f00:1]/",
        "https://u:p@api.openai.com/",
    ] {
        let config = json!({"targets": [{"base_url": base_url, "model": "m"}]});
        let reply = bed.post(&org, &format!("/v1/endpoints/{endpoint}/versions"), config).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("targets[0].base_url")), "{base_url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_a_rotation_of_our_own_keys_everything_is_sealed_anew() {
    let mut bed = Bed::start().await;
    let org = bed.org("a").await;
    let id = text(&bed.make(&org, "/v1/credentials", new("sk-kept")).await["id"]);
    let before = record(&bed, &id).1;
    bed.control.stop().await;
    let fresh = secrets();
    let mut rotated = bed.secrets.clone();
    for name in ["AG_VAULT_RING", "AG_MASTER_RING", "AG_SEAL_PUBLIC_KEYS"] {
        rotated.insert(name.into(), format!("{},{}", fresh[name], bed.secrets[name]));
    }
    let settings =
        settings(&environment(&rotated, &bed.database, bed.edge.url()), &[("AG_HOUSEKEEPING_MS", "100")]);
    let _control = Control::start(settings).await;
    for _ in 0..100 {
        if record(&bed, &id).1 > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(opened(&bed, &org, &id, &fresh["AG_SEAL_PRIVATE_KEYS"]), "sk-kept");
    let mut db = bed.database.superuser().await;
    let (master,): (String,) =
        sqlx::query_as("SELECT master_key FROM data_keys").fetch_one(&mut db).await.unwrap();
    let kid = fresh["AG_MASTER_RING"].split(':').next().unwrap();
    assert_eq!(master, format!("local:{kid}"));
}
