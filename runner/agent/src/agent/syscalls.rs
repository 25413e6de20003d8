//! The calls that have no safe wrapper: reading the kernel's boot message, and starting a program without a copy of this one.
#![expect(unsafe_code, reason = "neither rustix nor std offers them")]

use std::{ffi::CString, io};

/// `SYSLOG_ACTION_READ_ALL`.
const READ_ALL: libc::c_int = 3;
/// For a handful of system calls.
const CHILD_STACK_BYTES: usize = 64 * 1024;
/// gVisor's whole boot message has some 600 bytes.
const BOOT_MESSAGE_MAX_BYTES: usize = 2048;

/// The first line of the kernel's log without its time; empty where it may not be read.
pub fn boot_message() -> String {
    let mut buffer = vec![0_u8; BOOT_MESSAGE_MAX_BYTES];
    let length = libc::c_int::try_from(buffer.len()).unwrap_or(0);
    // SAFETY: the buffer is ours and as long as we say.
    let read = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), length) };
    buffer.truncate(usize::try_from(read).unwrap_or(0));
    let text = String::from_utf8_lossy(&buffer);
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once("] ").map_or(line, |(_, message)| message).to_owned()
}

/// A program, its arguments and its environment, as `execve` takes them.
pub struct Program {
    paths: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// Text with a NUL is refused. The program is looked for in the `PATH` of its own environment.
    pub fn new(argv: Vec<String>, env: &[(String, String)]) -> io::Result<Self> {
        let name = argv.first().ok_or(io::ErrorKind::InvalidInput)?;
        let search = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
        let paths = if name.contains('/') {
            vec![CString::new(name.as_str())?]
        } else {
            search
                .split(':')
                .map(|folder| CString::new(format!("{folder}/{name}")))
                .collect::<Result<_, _>>()?
        };
        let env = env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        let env = env.collect::<Result<_, _>>()?;
        let argv = argv.into_iter().map(CString::new).collect::<Result<_, _>>()?;
        Ok(Self { paths, argv, env })
    }
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// What a child works with: its parent's memory.
struct Child<'a> {
    act: &'a mut dyn FnMut() -> io::Result<()>,
    paths: &'a [*const libc::c_char],
    argv: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
    error: i32,
}

/// Starts a program, after `act` has run in the child; its id. Unlike `fork`, the child uses this process's memory while
/// this process waits for its `exec`: gVisor takes tens of milliseconds to copy an address space that is thrown away at
/// once. So `act` must only make system calls, on values that were made before.
pub fn start(program: &Program, act: &mut dyn FnMut() -> io::Result<()>) -> io::Result<i32> {
    let (paths, argv, env) = (pointers(&program.paths), pointers(&program.argv), pointers(&program.env));
    let mut child = Child { act, paths: &paths, argv: &argv, env: &env, error: 0 };
    let mut stack = vec![0_u128; CHILD_STACK_BYTES / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its aligned end, and it and `child` outlive the child's use of them, because with
    // CLONE_VFORK this process goes on only when the child has become another program or is gone. Neither has threads or
    // signal handlers.
    let pid =
        unsafe { libc::clone(enter, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut child).cast()) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if child.error != 0 {
        // SAFETY: a plain number and no status; it has exited already.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        return Err(io::Error::from_raw_os_error(child.error));
    }
    Ok(pid)
}

/// The child's whole life until its program.
extern "C" fn enter(data: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` gives its own `Child`, and does not touch it until this process is done with it.
    let child = unsafe { &mut *data.cast::<Child<'_>>() };
    child.error = match (child.act)() {
        Ok(()) => become_program(child),
        Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
    };
    // Nobody sees it: the program has not started.
    127
}

/// Returns only if there is no such program; with why.
fn become_program(child: &Child<'_>) -> i32 {
    // SAFETY: Rust ignores this signal for the agent's sake; the program starts with the default.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let mut told = libc::ENOENT;
    for path in child.paths.iter().filter(|path| !path.is_null()) {
        // SAFETY: every pointer is to a C string of `Program`, and both lists end with a null.
        unsafe { libc::execve(*path, child.argv.as_ptr(), child.env.as_ptr()) };
        match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL) {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => told = libc::EACCES,
            other => return other,
        }
    }
    told
}

/// Makes `target` a copy of `source` that survives `exec`. For the child only: what `target` was is closed.
pub fn hand_over(source: i32, target: i32) -> io::Result<()> {
    // SAFETY: plain numbers; the caller is about to become another program.
    if unsafe { libc::dup2(source, target) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
