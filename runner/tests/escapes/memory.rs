//! R02: memory, in every form in which it can be asked for.

use super::case::{Case, End::*, case, walk};
use alphagate_contract::job::LimitKind::*;

const CASES: &[Case] = &[
    case(
        "R02_one_process_takes_all",
        "
print('before', flush=True)
kept = []
while True: kept.append(bytearray(4 << 20))",
    )
    .ends(&[Limit(Memory)])
    .hits(&[Memory])
    .says("before"),
    case(
        "R02_many_processes_take_a_little",
        "
for _ in range(24):
    if os.fork() == 0:
        kept = bytearray(12 << 20); time.sleep(30)
time.sleep(30)",
    )
    .ends(&[Limit(Memory)])
    .hits(&[Memory]),
    case(
        "R02_at_one_stroke",
        "
kept = bytearray(1 << 30)
time.sleep(1)",
    )
    .ends(&[Limit(Memory)])
    .hits(&[Memory]),
    case(
        "R02_a_file_in_memory",
        "
fd = os.memfd_create('bomb')
while True: os.write(fd, bytes(1 << 20))",
    )
    // A memfd is a file, too: its length is bounded as any file's.
    .ends(&[Exit(1), Signal(25), Limit(Memory)]),
    case(
        "R02_many_files_in_memory",
        "
fds = []
while True:
    fds.append(os.memfd_create('bomb'))
    os.write(fds[-1], bytes(8 << 20))",
    )
    .ends(&[Limit(Memory)])
    .hits(&[Memory]),
    case(
        "R02_shared_memory_without_a_file",
        "
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 8 << 20))
    kept[-1].write(bytes(8 << 20))",
    )
    .ends(&[Limit(Memory)])
    .hits(&[Memory]),
    case(
        "R02_system_v_shared_memory",
        "
kept = []
while True:
    segment = call(29, 0, 8 << 20, 0o1777)
    libc.shmat.restype = ctypes.c_void_p
    ctypes.memset(libc.shmat(segment, None, 0), 1, 8 << 20)",
    )
    .ends(&[Limit(Memory), Exit(1)]),
    case(
        "R02_full_pipes_and_sockets",
        "
kept = []
try:
    while True:
        pair = socket.socketpair()
        kept.append(pair)
        pair[0].setblocking(False)
        try:
            while True: pair[0].send(bytes(65536))
        except BlockingIOError: pass
except OSError as e: print(errno.errorcode[e.errno])",
    )
    .ends(&[Exit(0), Limit(Memory)]),
    case(
        "R02_address_space_is_no_memory",
        "
import mmap
kept = mmap.mmap(-1, 1 << 40, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
print('reserved')",
    )
    .ends(&[Exit(0), Exit(1)]),
    case(
        "R02_endless_recursion",
        "
sys.setrecursionlimit(1 << 30)
def f(): return f() + 1
import threading
f()",
    )
    .ends(&[Signal(11), Limit(Memory), Exit(1)]),
    case(
        "R02_a_little_less_than_the_limit_is_fine",
        "
kept = bytearray(90 << 20)
print(len(kept) >> 20)
time.sleep(0.3)",
    )
    .says("90"),
];

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded() {
    walk(CASES).await;
}
