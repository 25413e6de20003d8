//! Interpreters that start before their job is known, and wait in front of its first line.
//!
//! The interpreter is started exactly as for the job (`python3 -u -B /job/main.py`); a hook that it loads before it opens
//! the file waits for the order (arguments and variables), takes them over, removes its own traces, and lets it go on.
//! What the hook cannot change afterwards (another file, variables that the interpreter itself reads) starts it anew.
//!
//! Invariant: an interpreter becomes one job at most, and is that job's user from its first instruction. What a job can
//! still tell: its process is older than it and has used processor time, an image's own `sitecustomize` has run before the
//! job's variables were there, and so has the search for `usercustomize`.

use super::{
    candidates::module_folder,
    meter,
    process::{self, Bounds, Launch, Process},
};
use alphagate_agent::{JOB_FOLDER, JOB_UID, RUN_FOLDER};
use alphagate_contract::job::{Language, SandboxSpec};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
};

const PYTHON_HOOK: &str = include_str!("../python/sitecustomize.py");
const BASH_HOOK: &str = include_str!("../bash/ahead.sh");
const NODE_HOOK: &str = include_str!("../node/ahead.js");
/// Variables that an interpreter or its loader reads before any hook: with one of these it is started anew.
const READ_EARLY: [&str; 8] = ["PYTHON", "NODE", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "UV_"];

/// In every zip archive, which Python runs as it runs a script; the hook tells it that there is none.
const ARCHIVE_MARK: &[u8] = b"PK\x05\x06";

/// An interpreter that waits.
pub struct Ahead {
    process: Process,
    order: File,
    language: Language,
    /// Processor time that was used in the sandbox until it waited, milliseconds: not the job's.
    pub used_cpu_ms: u64,
}

fn folder() -> String {
    format!("{RUN_FOLDER}/ahead")
}

/// Arguments and variables.
type CommandLine = (Vec<String>, Vec<(String, String)>);

/// How to make a language's interpreter wait, if it can.
fn hooked(language: Language, grader: bool) -> Option<CommandLine> {
    let mut argv: Vec<String> = language.command().iter().map(|&word| word.to_owned()).collect();
    let mut env = Vec::new();
    match language {
        Language::Python => {
            let graders = if grader { format!(":{}", module_folder()) } else { String::new() };
            env.push(("PYTHONPATH".to_owned(), format!("{}{graders}", folder())));
        }
        Language::Javascript => argv.extend(["--require".to_owned(), format!("{}/ahead.js", folder())]),
        Language::Bash if grader => return None,
        Language::Bash => env.push(("BASH_ENV".to_owned(), format!("{}/ahead.sh", folder()))),
    }
    argv.push(format!("{JOB_FOLDER}/{}", language.main_file()));
    Some((argv, env))
}

impl Ahead {
    /// Starts a language's interpreter and returns when it waits; none if the language has no hook, or it did not come.
    /// `bounds` are those of its class, `result` is what a grader's process gets as its result channel. The job's folder
    /// must be there.
    pub fn start(
        language: Language,
        grader: bool,
        bounds: Bounds,
        result: Option<OwnedFd>,
    ) -> io::Result<Option<Self>> {
        let Some((argv, env)) = hooked(language, grader) else { return Ok(None) };
        fs::create_dir_all(folder())?;
        fs::write(format!("{}/sitecustomize.py", folder()), PYTHON_HOOK)?;
        fs::write(format!("{}/ahead.js", folder()), NODE_HOOK)?;
        fs::write(format!("{}/ahead.sh", folder()), BASH_HOOK)?;
        let (order_reader, order) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (ready, ready_writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut handed = vec![order_reader, ready_writer];
        handed.extend(result);
        let env = [super::running::base_env(), env].concat();
        let launch = Launch { argv, env, folder: c"/job", user: JOB_UID, bounds, private: grader, handed };
        let Ok(process) = launch.start() else { return Ok(None) };
        // One byte when it waits; end of file if the interpreter ended instead.
        let waits = File::from(ready).read(&mut [0]).is_ok_and(|count| count == 1);
        let used_cpu_ms = meter::processor_ms();
        Ok(waits.then(|| Self { process, order: File::from(order), language, used_cpu_ms }))
    }

    /// Whether it can become this job.
    pub fn fits(&self, spec: &SandboxSpec) -> bool {
        let early = |name: &String| READ_EARLY.iter().any(|prefix| name.starts_with(prefix));
        let entry = spec.files.iter().find(|file| file.path == spec.entry);
        let is_archive = |file: &alphagate_contract::job::File| {
            file.content.0.windows(ARCHIVE_MARK.len()).any(|bytes| bytes == ARCHIVE_MARK)
        };
        spec.language == self.language
            && !entry.is_some_and(is_archive)
            && spec.entry.as_str() == self.language.main_file()
            && !spec.env.keys().any(early)
            // A shell makes of its environment what it becomes: variables, functions, options.
            && (self.language != Language::Bash || spec.env.is_empty())
    }

    /// Bounds its processor time; that needs a right that the agent gives up before the job starts.
    pub fn bound(&self, cpu_ms: u64) -> io::Result<()> {
        process::bound_processor(self.process.pid, cpu_ms)
    }

    /// Lets it become this job: `length, 8 digits ‖ NUL ‖ count of arguments ‖ NUL ‖ argument or NAME=value ‖ NUL ‖ …`;
    /// an order is far shorter than 100 MB..
    pub fn go(mut self, argv: &[String], env: &[(String, String)]) -> io::Result<Process> {
        let mut order = format!("{}", argv.len()).into_bytes();
        let variables = env.iter().map(|(name, value)| format!("{name}={value}"));
        for text in argv.iter().cloned().chain(variables) {
            order.push(0);
            order.extend_from_slice(text.as_bytes());
        }
        // In one piece: it is woken once.
        order.splice(0..0, format!("{:08}\0", order.len()).into_bytes());
        self.order.write_all(&order)?;
        Ok(self.process)
    }
}
