//! C01, C03, C04, C13: what people and programs put into bodies.

use crate::bed::{Bed, Org, code, read, text, version};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// Strings that have broken programs before.
fn naughty() -> Vec<String> {
    let mut strings: Vec<String> = [
        "'; DROP TABLE keys; --",
        "\" OR 1=1",
        "${jndi:ldap://x}",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "%00",
        "%s%s%n",
        "\\",
        "\\u0000",
        "null",
        "undefined",
        "NaN",
        "true",
        "0",
        "-1",
        "1e999",
        " ",
        "\t\n\r",
        "\u{feff}bom",
        "\u{202e}rtl",
        "\u{200b}",
        "e\u{301}",
        "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
        "ﷺ",
        "\u{FFFF}",
        "\u{10FFFF}",
        "\u{1}\u{1f}\u{7f}\u{85}",
        "𝕿𝖊𝖘𝖙",
        "ﬃ",
        "İ",
        "$1",
        "{{7*7}}",
        "`id`",
        "\u{1b}[31m",
    ]
    .map(str::to_owned)
    .into();
    strings.push("x".repeat(200));
    strings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c01_texts_are_stored_to_the_letter_or_refused() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    for string in naughty() {
        let (status, made) = bed.operator("POST", "/operator/v1/orgs", Some(&json!({"name": string}))).await;
        assert_eq!((status, &made["org"]["name"]), (201, &json!(string)));
        let made = bed.make(&org, "/v1/keys", json!({"name": string, "scopes": ["call"]})).await;
        let read = bed.get(&org, &format!("/v1/keys/{}", text(&made["id"]))).await.1;
        assert_eq!(read["name"], json!(string));
        let change = json!({"description": string});
        let path = format!("/v1/endpoints/{endpoint}");
        assert_eq!(bed.call("PATCH", &org.admin, &path, Some(&change)).await.0, 200);
        assert_eq!(bed.get(&org, &path).await.1["description"], json!(string));
        let mut config = version(None);
        config["instructions"] = json!(string);
        config["defaults"] =
            json!({ "metadata": {string.clone(): string}, "n": 12345678901234567890_u64, "f": 0.1 });
        config["targets"][0]["model"] = json!(string);
        let made = bed.make(&org, &format!("{path}/versions"), config.clone()).await;
        let read = bed.get(&org, &format!("{path}/versions/{}", made["version"])).await.1;
        for field in ["instructions", "defaults", "targets"] {
            assert_eq!(read["config"][field], config[field], "{string:?}");
        }
        let found = bed.request(Method::GET, "/v1/catalog").query(&[("q", &string)]).bearer_auth(&org.admin);
        assert_eq!(crate::bed::read(found).await.0, 200, "{string:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c01_what_cannot_be_stored_is_422_with_its_place() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let versions = format!("/v1/endpoints/{endpoint}/versions");
    let mut nul = version(None);
    nul["defaults"] = json!({"a": [1, "x\0"]});
    let mut nul_key = version(None);
    nul_key["defaults"] = json!({"a\0": 1});
    let long = "x".repeat(201);
    let cases = [
        ("/v1/keys", json!({"name": "a\0b", "scopes": ["call"]}), "name"),
        ("/v1/keys", json!({"name": "", "scopes": ["call"]}), "name"),
        ("/v1/keys", json!({"name": long, "scopes": ["call"]}), "name"),
        ("/v1/keys", json!({"name": 1, "scopes": ["call"]}), "name"),
        ("/v1/keys", json!({"name": "a", "scopes": []}), "scopes"),
        ("/v1/keys", json!({"name": "a", "scopes": ["call", "call"]}), "scopes"),
        (
            "/v1/keys",
            json!({"name": "a", "scopes": ["call"], "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
        ),
        ("/v1/endpoints", json!({"name": "Nope"}), "name"),
        ("/v1/endpoints", json!({"name": "a@1"}), "name"),
        ("/v1/endpoints", json!({"name": "ok", "description": "x".repeat(2001)}), "description"),
        (
            "/v1/endpoints",
            json!({"name": "ok", "installs": {"payer": "publisher", "limits": []}}),
            "installs.limits",
        ),
        ("/v1/credentials", json!({"name": "c", "origin": "http://a.example/x", "secret": "s"}), "origin"),
        ("/v1/credentials", json!({"name": "c", "origin": "http://127.0.0.1", "secret": "a\nb"}), "secret"),
        ("/v1/credentials", json!({"name": "c", "origin": "http://127.0.0.1", "secret": "ä"}), "secret"),
        (&versions, nul, "defaults.a[1]"),
        (&versions, nul_key, "defaults"),
        (&versions, json!({"targets": []}), "targets"),
        (&versions, json!({"targets": [{"base_url": "http://u:p@h", "model": "m"}]}), "targets[0].base_url"),
    ];
    for (path, body, param) in cases {
        let reply = bed.post(&org, path, body.clone()).await;
        assert_eq!(code(&reply), (422, "unprocessable"), "{path} {body}");
        assert_eq!(reply.1["error"]["param"], param, "{path} {body}: {}", reply.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c03_fields_that_are_not_the_callers_are_422() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let terms = json!({"payer": "installer"});
    let bodies = [
        ("POST", "/v1/keys".to_owned(), json!({"name": "a", "scopes": ["call"]})),
        ("POST", "/v1/credentials".into(), json!({"name": "c", "origin": "http://127.0.0.1", "secret": "s"})),
        ("POST", "/v1/endpoints".into(), json!({"name": "f", "installs": terms})),
        ("PATCH", format!("/v1/endpoints/{endpoint}"), json!({"visibility": "public"})),
        ("POST", format!("/v1/endpoints/{endpoint}/versions"), version(None)),
        (
            "POST",
            format!("/v1/endpoints/{endpoint}/publications"),
            json!({"version": 1, "expected_live": null}),
        ),
        ("POST", "/v1/installs".into(), json!({"endpoint": endpoint, "name": "x", "payer": "publisher"})),
        ("PUT", "/v1/quotas".into(), json!({"quotas": []})),
    ];
    for (method, path, body) in &bodies {
        for field in ["org_id", "role", "id", "org", "live", "revision"] {
            let mut body = body.clone();
            body[field] = json!("org_00000000000000000000000000000000");
            let reply = bed.call(method, &org.admin, path, Some(&body)).await;
            assert_eq!(code(&reply), (422, "unprocessable"), "{path} {field}");
            assert_eq!(reply.1["error"]["param"], *field, "{path}");
        }
    }
    let nested = json!({"name": "f", "installs": {"payer": "installer", "org_id": 1}});
    let reply = bed.post(&org, "/v1/endpoints", nested).await;
    assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("installs.org_id")));
}

async fn raw(bed: &Bed, org: &Org, body: impl Into<reqwest::Body>) -> (u16, Value) {
    read(bed.request(Method::POST, "/v1/keys").bearer_auth(&org.admin).body(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c04_bombs_are_refused_and_the_program_goes_on() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let deep = format!("{{\"name\":{}", "[".repeat(100_000));
    let deep_objects = "{\"a\":".repeat(100_000);
    for body in
        [deep.as_str(), &deep_objects, "{\"name\":1e999}", "{\"name\":\"a\",\"name\":\"b\"}", "", "[]", "nul"]
    {
        assert_eq!(code(&raw(&bed, &org, body.to_owned()).await), (400, "body_malformed"));
    }
    assert_eq!(code(&raw(&bed, &org, b"{\"name\":\"\xff\"}".to_vec()).await), (400, "body_malformed"));
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
    assert_eq!(code(&raw(&bed, &org, huge.clone()).await), (413, "body_too_large"));
    assert_eq!(chunked(&bed, &org, huge.as_bytes()).await, "HTTP/1.1 413 Payload Too Large\r\n");
    assert_eq!(raw(&bed, &org, "{\"name\":\"a\",\"scopes\":[\"call\"]}").await.0, 201);
}

/// Sends a body in chunks, without a declared length; gives the answer's status line.
async fn chunked(bed: &Bed, org: &Org, body: &[u8]) -> String {
    let address = bed.control.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        org.admin
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    for chunk in body.chunks(64 * 1024) {
        socket.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
        socket.write_all(chunk).await.unwrap();
        socket.write_all(b"\r\n").await.unwrap();
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await.unwrap();
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c13_of_the_same_name_at_once_one_is_made() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let poem = bed.published(&other, "poem").await;
    let endpoint = json!({"name": "same"});
    let install = json!({"name": "same", "endpoint": poem, "payer": "publisher"});
    let calls =
        (0..20).map(|n| if n % 2 == 0 { ("/v1/endpoints", &endpoint) } else { ("/v1/installs", &install) });
    let calls =
        calls.map(|(path, body)| read(bed.request(Method::POST, path).bearer_auth(&org.admin).json(body)));
    let replies = all_at_once(calls).await;
    assert_eq!(replies.iter().filter(|reply| reply.0 == 201).count(), 1);
    assert!(replies.iter().all(|reply| reply.0 == 201 || code(reply) == (409, "conflict")));
    assert_eq!(replies.iter().find(|reply| reply.0 == 409).unwrap().1["error"]["param"], "name");
    // Another org has the same name all the same.
    bed.make(&other, "/v1/endpoints", endpoint.clone()).await;
}

/// Runs futures at once, and gives what they gave.
pub async fn all_at_once<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let tasks: Vec<_> = futures.map(tokio::spawn).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}
