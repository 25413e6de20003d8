//! Jobs in interpreters that waited for them: what such a job sees is what it would see in a fresh one, and what an
//! interpreter cannot take over afterwards gets a fresh one.

use super::bed::{Bed, LIMITS, MIB, Seen, job, python};
use alphagate_contract::job::{Bytes, Ending, File, Language, LimitKind, Limits, SandboxSpec};
use std::time::Duration;

/// Everything about its process that a Python program can look at, but what is new each time: ids, times, addresses.
const LOOK_AROUND: &str = r#"
import sys
modules, stdin, cache = sorted(sys.modules), sys.stdin.buffer.read(), sorted(sys.path_importer_cache)
import os, resource, signal
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.stdin.encoding, sys.stdout.line_buffering)
print(modules, cache, sorted(globals()), __file__, __name__, __loader__ is not None)
print(stdin, dict(os.environ), os.getcwd())
print(os.getresuid(), os.getresgid(), os.getgroups(), os.getpgrp() == os.getpid(), os.getppid(), os.umask(0))
limits = sorted(name for name in dir(resource) if name.startswith('RLIMIT_'))
print([(name, resource.getrlimit(getattr(resource, name))) for name in limits])
print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)])
print(sorted(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)))
print([line for line in open('/proc/self/status') if line.startswith(('Cap', 'Sig', 'NoNewPrivs', 'Seccomp'))])
print(sorted(os.listdir('/job')), sorted(os.listdir('/tmp')), os.stat('/job').st_mode, os.stat('/job').st_uid)
print(sorted(vars(sys.modules.get('sitecustomize', sys)).get('__file__') or ''), sys.exc_info(), sys.getrecursionlimit())
def fault(): 1 / 0
fault()
"#;

/// The same of Node.js.
const LOOK_AROUND_IN_NODE: &str = r"
const fs = require('node:fs');
console.log(process.argv, process.execArgv, process.env, process.cwd(), process.getuid(), process.getgid(), process.getgroups());
console.log(fs.readFileSync(0).toString(), __filename, require.main === module, Object.keys(require.cache), module.paths);
console.log(fs.readdirSync('/proc/self/fd').filter((fd) => fd < 3).sort(), Object.keys(globalThis).sort(), process.umask());
process.exitCode = 7;
";

