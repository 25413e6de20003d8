//! R16, and sandboxes that die in other ways: the subject's, and the host does not mind.

use super::{
    bed::{Bed, MIB, python},
    case::{Case, End::*, case, walk},
};
use alphagate_contract::job::Ending;

/// gVisor's systrap platform has 4,095 tasks and panics at the next: only a job that may start as many gets there.
const TOO_MANY_TASKS: &str = "
import threading
threading.stack_size(65536)
stop = threading.Event()
for _ in range(6000): threading.Thread(target=stop.wait, daemon=True).start()
time.sleep(60)";

const CASES: &[Case] = &[
    case("R16_the_sentry_panics", TOO_MANY_TASKS).with(may_crash).ends(&[Died]),
    case(
        "R16_an_exit_that_looks_like_a_panic",
        "print('panic: runtime error', file=sys.stderr); os._exit(2)",
    )
    .ends(&[Exit(2)]),
    case("R16_an_exit_that_looks_like_a_kill", "os._exit(137)").ends(&[Exit(137)]),
    case("R16_an_exit_that_looks_like_a_missing_program", "os._exit(128)").ends(&[Exit(128)]),
    case("R16_a_signal_of_its_own", "os.kill(os.getpid(), signal.SIGSEGV)").ends(&[Signal(11)]),
    case("R16_kills_itself", "os.kill(os.getpid(), signal.SIGKILL)").ends(&[Signal(9)]),
    case("R16_aborts", "os.abort()").ends(&[Signal(6)]),
];

fn may_crash(spec: &mut alphagate_contract::job::SandboxSpec) {
    spec.limits.pids = 100_000;
    spec.limits.memory_bytes = 2048 * MIB;
    spec.limits.wall_ms = 60_000;
    spec.limits.cpu_ms = 60_000;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_dies_is_told_from_a_job_that_fails() {
    walk(CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_again_and_again_is_the_subjects_each_time() {
    let Some(bed) = Bed::new(0) else { return };
    let mut spec = python(&format!("import time\nprint('up', flush=True){TOO_MANY_TASKS}"));
    may_crash(&mut spec);
    for _ in 0..2 {
        let seen = bed.run(&spec).await;
        let Ending::Died { started, host_healthy, message } = &seen.report.ending else { panic!("{seen:?}") };
        assert!(*started && *host_healthy, "{message}");
        assert_eq!(seen.out(), "up\n");
        assert_eq!(bed.leftovers(), Vec::<String>::new());
    }
}
