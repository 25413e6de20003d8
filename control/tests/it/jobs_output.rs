//! Output and artefacts: byte-exact, whole or in part, small or large, and nothing of them is left behind.

use crate::{
    bed::{Bed, Org, code},
    jobs_hosts::{Host, chunk, job, passed},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

/// Bytes that no text is.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

async fn fetch(bed: &Bed, org: &Org, path: &str, range: Option<&str>) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = bed.request(Method::GET, path).bearer_auth(&org.admin);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

/// Sends bytes in chunks of this length, from a chunk on; gives the number of the next.
async fn send(host: &Host, claimed: &Value, stream: &str, bytes: &[u8], length: usize, first: u64) -> u64 {
    let chunks: Vec<Value> = bytes.chunks(length).map(|data| chunk(stream, data)).collect();
    let mut next = first;
    for batch in chunks.chunks(4) {
        let reply = host.output(claimed, next, batch).await;
        assert_eq!(reply.0, 204, "{}", reply.1);
        next += batch.len() as u64;
    }
    next
}

async fn check_downloads(bed: &Bed, org: &Org, path: &str, bytes: &[u8]) {
    let (status, headers, whole) = fetch(bed, org, path, None).await;
    assert!((status, &whole[..]) == (200, bytes), "{path}: {status}, {} bytes", whole.len());
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["accept-ranges"], "bytes");
    let length = bytes.len();
    let ranges = [(0, 1), (1, 2), (length / 2 - 1, length / 2 + 70_000), (length - 1, length), (0, length)];
    for (start, end) in ranges {
        let end = end.min(length);
        let (status, headers, part) =
            fetch(bed, org, path, Some(&format!("bytes={start}-{}", end - 1))).await;
        assert!((status, &part[..]) == (206, &bytes[start..end]), "{path}: {start}..{end}: {status}");
        assert_eq!(headers["content-range"], format!("bytes {start}-{}/{length}", end - 1));
    }
    let (status, headers, _) = fetch(bed, org, path, Some(&format!("bytes={length}-"))).await;
    assert_eq!(
        (status, headers["content-range"].to_str().unwrap()),
        (416, format!("bytes */{length}").as_str())
    );
    let (status, _, tail) = fetch(bed, org, path, Some("bytes=-5")).await;
    assert!((status, &tail[..]) == (206, &bytes[length - 5..]));
}

