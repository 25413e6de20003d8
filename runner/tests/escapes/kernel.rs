//! R07: more rights than it has, and what it can learn of where it is.

use super::case::{Case, End::*, case, ends_by_itself, walk};

const CASES: &[Case] = &[
    case("R07_mount", "
for n, a in (('mount', (165, b'tmpfs', b'/tmp', b'tmpfs', 0, None)), ('bind', (165, b'/', b'/tmp', None, 4096, None)),
             ('remount', (165, b'none', b'/', None, 32, None)), ('umount', (166, b'/job', 2)), ('pivot_root', (155, b'/tmp', b'/tmp')),
             ('chroot', (161, b'/tmp')), ('fsopen', (430, b'tmpfs', 0)), ('open_tree', (428, -100, b'/', 1))): tried(n, call, *a)"),
    case("R07_a_user_namespace_gives_nothing", "
try: call(272, 0x10000000 | 0x00020000)
except OSError as e: print(errno.errorcode[e.errno])
libc.mount(b'none', b'/usr', None, 32 | 4096, None)
tried('write', open, '/usr/x', 'w')
tried('kill', os.kill, 1, 9)
tried('setuid', os.setuid, 0)"),
    case("R07_a_nested_namespace_ends_with_its_job", "
try: call(272, 0x10000000 | 0x20000000 | 0x00020000)
except OSError as e: print(errno.errorcode[e.errno])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    time.sleep(60)
print('gone')")
    .says("gone")
    .check(ends_by_itself),
    case("R07_become_root", "
for f, a in ((os.setuid, (0,)), (os.setgid, (0,)), (os.setresuid, (0, 0, 0)), (os.setgroups, ([0],)), (os.setreuid, (-1, 0))): tried(f.__name__, f, *a)
print(os.getresuid(), os.getresgid(), os.getgroups())")
    .check(|seen| seen.out().ends_with("(65534, 65534, 65534) (65534, 65534, 65534) []\n")),
    case("R07_programs_with_the_setuid_bit", "
import glob, subprocess
for path in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd', '/usr/bin/chsh'):
    if os.path.exists(path): print(path, subprocess.run([path, '--version'], capture_output=True).returncode is not None)
import shutil
shutil.copy('/usr/bin/id', 'id'); os.chmod('id', 0o6755)
print(subprocess.run(['./id', '-u'], capture_output=True).stdout)")
    .check(|seen| seen.out().ends_with("b'65534\\n'\n")),
    case("R07_a_setuid_root_shell_is_not_made", "
import shutil
shutil.copy('/usr/bin/bash', 'sh')
tried('chown', os.chown, 'sh', 0, 0)
tried('capability', os.setxattr, 'sh', 'security.capability', b'\\x01\\0\\0\\x02' + b'\\xff' * 16)"),
    case("R07_the_agents_memory", "
tried('mem', open, '/proc/1/mem', 'rb')
tried('ptrace', call, 101, 16, 1, 0, 0)
ours, theirs = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8), (ctypes.c_uint64 * 2)(0x400000, 8)
tried('process_vm_readv', call, 310, 1, ours, 1, theirs, 1, 0)
tried('process_vm_writev', call, 311, 1, ours, 1, theirs, 1, 0)
tried('seize', call, 101, 0x4206, 1, 0, 0)"),
    case("R07_the_agents_descriptors", "
own = {os.fstat(fd).st_ino for fd in range(3)}
for fd in range(40):
    try: found = os.fstat(os.open('/proc/1/fd/%d' % fd, os.O_RDWR | os.O_NONBLOCK))
    except OSError: continue
    # The other ends of its own pipes, and the null device, are no secret.
    if found.st_ino not in own and found.st_rdev != os.stat('/dev/null').st_rdev: print(fd, 'ALLOWED')
try: print('pidfd', call(438, call(434, 1, 0), 1, 0), 'ALLOWED')
except OSError as e: print(errno.errorcode[e.errno])"),
    case("R07_the_agents_secrets", "
import glob
text = open('/proc/1/environ', 'rb').read() + open('/proc/1/cmdline', 'rb').read()
print(sorted(part for part in text.split(b'\\0') if part))")
    .check(|seen| !seen.out().contains("KEY") && !seen.out().contains("TOKEN") && seen.out().len() < 400),
    case("R07_its_own_descriptors", "
print(sorted(int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)))")
    .says("[0, 1, 2]"),
    case("R07_forged_frames", "
frame = b'\\x02\\0\\0\\0H{}' + b'\\x05\\0\\0\\0DHELLO'
for fd in range(64):
    try: os.write(fd, frame)
    except OSError: pass
sys.exit(7)")
    .ends(&[Exit(7)])
    .check(|seen| seen.stdout == b"\x02\0\0\0H{}\x05\0\0\0DHELLO" && seen.stderr == seen.stdout),
    case("R07_kill_everyone", "
tried('init', os.kill, 1, 9)
for s in (15, 19, 2, 1): tried('init', os.kill, 1, s)
tried('all', os.kill, -1, 9)
tried('group', os.killpg, 1, 9)"),
    case("R07_cgroups", "
tried('make', os.mkdir, '/sys/fs/cgroup/x')
tried('write', open, '/sys/fs/cgroup/cgroup.procs', 'w')
tried('mount', call, 165, b'cgroup', b'/tmp', b'cgroup', 0, b'memory')"),
    case("R07_kernel_settings", "
for path in ('kernel/core_pattern', 'kernel/hostname', 'kernel/modprobe', 'vm/overcommit_memory', 'net/ipv4/ip_forward', 'fs/file-max'):
    tried(path, open, '/proc/sys/' + path, 'w')
tried('sysrq', open, '/proc/sysrq-trigger', 'w')
tried('oom', open, '/proc/1/oom_score_adj', 'w')"),
    case("R07_devices", "
import stat
for name, number in (('mem', 0x101), ('vda', 0xfe00), ('kvm', 0xae8)):
    try: os.mknod(name, 0o666 | stat.S_IFCHR, number)
    except OSError: pass
    tried(name, os.open, name, os.O_RDWR)
for path in ('/dev/mem', '/dev/kvm', '/dev/vda', '/dev/kmsg', '/dev/port', '/dev/sda', '/dev/loop0'): tried(path, os.open, path, os.O_RDWR)"),
    case("R07_the_clock_and_the_name", "
tried('clock', time.clock_settime, time.CLOCK_REALTIME, 0)
tried('settimeofday', call, 164, (ctypes.c_long * 2)(0, 0), None)
tried('name', socket.sethostname, 'x')
tried('reboot', call, 169, 0xfee1dead, 672274793, 0x01234567, None)
tried('swapon', call, 167, b'/job/x', 0)
tried('acct', call, 163, None)
tried('iopl', call, 172, 3)
tried('ioperm', call, 173, 0, 1024, 1)"),
    case("R07_modules_and_programs_in_the_kernel", "
for n, a in (('init_module', (175, None, 0, b'')), ('finit_module', (313, 0, b'', 0)), ('delete_module', (176, b'x', 0)), ('kexec_load', (246, 0, 0, None, 0)),
             ('bpf', (321, 0, None, 0)), ('perf_event_open', (298, None, 0, -1, -1, 0)), ('io_uring_setup', (425, 8, None)),
             ('userfaultfd', (323, 0)), ('open_by_handle_at', (304, -100, None, 0)), ('add_key', (248, b'user', b'x', b'x', 1, -3)), ('syslog', (103, 5, None, 0)), ('quotactl', (179, 0, b'', 0, None))): tried(n, call, *a)"),
    case("R07_scheduling_and_priorities", "
tried('realtime', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
tried('ioprio of others', call, 251, 1, 1, 0)
print('still here')")
    .ends(&[Exit(0)])
    .check(|seen| seen.out().ends_with("still here\n")),
    case("R07_where_am_i", "
print(socket.gethostname(), os.uname().release, os.path.exists('/.dockerenv'))
print([pid for pid in os.listdir('/proc') if pid.isdigit() and int(pid) not in (1, os.getpid())])")
    .says("sandbox 4.4.0 False\n[]"),
    case("R07_the_hook_leaves_no_trace", "
print('ahead' in str(sys.modules), [path for path in sys.path if 'ahead' in path], sys.orig_argv[1:], sys.argv, os.getcwd(), __file__, __name__)
print(sorted(os.environ))")
    .says("False [] ['-u', '-B', '/job/main.py'] ['/job/main.py'] /job /job/main.py __main__\n['HOME', 'LANG', 'PATH', 'TMPDIR']"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_right_is_gained_and_nothing_is_learnt() {
    walk(CASES).await;
}
