//! What user code can do to its sandbox, to the host and to its neighbours: nothing. With real gVisor.
//!
//! Invariant: after every case the host's canary is unchanged and the next job on the same host is fine; after every table
//! nothing of its sandboxes is left. Where gVisor is missing, a test says so and passes, unless `AG_REQUIRE_GVISOR=1`.

#[cfg(test)]
mod escapes {
    pub mod artefacts;
    pub mod bed;
    pub mod bench;
    pub mod case;
    pub mod crashes;
    pub mod disk;
    pub mod endings;
    pub mod graders;
    pub mod kernel;
    pub mod memory;
    pub mod network;
    pub mod output;
    pub mod prestarted;
    pub mod processes;
}