fn blob_files(bed: &Bed) -> usize {
    let Ok(folders) = std::fs::read_dir(bed.database.blobs()) else { return 0 };
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn small_output_is_served_from_the_database_while_it_grows_and_afterwards() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let path = format!("/v1/jobs/{id}/output?stream=stdout");
    assert_eq!(fetch(&bed, &org, &path, None).await.0, 200, "nothing yet");
    assert_eq!(fetch(&bed, &org, &path, Some("bytes=0-")).await.0, 416);
    let claimed = host.claim_one().await;
    let (out, err) = (noise(300_000, 1), noise(1_000, 2));
    let next = send(&host, &claimed, "stdout", &out, 7_001, 0).await;
    check_downloads(&bed, &org, &path, &out).await;
    send(&host, &claimed, "stderr", &err, 100, next).await;
    host.finish(&claimed, passed()).await;
    check_downloads(&bed, &org, &path, &out).await;
    check_downloads(&bed, &org, &format!("/v1/jobs/{id}/output?stream=stderr"), &err).await;
    assert_eq!(blob_files(&bed), 0);
    assert_eq!(
        code(&bed.get(&org, &format!("/v1/jobs/{id}/output?stream=x")).await),
        (400, "invalid_parameter")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_output_and_artefacts_go_to_the_object_store_and_away_with_their_job() {
    let bed = Bed::with(&[("AG_HOUSEKEEPING_MS", "200")]).await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut large = job();
    large["limits"] = json!({"output_bytes": 20_000_000});
    large["artefacts"] = json!(["big.bin", "small"]);
    let id = bed.job(&org, large).await;
    let claimed = host.claim_one().await;
    let (out, err, file) = (noise(12_000_000, 3), noise(500, 4), noise(3_000_000, 5));
    let next = send(&host, &claimed, "stdout", &out, 200_000, 0).await;
    send(&host, &claimed, "stderr", &err, 500, next).await;
    let mut report = passed();
    report["artefacts"] = json!([
        {"path": "big.bin", "content": BASE64_STANDARD.encode(&file)},
        {"path": "small", "content": ""},
    ]);
    assert_eq!(host.finish(&claimed, report).await.0, 204);
    let job = bed.job_now(&org, &id).await;
    assert_eq!(job["output"]["stdout"]["bytes"], 12_000_000);
    assert_eq!(
        job["output"]["stdout"]["preview"],
        json!({"encoding": "base64", "data": BASE64_STANDARD.encode(&out[..1024])})
    );
    check_downloads(&bed, &org, &format!("/v1/jobs/{id}/output"), &out).await;
    check_downloads(&bed, &org, &format!("/v1/jobs/{id}/output?stream=stderr"), &err).await;
    check_downloads(&bed, &org, &format!("/v1/jobs/{id}/artefacts/big.bin"), &file).await;
    assert_eq!(fetch(&bed, &org, &format!("/v1/jobs/{id}/artefacts/small"), None).await.2, b"");
    for path in ["none", "..%2f..%2fbig.bin", "big.bin%00"] {
        assert_eq!(bed.get(&org, &format!("/v1/jobs/{id}/artefacts/{path}")).await.0, 404, "{path}");
    }
    assert_eq!(blob_files(&bed), 3, "stdout and two artefacts");
    let mut db = bed.database.superuser().await;
    let (rows,): (i64,) = sqlx::query_as("SELECT count(*) FROM job_output WHERE stream = 'stdout'")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(rows, 0, "it is not in the database as well");
    assert_eq!(bed.call("DELETE", &org.admin, &format!("/v1/jobs/{id}"), None).await.0, 204);
    while blob_files(&bed) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (rows,): (i64,) = sqlx::query_as("SELECT count(*) FROM blobs").fetch_one(&mut db).await.unwrap();
    assert!(rows <= 1, "rows go after their bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_keeps_no_more_output_than_it_may_write_and_repeated_chunks_count_once() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut small = job();
    small["limits"] = json!({"output_bytes": 10});
    let id = bed.job(&org, small).await;
    let claimed = host.claim_one().await;
    let chunks = [chunk("stdout", b"0123"), chunk("stderr", b"abc"), chunk("stdout", b"456789")];
    assert_eq!(host.output(&claimed, 0, &chunks[..2]).await.0, 204);
    assert_eq!(host.output(&claimed, 0, &chunks).await.0, 204, "the first two come again");
    let gap = host.output(&claimed, 9, &chunks[..1]).await;
    assert_eq!((gap.0, &gap.1["error"]["param"]), (422, &json!("first")));
    assert_eq!(host.output(&claimed, 3, &[chunk("stdout", b"more")]).await.0, 204);
    host.finish(&claimed, passed()).await;
    let job = bed.job_now(&org, &id).await;
    assert_eq!((&job["output"]["stdout"]["bytes"], &job["output"]["truncated"]), (&json!(7), &json!(true)));
    assert_eq!(fetch(&bed, &org, &format!("/v1/jobs/{id}/output"), None).await.2, b"0123456");
    assert_eq!(fetch(&bed, &org, &format!("/v1/jobs/{id}/output?stream=stderr"), None).await.2, b"abc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_that_are_older_than_their_org_keeps_them_are_gone_with_their_blobs() {
    let bed = Bed::with(&[("AG_HOUSEKEEPING_MS", "200")]).await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let settings = |org: &Org| format!("/operator/v1/orgs/{}/queue", org.id);
    let set = json!({"sandbox_max": null, "sample_max": 3, "retention_days": 5});
    assert_eq!(bed.operator("PUT", &settings(&org), Some(&set)).await, (200, set.clone()));
    assert_eq!(bed.operator("GET", &settings(&org), None).await, (200, set));
    let unset = json!({"sandbox_max": null, "sample_max": null, "retention_days": null});
    assert_eq!(bed.operator("GET", &settings(&other), None).await, (200, unset));
    for (field, value) in [("sandbox_max", -1), ("retention_days", 0), ("sample_max", 100_001)] {
        let reply = bed.operator("PUT", &settings(&org), Some(&json!({field: value}))).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!(field)));
    }
    let host = Host::new(&bed).await;
    let mut large = job();
    large["limits"] = json!({"output_bytes": 3_000_000});
    let (old, young, foreign) =
        (bed.job(&org, large.clone()).await, bed.job(&org, job()).await, bed.job(&other, job()).await);
    for _ in 0..3 {
        let claimed = host.claim_one().await;
        if claimed["job"] == old {
            send(&host, &claimed, "stdout", &noise(2_000_000, 1), 200_000, 0).await;
        }
        assert_eq!(host.finish(&claimed, passed()).await.0, 204);
    }
    assert_eq!(blob_files(&bed), 1);
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE jobs SET ended_at = now() - CASE WHEN stdout_blob IS NULL AND org_id = (SELECT id FROM orgs WHERE name = 'a') THEN interval '4 days' ELSE interval '6 days' END")
        .execute(&mut db)
        .await
        .unwrap();
    while bed.get(&org, &format!("/v1/jobs/{old}")).await.0 != 404 || blob_files(&bed) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(bed.get(&org, &format!("/v1/jobs/{young}")).await.0, 200, "4 of 5 days old");
    assert_eq!(bed.get(&other, &format!("/v1/jobs/{foreign}")).await.0, 200, "6 of 30 days old");
}
