//! The engine of hosts where Docker runs: jobs, their limits, what is left, and a daemon that restarts, against a daemon
//! that the test starts.
//!
//! Skipped, with a line that says why, where there is no Docker, no gVisor or no image.

mod docker {
    pub mod daemon;
    pub mod host;
}

use alphagate_contract::job::{Ending, Language, LimitKind, Limits, SandboxSpec};
use alphagate_runner::sandbox::{Engine as _, GVISOR_MARK};
use docker::host::{Host, MIB, job};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn exited(code: i32) -> Ending {
    Ending::Exited { code }
}

fn limited(limit: LimitKind) -> Ending {
    Ending::Limited { limit }
}

fn with(spec: SandboxSpec, change: impl Fn(&mut Limits)) -> SandboxSpec {
    let mut spec = spec;
    change(&mut spec.limits);
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_under_docker_run_in_gvisor_and_meet_the_same_limits() {
    let Some(host) = Host::start().await else { return };
    let python = |source: &str| job(Language::Python, source);
    let flood = "import os\nwhile True: os.write(1, b'x' * 65536)";
    let cases: Vec<(&str, SandboxSpec, Ending, &str)> = vec![
        ("python", python("print(6 * 7)"), exited(0), "42\n"),
        ("node", job(Language::Javascript, "console.log(6 * 7)"), exited(0), "42\n"),
        ("bash", job(Language::Bash, "echo $((6 * 7))"), exited(0), "42\n"),
        ("its own exit status", python("print('x'); raise SystemExit(137)"), exited(137), "x\n"),
        ("bytes as they are", python("import os; os.write(1, b'\\xff\\x00\\n')"), exited(0), "\u{fffd}\0\n"),
        (
            "wall clock",
            with(python("print('so far', flush=True)\nwhile True: pass"), |limits| limits.wall_ms = 1_000),
            limited(LimitKind::Wall),
            "so far\n",
        ),
        (
            "memory",
            python(
                "print('so far', flush=True)\nx = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1",
            ),
            limited(LimitKind::Memory),
            "so far\n",
        ),
        (
            "disk",
            with(python("print('x', flush=True)\nopen('f', 'wb').write(b'x' * (64 << 20))"), |_| {}),
            exited(1),
            "x\n",
        ),
        ("no network", python("import socket; socket.create_connection(('1.1.1.1', 53), 2)"), exited(1), ""),
    ];
    for (name, spec, ending, stdout) in cases {
        let seen = host.run(&spec).await;
        let memory_error = ending == limited(LimitKind::Memory) && seen.err().contains("MemoryError");
        assert!(seen.report.ending == ending || memory_error, "{name}: {seen:?}");
        assert_eq!(String::from_utf8_lossy(&seen.stdout), stdout, "{name}");
        let isolation = seen.report.isolation.unwrap();
        assert!(
            isolation.kernel.contains(GVISOR_MARK) && isolation.host_limits && !isolation.weak,
            "{isolation:?}"
        );
        assert_eq!(isolation.engine, "docker");
    }
    let seen = host.run(&with(python(flood), |limits| limits.output_bytes = MIB)).await;
    assert_eq!(seen.report.ending, limited(LimitKind::Output), "{seen:?}");
    assert!(seen.report.written.truncated);
    assert_eq!(seen.report.written.stdout_bytes, MIB);
    let processes = "import os, time\nfor _ in range(200):\n  if os.fork() == 0: time.sleep(60)";
    let few = with(python(processes), |limits| (limits.pids, limits.memory_bytes) = (16, 512 * MIB));
    let seen = host.run(&few).await;
    assert!(seen.report.limits_hit.contains(&LimitKind::Pids), "{seen:?}");
    host.engine.settle().await;
    assert_eq!(host.containers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_stopped_and_boots_that_are_dropped_leave_nothing() {
    let Some(host) = Host::start().await else { return };
    let stop = CancellationToken::new();
    let spin = job(Language::Python, "print('on', flush=True)\nwhile True: pass");
    let stopped = host.run_until(&spin, &stop, |_| stop.cancel()).await;
    assert_eq!(stopped.report.ending, Ending::Stopped, "{stopped:?}");
    assert!(stopped.after_stop < Duration::from_secs(10), "{stopped:?}");

    let class = host.class();
    let boot = host.engine.boot(&class);
    // Long enough for the request to be on its way, too short for a boot.
    let _ = tokio::time::timeout(Duration::from_millis(30), boot).await;
    drop(host.engine.boot(&class).await.unwrap());
    host.engine.settle().await;
    assert_eq!(host.containers().await, Vec::<String>::new());

    // A runner that is killed leaves its containers, and its next start takes them away, and nobody else's.
    let other = host.another("other").await;
    let theirs = other.boot(&class).await.unwrap();
    std::mem::forget(host.engine.boot(&class).await.unwrap());
    assert_eq!(host.containers().await.len(), 2);
    assert_eq!(host.another("smoke").await.reap_leftovers().await.unwrap(), 1);
    assert_eq!(host.containers().await.len(), 1);
    theirs.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_docker_is_not_the_fault_of_the_job() {
    // The daemon goes with the thread that started it: that one must stay until the end, longer than its host.
    let (_end, until_end) = std::sync::mpsc::channel::<()>();
    let Some(mut host) = Host::start().await else { return };
    let spin = job(Language::Python, "print('on', flush=True)\nwhile True: pass");
    let daemon = host.daemon.take().unwrap();
    let (restarted, done) = tokio::sync::oneshot::channel();
    let mut restart = Some((daemon, restarted, until_end));
    let seen = host
        .run_until(&spin, &CancellationToken::new(), move |_| {
            let Some((mut daemon, restarted, until_end)) = restart.take() else { return };
            std::thread::spawn(move || {
                daemon.restart().unwrap();
                drop(restarted.send(daemon));
                let _ = until_end.recv();
            });
        })
        .await;
    let Ending::Died { started, host_healthy, .. } = seen.report.ending else { panic!("{seen:?}") };
    assert!(started && !host_healthy, "{seen:?}");
    host.daemon = Some(done.await.unwrap());
    let again = host.run(&job(Language::Python, "print(1)")).await;
    assert_eq!(again.report.ending, exited(0), "{again:?}");
    host.engine.settle().await;
    assert_eq!(host.containers().await, Vec::<String>::new());
}
