//! What user code can do to its sandbox, to the host and to its neighbours: nothing. With real gVisor.
//!
//! Invariant: after every case the host's canary is unchanged, and nothing of the sandbox is left. Where gVisor is
//! missing, a test says so and passes, unless `AG_REQUIRE_GVISOR=1`.

mod escapes {
    pub mod bed;
    pub mod bench;
}
