//! Room for a thousand calls at once: each holds a file descriptor at both of its ends.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts this process's limit of open files, and with it that of every child, to what the system allows.
pub(crate) fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    // Where it is refused, tests with fewer calls still run.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}
