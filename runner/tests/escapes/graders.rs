//! R15: code under a grader does what it can to its score, and the score is the grader's.

use super::bed::{Bed, Seen, python};
use alphagate_contract::job::{Bytes, Ending, File, LimitKind, SandboxSpec};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

/// A grader that knows the answer, runs the attack, then an honest candidate, and scores both.
const GRADER: &str = r#"
import json, os, sys
from alphagate_candidate import run, CandidateError
ANSWER = open("answer").read()
attack = run(open("attack.py").read(), timeout=2.0, stdin=b"20 22")
honest = run("a, b = map(int, input().split())\nprint(a + b)", stdin=b"20 22", timeout=8.0)
score = {
    "attack": 1.0 if attack.ok and attack.stdout.decode(errors="replace").strip() == ANSWER else 0.0,
    "honest": 1.0 if honest.ok and honest.stdout.decode().strip() == ANSWER else 0.0,
    "said": attack.stdout.decode(errors="replace")[:4000],
    "stderr": (attack.stderr + honest.stderr).decode(errors="replace")[-2000:],
    "seen": [attack.exit_code, attack.signal, attack.timed_out, attack.memory_exceeded, attack.truncated],
}
open("after", "w").write("x" * 100000)
with os.fdopen(int(os.environ["AG_RESULT_FD"]), "w") as channel:
    json.dump(score, channel)
"#;

