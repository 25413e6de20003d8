//! The body of a new job, from files and flags.

use crate::{document::Assignment, failure::Failure};
use alphagate_contract::job::{INPUT_MAX_BYTES, Language};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// What is run.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The file; its shebang or its name tells the language
    file: PathBuf,
    /// Arguments of the program, after `--`
    #[arg(last = true)]
    argv: Vec<String>,
    /// The language, where neither shebang nor name tells it
    #[arg(long)]
    language: Option<String>,
    /// Another file to lie beside it, under the same relative path
    #[arg(long = "include", value_name = "PATH")]
    includes: Vec<PathBuf>,
    /// A file for the program's standard input; `-` is this one's
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// An environment variable
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The job's name
    #[arg(long)]
    name: Option<String>,
    /// The root file system: minimal, grader, …
    #[arg(long)]
    image: Option<String>,
    /// How long it may run: 30s, 5m
    #[arg(long, value_name = "DURATION", value_parser = crate::commands::duration::seconds)]
    timeout: Option<u64>,
    /// How much memory it may have
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// A label that a runner must have
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// A file that it hands back; `alphagate jobs output --artefact` prints it
    #[arg(long = "artefact", value_name = "PATH")]
    artefacts: Vec<String>,
    /// Set any other field of the job: `limits.pids=8`, `priority=high`
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Assignment>,
}

impl Source {
    /// The body of `POST /v1/jobs`.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let content = contents(&self.file)?;
        let entry = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let entry = entry.ok_or_else(|| Failure::said(format!("{} is no file", self.file.display())))?;
        if self.language.is_none() && Language::detect(&entry, &content).is_none() {
            let known: Vec<&str> = Language::ALL.iter().map(|language| language.as_str()).collect();
            let message = format!("neither shebang nor name of {entry} tells its language");
            return Err(Failure::said(message).hint(format!("--language, one of {}", known.join(", "))));
        }
        let mut files = vec![file(&entry, &content)];
        for include in &self.includes {
            files.push(file(&include.to_string_lossy(), &contents(include)?));
        }
        let mut body = json!({"files": files, "entry": entry, "argv": self.argv, "env": self.env()?});
        self.set_options(&mut body)?;
        Ok(body)
    }

    fn env(&self) -> Result<Map<String, Value>, Failure> {
        let pair = |text: &String| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.into()))
        };
        let wrong = |text: &String| Failure::said(format!("--env {text}: must have the form NAME=VALUE"));
        self.env.iter().map(|text| pair(text).ok_or_else(|| wrong(text))).collect()
    }

    /// What is not said is left to control.
    fn set_options(&self, body: &mut Value) -> Result<(), Failure> {
        let texts = [("language", &self.language), ("name", &self.name), ("image", &self.image)];
        for (name, text) in texts {
            if let Some(text) = text {
                body[name] = text.as_str().into();
            }
        }
        let lists = [("labels", &self.labels), ("artefacts", &self.artefacts)];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            body[name] = list.as_slice().into();
        }
        if let Some(seconds) = self.timeout {
            body["limits"]["wall_ms"] = seconds.saturating_mul(1_000).into();
        }
        if let Some(memory) = self.memory {
            body["limits"]["memory_bytes"] = memory.saturating_mul(MIB).into();
        }
        if let Some(stdin) = &self.stdin {
            let (name, value) = bytes("stdin", "stdin_base64", &contents(stdin)?);
            body[name] = value;
        }
        for assignment in &self.set {
            assignment.apply(body)?;
        }
        Ok(())
    }
}

fn file(path: &str, content: &[u8]) -> Value {
    let (name, value) = bytes("content", "content_base64", content);
    json!({"path": path, name: value})
}

/// Text as text, anything else as base64.
fn bytes(text: &'static str, base64: &'static str, content: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(content) {
        Ok(content) if !content.contains('\0') => (text, content.into()),
        _ => (base64, BASE64_STANDARD.encode(content).into()),
    }
}

/// What is in a file, or on standard input; not more than a job takes.
fn contents(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| Failure::said(format!("{}: {why}", path.display()));
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?)
    };
    let mut content = Vec::new();
    let most = INPUT_MAX_BYTES as u64 + 1;
    reader.take(most).read_to_end(&mut content).map_err(|error| wrong(error.to_string()))?;
    if content.len() > INPUT_MAX_BYTES {
        return Err(wrong(format!("a job takes at most {INPUT_MAX_BYTES} bytes of files and input")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        source: Source,
    }

    fn body(folder: &Path, arguments: &[&str]) -> Result<Value, Failure> {
        let file = folder.join(arguments[0]).display().to_string();
        let line = ["x", &file].into_iter().chain(arguments[1..].iter().copied());
        Line::try_parse_from(line).unwrap().source.body()
    }

    #[test]
    fn flags_and_files_make_the_body_that_control_takes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "print(1)").unwrap();
        std::fs::write(folder.path().join("raw"), b"#!/bin/sh\n\xff\0").unwrap();
        let plain = body(folder.path(), &["a.py"]).unwrap();
        assert_eq!(
            plain,
            json!({"files": [{"path": "a.py", "content": "print(1)"}], "entry": "a.py", "argv": [], "env": {}})
        );
        let full = [
            "a.py",
            "--timeout",
            "2m",
            "--memory",
            "64",
            "-e",
            "A=b=c",
            "--set",
            "priority=high",
            "--",
            "-x",
            "y",
        ];
        let full = body(folder.path(), &full).unwrap();
        assert_eq!(full["limits"], json!({"wall_ms": 120_000, "memory_bytes": 67_108_864}));
        assert_eq!((&full["env"], &full["argv"]), (&json!({"A": "b=c"}), &json!(["-x", "y"])));
        assert_eq!(full["priority"], "high");
        let raw = body(folder.path(), &["raw"]).unwrap();
        assert!(raw["files"][0]["content_base64"].is_string(), "{raw}");
    }

    #[test]
    fn what_cannot_be_run_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "hello").unwrap();
        assert!(body(folder.path(), &["a.txt"]).unwrap_err().text().contains("python, javascript, bash"));
        assert!(body(folder.path(), &["a.txt", "--language", "python"]).is_ok());
        assert!(body(folder.path(), &["missing.py"]).is_err());
        assert!(body(folder.path(), &["a.txt", "--language", "bash", "-e", "x"]).is_err());
    }
}