/// The same of Bash; what it counts and draws by itself is left out, and its stack of arguments, which the hook was on.
const LOOK_AROUND_IN_BASH: &str = r#"
umask; ulimit -a; pwd; echo "$0 $# $- $SHLVL"; printf '<%s>' "$@"
cat | wc -c
shopt; set -o; env | sort
set | grep -vE '^(BASHPID|EPOCH|RANDOM|SRANDOM|PPID|_=|BASH_VERS|PIPESTATUS|SECONDS|BASH_ARGC)'
for fd in /proc/$$/fd/*; do [ -e "$fd" ] && echo "$fd" | sed "s/$$//"; done
trap; jobs; type cat; grep -E '^(Cap|Sig|NoNew)' /proc/$$/status
exit 9
"#;

/// A zip archive with a `__main__.py` that prints its `__file__`, in base64 and quotes.
const ARCHIVE: &str = r#""UEsDBBQAAAAAAAAAIQDRxsEuDwAAAA8AAAALAAAAX19tYWluX18ucHlwcmludChfX2ZpbGVfXylQSwECFAMUAAAAAAAAACEA0cbBLg8AAAAPAAAACwAAAAAAAAAAAAAAgAEAAAAAX19tYWluX18ucHlQSwUGAAAAAAEAAQA5AAAAOAAAAAAA""#;

/// Runs a job cold, waits until a sandbox for the next one waits, and runs it there.
async fn both(bed: &Bed, spec: &SandboxSpec) -> (Seen, Seen) {
    let cold = bed.run(spec).await;
    assert!(!prestarted(&cold), "{cold:?}");
    (cold, warm(bed, spec).await)
}

async fn warm(bed: &Bed, spec: &SandboxSpec) -> Seen {
    while bed.pool.idle() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bed.run(spec).await
}

fn prestarted(seen: &Seen) -> bool {
    seen.report.isolation.as_ref().is_some_and(|isolation| isolation.prestarted)
}

fn filled(mut spec: SandboxSpec) -> SandboxSpec {
    spec.argv = ["-x", "", "a b", "\u{e9}\n"].map(str::to_owned).to_vec();
    spec.env =
        [("A", "b=c"), ("EMPTY", ""), ("HOME", "/tmp")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    spec.stdin = Bytes(vec![b'i'; 300_000]);
    spec.files.push(File { path: "deep/data".parse().unwrap(), content: Bytes(vec![1]) });
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sees_the_same_in_an_interpreter_that_waited() {
    for (language, source, code) in [
        (Language::Python, LOOK_AROUND, 1),
        (Language::Javascript, LOOK_AROUND_IN_NODE, 7),
        (Language::Bash, LOOK_AROUND_IN_BASH, 9),
    ] {
        let Some(bed) = Bed::new(1) else { return };
        let mut spec = filled(job(language, source));
        if language == Language::Bash {
            spec.env.clear();
        }
        let (fresh, waited) = both(&bed, &spec).await;
        assert!(prestarted(&waited), "{waited:?}");
        assert_eq!(
            (waited.out(), String::from_utf8_lossy(&waited.stderr)),
            (fresh.out(), String::from_utf8_lossy(&fresh.stderr))
        );
        assert_eq!(fresh.report.ending, Ending::Exited { code }, "{fresh:?}");
        assert_eq!(waited.report.ending, fresh.report.ending);
        bed.pool.close().await;
        assert_eq!(bed.leftovers(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interpreter_reads_when_it_starts_gets_it_started_afresh() {
    let Some(bed) = Bed::new(1) else { return };
    let hash = python("print(hash('x'), __import__('os').environ.get('PYTHONHASHSEED'))");
    let seeded = |seed: &str| {
        let env = [("PYTHONHASHSEED".to_owned(), seed.to_owned())].into();
        SandboxSpec { env, ..hash.clone() }
    };
    let (drawn, again) = both(&bed, &hash).await;
    assert!(prestarted(&again));
    assert_ne!(drawn.out(), again.out(), "two interpreters have one seed of hashes");
    let (first, second) = (warm(&bed, &seeded("1")).await, warm(&bed, &seeded("1")).await);
    assert_eq!((prestarted(&first), prestarted(&second)), (false, false));
    assert_eq!(first.out(), second.out());
    // An archive is run from within, whatever its name is.
    let mut archive = python("");
    archive.files[0].content = serde_json::from_str(ARCHIVE).unwrap();
    let archive = warm(&bed, &archive).await;
    assert_eq!((prestarted(&archive), archive.out().as_str()), (false, "/job/main.py/__main__.py\n"));
    let mut renamed = python("print(__file__)");
    renamed.entry = "other.py".parse().unwrap();
    renamed.files[0].path = renamed.entry.clone();
    let renamed = warm(&bed, &renamed).await;
    assert_eq!((prestarted(&renamed), renamed.out().as_str()), (false, "/job/other.py\n"));
    // The sandbox is one of its class, but what waits in it is Python.
    let shell = warm(&bed, &job(Language::Bash, "echo $0")).await;
    assert_eq!((prestarted(&shell), shell.report.ending.clone()), (false, Ending::Exited { code: 0 }));
    bed.pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_waited_serves_one_job_and_keeps_nothing_of_it() {
    let Some(bed) = Bed::new(1) else { return };
    let spec = python(
        "import builtins, os, sys\nprint(hasattr(builtins, 'mine'), os.listdir('/tmp'), sorted(os.environ), 'json' in sys.modules)\n\
         builtins.mine = 1\nimport json\nos.environ['MINE'] = '1'\nopen('/tmp/mine', 'w').write('x')",
    );
    let (cold, first) = both(&bed, &spec).await;
    let second = warm(&bed, &spec).await;
    assert!(prestarted(&first) && prestarted(&second));
    assert_eq!(cold.out(), "False [] ['HOME', 'LANG', 'PATH', 'TMPDIR'] False\n");
    assert_eq!((first.out(), second.out()), (cold.out(), cold.out()));
    bed.pool.close().await;
}

/// An attempt at each limit, and the limit that it touches.
const BEYOND: [(&str, LimitKind); 5] = [
    ("while True: pass", LimitKind::Cpu),
    ("import time\ntime.sleep(60)", LimitKind::Wall),
    ("kept = []\nwhile True: kept.append(bytearray(1 << 20))", LimitKind::Memory),
    ("with open('/tmp/x', 'wb') as f:\n    while True: f.write(bytes(1 << 16))", LimitKind::Disk),
    (
        "import os, time\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(9)\nexcept OSError: time.sleep(0.5)",
        LimitKind::Pids,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_holds_in_an_interpreter_that_waited() {
    let Some(bed) = Bed::new(1) else { return };
    // Time is not of a sandbox's class: only the attempts at it have little.
    let spec = |source: &str, limit: Option<LimitKind>| {
        let wall_ms = if limit == Some(LimitKind::Wall) { 1_500 } else { LIMITS.wall_ms };
        let cpu_ms = if limit == Some(LimitKind::Cpu) { 1_000 } else { LIMITS.cpu_ms };
        let limits = Limits { wall_ms, cpu_ms, pids: 24, disk_bytes: 4 * MIB, ..LIMITS };
        SandboxSpec { limits, ..python(source) }
    };
    bed.run(&spec("", None)).await;
    for (source, limit) in BEYOND {
        let seen = warm(&bed, &spec(source, Some(limit))).await;
        assert!(prestarted(&seen) && seen.hit(limit), "{source}: {seen:?}");
    }
    // What the interpreter used while it started is not the job's.
    let seen = warm(&bed, &spec("print(1)", None)).await;
    assert!(prestarted(&seen) && seen.report.used.cpu_ms < 500, "{seen:?}");
    bed.pool.close().await;
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}
