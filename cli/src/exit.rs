//! The statuses with which the program ends, for scripts to go by.

/// All is well.
pub(crate) const SUCCESS: u8 = 0;
/// The answer is no: items failed, a publication missed its gate, documents differ.
pub(crate) const VERDICT: u8 = 1;
/// No answer: a wrong command, a refused call, an outage. The same as clap's for a command line that cannot be read.
pub(crate) const TROUBLE: u8 = 2;
/// `jobs run`: a time limit ended the job; as timeout(1) has it.
pub(crate) const JOB_TIMEOUT: u8 = 124;
/// `jobs run`: the job's own code did not come to an end of its own; as `docker run` has it.
pub(crate) const JOB_TROUBLE: u8 = 125;
/// `jobs run`: this, plus the number of the signal that ended the job's code; as shells have it.
pub(crate) const JOB_SIGNALED: u8 = 128;
