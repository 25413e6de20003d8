//! R03: the disk, and what lies on it.

use super::case::{CANARY, Case, End::*, case, walk};
use alphagate_contract::job::{LimitKind::*, SandboxSpec};

const CASES: &[Case] = &[
    case("R03_one_file_fills_the_disk", "
f = open('big', 'wb', buffering=0)
n = 0
try:
    while True: n += f.write(bytes(1 << 16))
except OSError as e: print(errno.errorcode[e.errno], n >> 20)
time.sleep(0.2)")
    .hits(&[Disk])
    .check(|seen| seen.out() == "EFBIG 16\n" || seen.out() == "ENOSPC 15\n" || seen.out() == "ENOSPC 16\n"),
    case("R03_many_files_fill_the_disk", "
n = 0
try:
    while True:
        with open(str(n), 'wb') as f: f.write(bytes(1 << 16))
        n += 1
except OSError as e: print(errno.errorcode[e.errno], n <= 256)
time.sleep(0.2)")
    .hits(&[Disk])
    .says("ENOSPC True"),
    case("R03_scratch_and_shared_memory_are_the_same_disk", "
for path in ('/tmp' + '/a', '/dev/shm/a', 'a'):
    with open(path, 'wb') as f:
        try: f.write(bytes(7 << 20)); f.flush(); print('fits')
        except OSError as e: print(errno.errorcode[e.errno])
time.sleep(0.2)
os._exit(0)")
    .hits(&[Disk])
    .says("fits\nfits\nENOSPC"),
    case("R03_default_signal_of_a_file_too_long", "
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
f = open('big', 'wb', buffering=0)
f.truncate(1 << 24)
f.seek(1 << 24)
f.write(b'x')")
    .ends(&[Signal(25)])
    .hits(&[Disk]),
    case("R03_sparse_terabyte", "
f = open('sparse', 'wb')
tried('truncate', f.truncate, 1 << 40)
tried('allocate', os.posix_fallocate, f.fileno(), 0, 1 << 40)")
    .check(|seen| !seen.out().contains("ALLOWED")),
    case("R03_a_million_empty_files", "
os.mkdir('d')
n = 0
while True:
    os.close(os.open('d/%d' % n, os.O_CREAT | os.O_WRONLY)); n += 1")
    .with(|spec| spec.limits.wall_ms = 4_000)
    .ends(&[Limit(Wall), Limit(Memory), Limit(Cpu)]),
    case("R03_three_thousand_folders_deep", "
for _ in range(3000):
    os.mkdir('d'); os.chdir('d')
print('deep')")
    .says("deep"),
    case("R03_root_is_read_only", "
for path in ('/x', '/usr/x', '/usr/bin/python3', '/etc/passwd', '/run/x', '/.alphagate/x', '/proc/x', '/sys/x', '/dev/x', '/bin/sh'):
    tried(path, open, path, 'w')")
    .check(|seen| seen.out().lines().count() == 10),
    case("R03_the_agent_is_out_of_reach", "
agent = '/.alphagate/alphagate-agent'
tried('write', open, agent, 'r+b')
tried('remove', os.unlink, agent)
tried('rename', os.rename, agent, 'agent')
tried('chmod', os.chmod, agent, 0o777)
tried('hook', open, '/run/ahead/sitecustomize.py', 'w')
tried('disk', os.listdir, '/run/disk')")
    .check(|seen| seen.out().lines().count() == 6),
    case("R03_the_hosts_files_are_not_here", "
for path in ('/etc/shadow', '/root', '/home', '/var/cache/alphagate-canary', '/var/lib', '/boot', '/srv', '/proc/kcore', '/proc/kallsyms', '/proc/keys', '/sys/firmware/dmi'):
    tried(path, os.stat, path)
tried('canary', open, '/var/cache/alphagate-canary', 'w')")
    .check(|seen| CANARY.starts_with("/var/cache") && seen.out().lines().count() == 12),
    case("R03_symlinks_stay_inside", "
os.symlink('/etc/shadow', 'link'); os.symlink('/proc/1/cwd/etc/shadow', 'link2'); os.symlink('..' + '/..' * 30 + '/etc/shadow', 'link3')
for link in ('link', 'link2', 'link3'): tried(link, open, link)")
    .check(|seen| seen.out().lines().count() == 3),
    case("R03_files_that_do_not_fit_never_start", "print('ALLOWED')")
        .with(|spec| spec.limits.disk_bytes = 4096)
        .with(files_too_large)
        .ends(&[Limit(Disk)])
        .hits(&[Disk]),
    case("R03_a_file_where_a_folder_must_be", "print('ALLOWED')")
        .with(|spec| add(spec, "main.py/x", b"x"))
        .ends(&[NotRun("files_refused")]),
    case("R03_names_of_any_bytes", "
os.mkdir(b'\\xff\\n\\x1b[31m')
print(sorted(os.listdir(b'.')))")
    .says("[b'main.py', b'\\xff\\n\\x1b[31m']"),
];

fn add(spec: &mut SandboxSpec, path: &str, content: &[u8]) {
    let content = alphagate_contract::job::Bytes(content.to_vec());
    spec.files.push(alphagate_contract::job::File { path: path.parse().unwrap(), content });
}

fn files_too_large(spec: &mut SandboxSpec) {
    spec.limits.disk_bytes = 64 * 1024;
    add(spec, "large", &[1; 128 * 1024]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_stays_bounded_and_the_root_read_only() {
    walk(CASES).await;
}
