//! The crash table: `kill -9` of runner, control and Postgres at each named point. Every job ends exactly once.
//!
//! A job's output is the witness: an attempt that was thrown away has left nothing of it, and none was run to its end
//! twice. A crash of control or of Postgres costs no attempt; a crash of the runner costs one.

mod crashes {
    pub mod frozen;
    pub mod jobs;
    pub mod scene;
}
