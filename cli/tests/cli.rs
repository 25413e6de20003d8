//! The binary as people and pipelines start it, against the real stack.

mod cli {
    pub mod documents;
    pub mod endpoints;
    pub mod evals;
    pub mod gate;
    pub mod jobs;
    pub mod login;
    pub mod people;
    pub mod policies;
    pub mod program;
    pub mod scene;
    pub mod tenancy;
}
