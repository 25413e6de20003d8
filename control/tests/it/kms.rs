//! AWS's key management service as the master key, against moto's, which checks every signature as AWS does.

use crate::{
    bed::{Bed, Org, code, read, text},
    process::Process,
};
use reqwest::Client;
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

const REGION: &str = "eu-central-1";
/// How long moto may take to start: Python, and a hundred modules.
const START_MAX: Duration = Duration::from_secs(60);

/// A running moto, and a user who may use its keys.
struct Moto {
    process: Child,
    url: String,
    access_key: (String, String),
    keys: [String; 2],
}

fn program() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/moto/bin/moto_server");
    let program = std::env::var_os("AG_MOTO").map_or_else(own, PathBuf::from);
    assert!(program.exists(), "{} is missing: run `cargo xtask test` once", program.display());
    program
}

/// A call that moto does not authenticate yet: only the service's name in the header counts.
async fn unsigned(http: &Client, url: &str, service: &str, target: Option<&str>, body: String) -> String {
    let credential = format!("Credential=none/20260101/{REGION}/{service}/aws4_request");
    let mut request = http.post(url).header(
        "authorization",
        format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=none"),
    );
    request = match target {
        Some(target) => request
            .header("x-amz-target", format!("TrentService.{target}"))
            .header("content-type", "application/x-amz-json-1.1"),
        None => request.header("content-type", "application/x-www-form-urlencoded"),
    };
    let response = request.body(body).send().await.unwrap();
    let (status, said) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{status}: {said}");
    said
}

/// What stands in this element.
fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0.to_owned()
}

impl Moto {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // Two keys, a user, its access key and its policy are made; from then on every call is checked.
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "5");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap();
        let (http, url) = (Client::new(), format!("http://127.0.0.1:{port}/"));
        let start = std::time::Instant::now();
        while http.get(format!("{url}moto-api/")).send().await.is_err() {
            assert!(start.elapsed() < START_MAX, "moto does not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut keys = Vec::new();
        for _ in 0..2 {
            let made = unsigned(&http, &url, "kms", Some("CreateKey"), "{}".into()).await;
            let made: Value = serde_json::from_str(&made).unwrap();
            keys.push(text(&made["KeyMetadata"]["Arn"]));
        }
        let iam =
            async |body: &str| unsigned(&http, &url, "iam", None, format!("{body}&Version=2010-05-08")).await;
        iam("Action=CreateUser&UserName=control").await;
        let made = iam("Action=CreateAccessKey&UserName=control").await;
        let access_key = (element(&made, "AccessKeyId"), element(&made, "SecretAccessKey"));
        let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
            %22Action%22%3A%5B%22kms%3AEncrypt%22%2C%22kms%3ADecrypt%22%5D%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
        let put = "Action=PutUserPolicy&UserName=control&PolicyName=vault&PolicyDocument=";
        iam(&format!("{put}{policy}")).await;
        Self { process, url, access_key, keys: keys.try_into().unwrap() }
    }

    /// Control with these keys, the first of them wrapping.
    async fn control(&self, bed: &Bed, keys: &str, secret_key: &str) -> Process {
        let more = [
            ("AG_MASTER_PROVIDER", "aws-kms"),
            ("AG_MASTER_KMS_KEYS", keys),
            ("AG_KMS_ENDPOINT", &self.url),
            ("AWS_ACCESS_KEY_ID", &self.access_key.0),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
        ];
        Process::start(&bed.secrets, &bed.database, &bed.edge, &more).await
    }
}

async fn create(bed: &Bed, control: &Process, org: &Org) -> (u16, Value) {
    let body = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-in-the-service-1"});
    let request = bed.http.post(format!("{}/v1/credentials", control.url)).bearer_auth(&org.admin);
    read(request.json(&body)).await
}

async fn renew(bed: &Bed, control: &Process) -> Value {
    let request = bed.http.post(format!("{}/operator/v1/vault/renew", control.url));
    let (status, renewed) =
        read(request.bearer_auth(&bed.secrets["AG_OPERATOR_TOKEN"]).json(&json!({}))).await;
    assert_eq!((status, &renewed["data_keys"]["left"]), (200, &json!(0)), "{renewed}");
    renewed
}

async fn wrapped_by(bed: &Bed) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT master_key, count(*) FROM data_keys GROUP BY 1 ORDER BY 1")
        .fetch_all(&mut bed.database.superuser().await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn master_keys_move_from_a_ring_to_aws_and_from_key_to_key_and_an_outage_is_503() {
    let (bed, mut moto) = tokio::join!(Bed::start(), Moto::start());
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let body = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk-under-a-ring-0001"});
    bed.make(&a, "/v1/credentials", body).await;
    let [first, second] = moto.keys.clone();
    let secret_key = moto.access_key.1.clone();
    let control = moto.control(&bed, &first, &secret_key).await;
    assert_eq!(create(&bed, &control, &b).await.0, 201);
    renew(&bed, &control).await;
    assert_eq!(wrapped_by(&bed).await, [(first.clone(), 2)]);
    assert_eq!(create(&bed, &control, &a).await.0, 201);
    drop(control);
    let control = moto.control(&bed, &format!("{second},{first}"), &secret_key).await;
    renew(&bed, &control).await;
    assert_eq!(wrapped_by(&bed).await, [(second.clone(), 2)]);
    drop(control);
    // Whoever has no right to the key learns nothing; nor is anything written.
    let stranger = moto.control(&bed, &second, "not-the-secret").await;
    let reply = create(&bed, &stranger, &a).await;
    assert_eq!(code(&reply), (503, "vault_unavailable"), "{}", reply.1);
    drop(stranger);
    // A key that was moved to another org's row is not opened: the service binds it to its place.
    let control = moto.control(&bed, &second, &secret_key).await;
    let mut db = bed.database.superuser().await;
    let swap = "UPDATE data_keys d SET wrapped = o.wrapped FROM data_keys o WHERE d.org_id <> o.org_id";
    sqlx::query(swap).execute(&mut db).await.unwrap();
    assert_eq!(code(&create(&bed, &control, &a).await), (503, "vault_unavailable"));
    sqlx::query(swap).execute(&mut db).await.unwrap();
    assert_eq!(create(&bed, &control, &a).await.0, 201);
    moto.process.kill().await.unwrap();
    let reply = create(&bed, &control, &a).await;
    assert_eq!(code(&reply), (503, "vault_unavailable"), "{}", reply.1);
}
