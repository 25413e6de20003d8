//! The frames that the agent inside a sandbox and the runner outside exchange, and the places inside that both know.
//!
//! Invariant: encoding and decoding are pure, and every length is bounded before anything is kept. The agent is the only
//! process inside that holds the pipes; user code cannot reach them.

pub mod frame;
pub mod message;

/// Where the agent's binary is mounted.
pub const AGENT_FOLDER: &str = "/.alphagate";
/// The agent's binary.
pub const AGENT_PATH: &str = "/.alphagate/alphagate-agent";
/// The agent's own small file system: the helper module of graders, its socket, and where the job's disk is mounted.
pub const RUN_FOLDER: &str = "/run";
/// The job's folder: user code starts there.
pub const JOB_FOLDER: &str = "/job";
/// Scratch.
pub const SCRATCH_FOLDER: &str = "/tmp";
/// Shared memory, on the same bounded disk as the job's folder.
pub const SHARED_MEMORY_FOLDER: &str = "/dev/shm";
/// Where a candidate under a grader runs: a fresh, bounded disk for each.
pub const CANDIDATE_FOLDER: &str = "/run/candidate";
/// Folders that must exist in every root file system, for the mounts.
pub const MOUNT_POINTS: [&str; 7] = ["proc", "sys", "dev", "run", "job", "tmp", ".alphagate"];

/// User and group of the job, inside.
pub const JOB_UID: u32 = 65534;
/// User and group of a candidate under a grader, inside.
pub const CANDIDATE_UID: u32 = 65533;

/// The agent's variable that says how many processors the sandbox may use; without it, what its kernel shows.
pub const CPUS_VARIABLE: &str = "AG_CPUS";