/// A candidate's attack; whatever it says, it must not be the answer, and never `GOT`.
const ATTACKS: &[(&str, &str)] = &[
    (
        "R15_prints_frames_and_scores",
        r#"
import sys
sys.stdout.buffer.write(b'{"attack": 1.0}\n\x0f\0\0\0H{"how":"exited"}' * 10)"#,
    ),
    (
        "R15_patches_builtins_and_modules",
        r#"
import builtins, json, sys
builtins.open = lambda *a: 1 / 0
json.dump = lambda *a: None
builtins.float = lambda *a: 1.0
sys.modules['alphagate_candidate'] = None
class Always:
    def __eq__(self, other): return True
builtins.str = Always
print(41)"#,
    ),
    (
        "R15_kills_its_parent_and_everyone",
        r#"
import os, signal
for pid in [os.getppid(), 1, -1] + [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    for s in (9, 15, 19):
        try: os.kill(pid, s); print('GOT', pid) if pid != -1 else None
        except OSError: pass"#,
    ),
    (
        "R15_reads_everyones_memory",
        r#"
import os
# Its own pipes and the null device are no secret, wherever it opens them.
own, null = {os.fstat(fd).st_ino for fd in range(3)}, os.stat('/dev/null').st_rdev
for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    for what in ('mem', 'root/job/answer', 'cwd/answer', 'fd/0', 'fd/1', 'fd/2', 'fd/3', 'fd/4', 'fd/5', 'fd/6'):
        try: f = open('/proc/%s/%s' % (pid, what), 'rb')
        except OSError: continue
        if os.fstat(f.fileno()).st_ino not in own and os.fstat(f.fileno()).st_rdev != null: print('GOT', pid, what)"#,
    ),
    (
        "R15_writes_to_guessed_descriptors",
        r#"
import os
own, null = {os.fstat(fd).st_ino for fd in range(3)}, os.stat('/dev/null').st_rdev
for fd in range(3, 300):
    try: os.write(fd, b'{"attack": 1.0}'); print('GOT', fd)
    except OSError: pass
for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    for fd in range(20):
        try: f = open('/proc/%s/fd/%d' % (pid, fd), 'wb')
        except OSError: continue
        if os.fstat(f.fileno()).st_ino not in own and os.fstat(f.fileno()).st_rdev != null: print('GOT', pid, fd)"#,
    ),
    (
        "R15_reads_and_writes_the_graders_files",
        r#"
import os
for path in ('/job/answer', '/job/main.py', '/job/attack.py', '/job/new', '/run/grader/alphagate_candidate.py', '/run/ahead/sitecustomize.py'):
    for mode in ('r', 'w', 'a'):
        if path.startswith('/run') and mode == 'r': continue
        try: open(path, mode); print('GOT', path, mode)
        except OSError: pass
for path in ('/job', '/tmp', '/dev/shm', '/run/disk'):
    try: print('GOT', os.listdir(path))
    except OSError: pass
    try: open(path + '/x', 'w'); print('GOT', path)
    except OSError: pass"#,
    ),
    (
        "R15_asks_the_helper_itself",
        r#"
import json, os, socket, struct
print([name for name in os.environ if name.startswith('AG_')])
try:
    s = socket.socket(socket.AF_UNIX); s.connect('/run/ask/candidate.sock')
    s.sendall(struct.pack('<I', 2) + b'{}'); print('GOT', s.recv(4))
except OSError: pass"#,
    ),
    (
        "R15_fills_its_disk",
        r#"
n = 0
try:
    while True:
        with open('f%d' % n, 'wb') as f: f.write(bytes(1 << 20))
        n += 1
except OSError as e: print(n)"#,
    ),
    (
        "R15_takes_every_process",
        r#"
import os, time
while True:
    try:
        if os.fork() == 0: time.sleep(60)
    except OSError: time.sleep(0.01)"#,
    ),
    ("R15_fork_bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    ("R15_takes_all_memory", "kept = []\nwhile True: kept.append(bytearray(1 << 20))"),
    (
        "R15_memory_of_many",
        r#"
import os, time
for _ in range(20):
    if os.fork() == 0:
        kept = bytearray(10 << 20); time.sleep(60)
time.sleep(60)"#,
    ),
    (
        "R15_spins_and_ignores_signals",
        r#"
import signal
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass"#,
    ),
    (
        "R15_changes_the_clock",
        r#"
import ctypes, time
try: time.clock_settime(time.CLOCK_REALTIME, 0); print('GOT')
except OSError: pass
time.time = time.monotonic = lambda: 0
time.sleep(60)"#,
    ),
    (
        "R15_leaves_a_daemon_for_the_next",
        r#"
import os, time
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    while True:
        for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
            try: os.kill(int(pid), 9)
            except OSError: pass
        try: open('/run/candidate/main.py', 'w').write('print(0)')
        except OSError: pass
print('left')"#,
    ),
    (
        "R15_leaves_files_for_the_next",
        r#"
open('sitecustomize.py', 'w').write('print(0)')
open('main.py', 'w').write('print(0)')
import os
os.mkdir('d'); os.chmod('d', 0); os.chmod('.', 0)"#,
    ),
    (
        "R15_floods_both_outputs",
        "import os\nwhile True: os.write(1, bytes(65536)); os.write(2, bytes(65536))",
    ),
    (
        "R15_traces_its_neighbours",
        r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for pid in [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    if libc.ptrace(16, pid, 0, 0) == 0 or libc.ptrace(0x4206, pid, 0, 0) == 0: print('GOT', pid)
    fd = libc.syscall(434, pid, 0)
    if fd >= 0 and (libc.syscall(438, fd, 1, 0) >= 0 or libc.syscall(424, fd, 9, 0, 0) == 0): print('GOT', pid)"#,
    ),
    (
        "R15_becomes_the_grader",
        r#"
import os
for f, a in ((os.setuid, (65534,)), (os.setuid, (0,)), (os.setresuid, (65534,) * 3), (os.setgid, (65534,)), (os.setgroups, ([65534],))):
    try: f(*a); print('GOT', f.__name__)
    except OSError: pass"#,
    ),
    (
        "R15_looks_for_the_answer_in_variables",
        r#"
import os
for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:
    try: text = open('/proc/%s/environ' % pid).read()
    except OSError: continue
    if 'SECRET' in text: print('GOT', pid)"#,
    ),
    (
        "R15_shares_memory_with_the_next",
        r#"
import os
for path in ('/dev/shm/x', '/dev/mqueue/x', '/var/x', '/x'):
    try: open(path, 'w'); print('GOT', path)
    except OSError: pass"#,
    ),
    ("R15_exits_at_once", "import os\nos._exit(0)"),
];

fn grader(attack: &str) -> SandboxSpec {
    let mut spec = python(GRADER);
    spec.grader = true;
    spec.limits.wall_ms = 20_000;
    spec.limits.cpu_ms = 30_000;
    for (path, content) in [("answer", "42"), ("attack.py", attack)] {
        let content = Bytes(content.as_bytes().to_vec());
        spec.files.push(File { path: path.parse().unwrap(), content });
    }
    spec
}

fn result(seen: &Seen) -> serde_json::Value {
    let result = seen.report.result.clone().unwrap_or_else(|| panic!("no result: {seen:?}"));
    serde_json::from_slice(&result.0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_score_is_the_graders_whatever_the_candidate_does() {
    let Some(bed) = Bed::new(2) else { return };
    let (bed, turns) = (Arc::new(bed), Arc::new(Semaphore::new(3)));
    let mut walking = JoinSet::new();
    for (name, attack) in ATTACKS {
        let (bed, turns) = (Arc::clone(&bed), Arc::clone(&turns));
        walking.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            let seen = bed.run(&grader(attack)).await;
            println!("{name:<44} {:>6} ms  {:?}", seen.took.as_millis(), seen.report.ending);
            if seen.report.ending != (Ending::Exited { code: 0 }) || seen.report.result.is_none() {
                return Some(format!("{name}: {:?} {}", seen.report, String::from_utf8_lossy(&seen.stderr)));
            }
            let score = result(&seen);
            let stands = score["attack"] == 0.0 && score["honest"] == 1.0;
            // An attack that does not even run shows nothing.
            let stderr = score["stderr"].as_str().unwrap_or_default();
            let broken = stderr.contains("NameError") || stderr.contains("SyntaxError");
            let got = broken || score["said"].as_str().unwrap_or("GOT").contains("GOT");
            (!stands || got).then(|| format!("{name}: {score}"))
        });
    }
    let offences: Vec<String> = walking.join_all().await.into_iter().flatten().collect();
    bed.pool.close().await;
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_helper_tells_a_grader_what_became_of_each_candidate() {
    let Some(bed) = Bed::new(0) else { return };
    let mut spec = python(
        r#"
import json, os, threading
from alphagate_candidate import run, CandidateError
def tell(r): return [r.exit_code, r.signal, r.timed_out, r.memory_exceeded, r.truncated, r.stdout.decode(errors="replace")[:20]]
told = {
    "files": tell(run({"a.py": "import b; print(b.x)", "b.py": "x = 7"}, entry="a.py")),
    "bash": tell(run("echo $1-$V; exit 3", language="bash", argv=["one"], env={"V": "two"})),
    "node": tell(run("console.log(6 * 7)", language="javascript")),
    "signal": tell(run("import os; os.kill(os.getpid(), 11)")),
    "late": tell(run("print('x', flush=True)\nwhile True: pass", timeout=0.7)),
    "memory": tell(run("kept = bytearray(1 << 30)")),
    "flood": tell(run("while True: print('y' * 1000)", output_bytes=5000)),
    "where": tell(run("import os; print(os.getcwd(), os.getuid())")),
}
def refused(**request):
    try: run(**request)
    except CandidateError as error: return "refused"
    return "run"
told["refused"] = [refused(source="", language="cobol"), refused(source={"../x": "1"}), refused(source={"a": "", "b": ""})]
answers = []
threads = [threading.Thread(target=lambda n=n: answers.append(run(f"print({n})").stdout.strip().decode())) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
told["threads"] = sorted(answers)
with os.fdopen(int(os.environ["AG_RESULT_FD"]), "w") as channel: json.dump(told, channel)
"#,
    );
    spec.grader = true;
    spec.limits.wall_ms = 40_000;
    spec.limits.cpu_ms = 40_000;
    spec.limits.memory_bytes *= 4;
    let seen = bed.run(&spec).await;
    let told = result(&seen);
    let expected = serde_json::json!({
        "files": [0, null, false, false, false, "7\n"],
        "bash": [3, null, false, false, false, "one-two\n"],
        "node": [0, null, false, false, false, "42\n"],
        "signal": [null, 11, false, false, false, ""],
        "late": [null, 9, true, false, false, "x\n"],
        "memory": [null, 9, false, true, false, ""],
        "flood": [null, 9, false, false, true, "y".repeat(20)],
        "where": [0, null, false, false, false, "/run/candidate 65533"],
        "refused": ["refused", "refused", "refused"],
        "threads": ["0", "1", "2", "3"],
    });
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_long_is_none_and_the_grader_can_run_out_of_time() {
    let Some(bed) = Bed::new(0) else { return };
    let mut long = python(
        "import os\nos.write(2, b'w')\nf = os.fdopen(int(os.environ['AG_RESULT_FD']), 'wb')\nf.write(bytes(1 << 21)); f.close()",
    );
    long.grader = true;
    let seen = bed.run(&long).await;
    assert_eq!(
        (seen.report.ending.clone(), seen.report.result.clone()),
        (Ending::Exited { code: 0 }, None),
        "{seen:?}"
    );
    let mut late = python(
        "from alphagate_candidate import run\nprint('up', flush=True)\nrun('while True: pass', timeout=100)",
    );
    late.grader = true;
    late.limits.wall_ms = 5_000;
    let seen = bed.run(&late).await;
    assert_eq!(seen.report.ending, Ending::Limited { limit: LimitKind::Wall });
    assert_eq!((seen.out(), seen.report.result.clone()), ("up\n".to_owned(), None));
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}
