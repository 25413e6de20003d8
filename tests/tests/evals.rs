//! Evals end to end, as their users have them: the unmodified OpenAI SDK, one base URL, samples through the edge, python
//! graders under gVisor.

mod evals {
    pub mod gate;
    pub mod humaneval;
    pub mod resume;
    pub mod scene;
    pub mod sdk;
}
