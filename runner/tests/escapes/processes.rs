//! R01 and R05: too many processes, processes that will not end.

use super::{
    bed::LIMITS,
    case::{Case, End::*, case, ends_by_itself, walk},
};
use alphagate_contract::job::{LimitKind::*, Limits};

/// For attempts that are to run out of time, with time enough to say something first on a busy machine.
const SHORT_MS: u64 = 5_000;

const CASES: &[Case] = &[
    case(
        "R01_fork_bomb_in_a_line",
        "
n = 0
try:
    while True:
        if os.fork() == 0: time.sleep(30)
        n += 1
except OSError as e: print(errno.errorcode[e.errno], 50 < n < 65)
time.sleep(0.2)",
    )
    .with(|spec| {
        roomy(spec);
        spec.limits.wall_ms = 60_000;
    })
    .hits(&[Pids])
    .says("EAGAIN True"),
    case(
        "R01_fork_bomb_that_doubles",
        "
while True:
    try: os.fork()
    except OSError: pass",
    )
    .with(roomy)
    .ends(&[Limit(Wall)])
    .hits(&[Pids]),
    // On a busy machine the bomb takes a second or two to grow to its limit.
    case("R01_fork_bomb_of_the_shell", ":(){ :|:& };:\nsleep 4\nexit 0")
        .bash()
        .with(|spec| {
            roomy(spec);
            spec.limits.pids = 16;
        })
        .ends(&[Exit(0), Limit(Wall), Exit(254)])
        .hits(&[Pids]),
    case(
        "R01_thread_bomb",
        "
import threading
stop, n = threading.Event(), 0
try:
    for n in range(5000): threading.Thread(target=stop.wait, daemon=True).start()
except RuntimeError: print('refused', n < 65)
time.sleep(0.2)
os._exit(0)",
    )
    .hits(&[Pids])
    .says("refused True"),
    case(
        "R01_zombies_count_and_go",
        "
n = 0
try:
    for n in range(500):
        if os.fork() == 0: os._exit(0)
except OSError as e: print(errno.errorcode[e.errno])
time.sleep(0.2)",
    )
    .hits(&[Pids])
    .says("EAGAIN"),
    case(
        "R01_limit_cannot_be_raised",
        "
import resource
for kind in ('NPROC', 'CPU', 'FSIZE', 'NOFILE', 'CORE'):
    kind = getattr(resource, 'RLIMIT_' + kind)
    try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)); print('ALLOWED')
    except (ValueError, OSError): pass
print('kept')",
    )
    .says("kept"),
    case(
        "R01_daemon_dies_with_its_job",
        "
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for s in range(1, 65):
            try: signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: time.sleep(1)
    os._exit(0)
print('gone')",
    )
    .says("gone")
    .check(ends_by_itself),
    case(
        "R01_descriptors_run_out",
        "
fds = []
try:
    while True: fds.append(os.open('/dev/null', os.O_RDONLY))
except OSError as e: print(errno.errorcode[e.errno], len(fds) < 1024)",
    )
    .says("EMFILE True"),
    case(
        "R05_spin",
        "
print('before', flush=True)
while True: pass",
    )
    .with(short)
    .ends(&[Limit(Wall)])
    .hits(&[Wall])
    .says("before")
    .check(|seen| seen.report.used.wall_ms < SHORT_MS + 5_000),
    case(
        "R05_spin_that_ignores_every_signal",
        "
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: pass",
    )
    .with(short)
    .ends(&[Limit(Wall)])
    .hits(&[Wall]),
    case(
        "R05_sleep",
        "
print('before', flush=True)
time.sleep(1000)",
    )
    .with(short)
    .ends(&[Limit(Wall)])
    .hits(&[Wall])
    .says("before"),
    case("R05_stops_itself", "os.kill(os.getpid(), signal.SIGSTOP)").with(short).ends(&[Limit(Wall)]),
    case(
        "R05_processor_time",
        "
while True: pass",
    )
    .with(|spec| spec.limits.cpu_ms = 600)
    .ends(&[Limit(Cpu)])
    .hits(&[Cpu]),
    case(
        "R05_processor_time_of_all_together",
        "
for _ in range(4):
    if os.fork() == 0:
        while True: pass
os.wait()",
    )
    .with(|spec| spec.limits = Limits { cpu_ms: 1_500, ..LIMITS })
    .ends(&[Limit(Cpu)])
    .hits(&[Cpu]),
    case(
        "R05_processor_time_signal_is_ignored",
        "
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass",
    )
    .with(|spec| spec.limits.cpu_ms = 1_000)
    .ends(&[Limit(Cpu)])
    .hits(&[Cpu]),
    case(
        "R05_processor_time_of_short_children",
        "
while True:
    if os.fork() == 0:
        t = time.process_time()
        while time.process_time() - t < 0.05: pass
        os._exit(0)
    os.wait()",
    )
    .with(|spec| spec.limits.cpu_ms = 800)
    .ends(&[Limit(Cpu)])
    .hits(&[Cpu]),
    case("R05_waits_for_input_that_has_ended", "print(len(sys.stdin.buffer.read()))").says("0"),
    case(
        "R05_timers_and_sleepers_end",
        "
import threading
for _ in range(20): threading.Thread(target=time.sleep, args=(1000,)).start()
print('main is done')",
    )
    .with(short)
    .ends(&[Limit(Wall)])
    .says("main is done"),
];

/// A forked interpreter has some megabytes of its own: the processes are to be the limit, not these.
fn roomy(spec: &mut alphagate_contract::job::SandboxSpec) {
    spec.limits.memory_bytes = 1 << 30;
    spec.limits.wall_ms = 6_000;
}

fn short(spec: &mut alphagate_contract::job::SandboxSpec) {
    spec.limits.wall_ms = SHORT_MS;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_stay_bounded_and_end_in_time() {
    walk(CASES).await;
}
