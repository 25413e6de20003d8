//! The one thread that starts every child process.
//!
//! Linux sends a child its death signal when the *thread* that started it ends. Test threads end all the
//! time, this one ends with the process: so a child lives exactly as long as the process that wanted it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use rustix::process::Signal;

struct Order {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

/// Starts `command` as the leader of a process group of its own, which gets `death_signal` when this
/// process dies (Linux; elsewhere a child has to watch its stdin).
pub(crate) fn spawn(mut command: Command, death_signal: Signal) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    command.process_group(0);
    die_with_parent(&mut command, death_signal);
    let (reply, answer) = mpsc::sync_channel(1);
    let orders = ORDERS.get_or_init(|| Mutex::new(start_thread()));
    let gone = || io::Error::other("the spawner thread has ended");
    orders
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send(Order { command, reply })
        .map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start_thread() -> mpsc::Sender<Order> {
    let (orders, inbox) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for Order { mut command, reply } in inbox {
            // The asker waits for the answer, so it is there to receive it.
            let _ = reply.send(command.spawn());
        }
    });
    orders
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std offers no other way to run code between fork and exec")]
fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // A parent that died before the line above sends no signal any more.
        if rustix::process::getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: the hook makes two system calls and allocates nothing.
    unsafe { command.pre_exec(hook) };
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _signal: Signal) {}
