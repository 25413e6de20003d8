//! What a job does is what its evaluator reads: languages, endings, limits, bytes.

use alphagate_tests::{Evaluator, has_gvisor};
use anyhow::Result;
use serde_json::{Value, json};

use super::super::shared;

/// A job and what must be read of it afterwards.
struct Case {
    name: &'static str,
    job: Value,
    outcome: &'static str,
    limit: Option<&'static str>,
    stdout: &'static [u8],
}

fn file(path: &str, content: &str) -> Value {
    json!({"files": [{"path": path, "content": content}]})
}

fn limited(source: &str, limits: Value) -> Value {
    json!({"language": "python", "source": source, "limits": limits})
}

fn cases() -> Vec<Case> {
    let case = |name, job, outcome, limit, stdout| Case { name, job, outcome, limit, stdout };
    vec![
        case("python", file("a.py", "print(6 * 7)"), "passed", None, b"42\n"),
        case("node", file("a.js", "console.log(6 * 7)"), "passed", None, b"42\n"),
        case("bash", file("a.sh", "echo $((6 * 7))"), "passed", None, b"42\n"),
        case("shebang", file("a", "#!/usr/bin/env python3\nprint(42)"), "passed", None, b"42\n"),
        case(
            "argv, stdin and env",
            json!({"language": "python", "argv": ["a b"], "stdin": "in", "env": {"X": "é"},
                "source": "import os,sys;print(sys.argv[1], sys.stdin.read(), os.environ['X'])"}),
            "passed",
            None,
            "a b in é\n".as_bytes(),
        ),
        case("a failure", limited("print('x', flush=True);exit(3)", json!({})), "failed", None, b"x\n"),
        case(
            "bytes",
            limited("import os;os.write(1,bytes(range(256)))", json!({})),
            "passed",
            None,
            &ALL_BYTES,
        ),
        case(
            "the clock",
            limited("print('begun',flush=True)\nwhile True: pass", json!({"wall_ms": 5_000})),
            "timeout",
            Some("wall"),
            b"begun\n",
        ),
        case(
            "memory",
            limited(
                "print('begun',flush=True)\nx=[bytearray(1<<20) for _ in range(1<<14)]",
                json!({"memory_bytes": 67_108_864}),
            ),
            "memory",
            Some("memory"),
            b"begun\n",
        ),
        case(
            "output",
            limited("import sys\nwhile True: sys.stdout.write('y'*1000)", json!({"output_bytes": 10})),
            "output",
            Some("output"),
            b"yyyyyyyyyy",
        ),
        case(
            "processes",
            limited(
                "import os\nn=0\ntry:\n  while n<500:\n    if os.fork()==0: os.pause() if hasattr(os,'pause') else __import__('signal').pause()\n    n+=1\nexcept OSError: pass\nprint('stopped', n<500, flush=True)",
                json!({"pids": 32}),
            ),
            "passed",
            Some("pids"),
            b"stopped True\n",
        ),
        case(
            "disk",
            limited(
                "try:\n  f=open('big','wb')\n  while True: f.write(b'x'*65536)\nexcept OSError: print('full', flush=True)",
                json!({"disk_bytes": 4_194_304}),
            ),
            "passed",
            Some("disk"),
            b"full\n",
        ),
    ]
}

const ALL_BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = byte as u8;
        byte += 1;
    }
    all
};

#[tokio::test]
async fn what_a_job_does_is_what_is_read_of_it() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let evaluator = Evaluator::new(shared().await?, "Outcomes").await?;
    let cases = cases();
    let jobs: Vec<Value> = cases.iter().map(|case| case.job.clone()).collect();
    let ids = evaluator.submit_all(&jobs).await?;
    for (case, id) in cases.iter().zip(&ids) {
        let job = evaluator.ended(id).await?;
        let name = case.name;
        assert_eq!(job["outcome"], case.outcome, "{name}: {job:#}");
        let hit: Vec<&str> =
            job["limits_hit"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(case.limit.is_none_or(|limit| hit.contains(&limit)), "{name}: {job:#}");
        assert_eq!(evaluator.output(id, "stdout").await?, case.stdout, "{name}");
        assert_eq!(job["isolation"]["weak"], false, "{name}: {job:#}");
        assert!(
            job["isolation"]["kernel"].as_str().is_some_and(|kernel| kernel.contains("gVisor")),
            "{name}: {job:#}"
        );
    }
    Ok(())
}
