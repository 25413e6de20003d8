//! A job as a caller writes it, and what is wrong with it: 422 with the field's path, or 413 when it is too much.

use super::{NewJob, Owner, Priority, Work, limits::LimitsRequest, verdict::RETRIES_MAX};
use crate::{error::Error, text::Label};
use alphagate_contract::{
    job::{
        ARGUMENT_MAX_BYTES, ARGUMENTS_MAX, Bytes, FILES_MAX, File, FilePath, INPUT_MAX_BYTES, ImageName,
        Language, SandboxSpec,
    },
    problem::{Code, Problem},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of all arguments and variables: half of what Linux gives a process for them.
const ARGUMENTS_MAX_BYTES: usize = 1024 * 1024;
/// Most labels of a job or a runner.
pub(crate) const LABELS_MAX: usize = 16;
/// Longest label.
const LABEL_MAX_LEN: usize = 64;
/// Longest name of an image.
const IMAGE_MAX_LEN: usize = 32;

/// A job as a caller writes it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJob)]
pub(super) struct JobRequest {
    pub(super) name: Option<Label>,
    source: Option<String>,
    files: Option<Vec<FileRequest>>,
    entry: Option<FilePath>,
    #[schema(value_type = Option<Language>)]
    language: Option<String>,
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9-]{1,32}$")]
    image: Option<ImageName>,
    #[serde(default)]
    argv: Vec<String>,
    stdin: Option<String>,
    stdin_base64: Option<Bytes>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsRequest,
    #[serde(default)]
    priority: Priority,
    run_at: Option<DateTime<Utc>>,
    #[serde(default)]
    retries: u32,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    artefacts: Vec<FilePath>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJobFile)]
struct FileRequest {
    path: FilePath,
    content: Option<String>,
    content_base64: Option<Bytes>,
}

/// The path of a field of the job that stands at `at`.
fn field(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// What may be given as text or as base64, but not as both.
fn either(
    text: Option<String>,
    base64: Option<Bytes>,
    at: impl FnOnce() -> String,
) -> Result<Option<Bytes>, Error> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(Error::field(at(), "is given twice: as text and as base64")),
        (Some(text), None) => Ok(Some(Bytes(text.into_bytes()))),
        (None, base64) => Ok(base64),
    }
}

impl JobRequest {
    /// The job; `at` is where it stands in the body, `image` what it runs on if it does not say.
    pub(super) fn read(mut self, at: &str, image: &str) -> Result<(Option<Label>, NewJob), Error> {
        let limits = self.limits.read(&field(at, "limits"))?;
        let stdin = either(self.stdin.take(), self.stdin_base64.take(), || field(at, "stdin"))?;
        let stdin = stdin.unwrap_or_default();
        self.check_arguments(at)?;
        check_labels(&field(at, "labels"), &self.labels)?;
        self.check_artefacts(at)?;
        if self.retries > RETRIES_MAX {
            return Err(Error::field(field(at, "retries"), format!("must be at most {RETRIES_MAX}")));
        }
        let image = self.image.take().unwrap_or_else(|| image.to_owned());
        if !is_image_name(&image) {
            let message = "must be 1 to 32 lower-case letters, digits and `-`";
            return Err(Error::field(field(at, "image"), message));
        }
        let (files, entry, language) = self.read_files(at)?;
        check_sizes(at, &files, &stdin)?;
        let spec = SandboxSpec {
            image,
            language,
            entry,
            files,
            argv: self.argv,
            stdin,
            env: self.env,
            limits,
            artefacts: self.artefacts,
            grader: false,
        };
        let job = NewJob {
            work: Work::Sandbox(Box::new(spec)),
            priority: self.priority,
            labels: self.labels,
            owner: Owner::Caller,
            run_at: self.run_at,
            retries: self.retries,
        };
        Ok((self.name, job))
    }

    fn check_arguments(&self, at: &str) -> Result<(), Error> {
        if self.argv.len() > ARGUMENTS_MAX {
            return Err(Error::field(field(at, "argv"), format!("at most {ARGUMENTS_MAX} arguments")));
        }
        if let Some(long) = self.argv.iter().position(|text| text.len() > ARGUMENT_MAX_BYTES) {
            let message = format!("must have at most {ARGUMENT_MAX_BYTES} bytes");
            return Err(Error::field(field(at, &format!("argv[{long}]")), message));
        }
        if self.env.len() > ARGUMENTS_MAX {
            return Err(Error::field(field(at, "env"), format!("at most {ARGUMENTS_MAX} variables")));
        }
        for (name, value) in &self.env {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts || !name.chars().all(plain) || name.len() + value.len() > ARGUMENT_MAX_BYTES {
                let message = format!(
                    "a variable's name has letters, digits and `_`; with its value it has at most {ARGUMENT_MAX_BYTES} bytes"
                );
                return Err(Error::field(field(at, "env"), message));
            }
        }
        let arguments: usize = self.argv.iter().map(String::len).sum();
        let variables: usize = self.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        if arguments + variables > ARGUMENTS_MAX_BYTES {
            let message =
                format!("arguments and variables have at most {ARGUMENTS_MAX_BYTES} bytes together");
            return Err(Error::field(field(at, "argv"), message));
        }
        Ok(())
    }

    fn check_artefacts(&self, at: &str) -> Result<(), Error> {
        if self.artefacts.len() > FILES_MAX {
            return Err(Error::field(field(at, "artefacts"), format!("at most {FILES_MAX} files")));
        }
        let mut seen = BTreeSet::new();
        match self.artefacts.iter().position(|path| !seen.insert(path)) {
            Some(twice) => Err(Error::field(field(at, &format!("artefacts[{twice}]")), "is named twice")),
            None => Ok(()),
        }
    }

    /// The files, the one that is run, and what runs it.
    fn read_files(&mut self, at: &str) -> Result<(Vec<File>, FilePath, Language), Error> {
        let named = self.language.take().map(|word| read_language(at, &word)).transpose()?;
        let (files, entry) = match (self.source.take(), self.files.take()) {
            (Some(source), None) => {
                let entry = match self.entry.take() {
                    Some(entry) => entry,
                    None => main_file(at, named, source.as_bytes())?,
                };
                (vec![File { path: entry.clone(), content: Bytes(source.into_bytes()) }], entry)
            }
            (None, Some(files)) => {
                let files = read_files(at, files)?;
                let entry = self.read_entry(at, &files)?;
                (files, entry)
            }
            (Some(_), Some(_)) => {
                return Err(Error::field(field(at, "source"), "`source` or `files`, not both"));
            }
            (None, None) => return Err(Error::field(field(at, "source"), "`source` or `files` is needed")),
        };
        let content = files.iter().find(|file| file.path == entry).map(|file| file.content.0.as_slice());
        let language = named.or_else(|| Language::detect(entry.as_str(), content.unwrap_or_default()));
        let language = language.ok_or_else(|| unknown_language(at, "cannot be told from the entry"))?;
        Ok((files, entry, language))
    }

    fn read_entry(&mut self, at: &str, files: &[File]) -> Result<FilePath, Error> {
        match (self.entry.take(), files) {
            (Some(entry), files) if files.iter().any(|file| file.path == entry) => Ok(entry),
            (Some(_), _) => Err(Error::field(field(at, "entry"), "must be one of the files")),
            (None, [only]) => Ok(only.path.clone()),
            (None, _) => Err(Error::field(field(at, "entry"), "is needed where there are several files")),
        }
    }
}

/// What the file is called when only a source is given.
fn main_file(at: &str, named: Option<Language>, source: &[u8]) -> Result<FilePath, Error> {
    let language = named.or_else(|| Language::detect("", source));
    let language = language
        .ok_or_else(|| unknown_language(at, "is needed where neither shebang nor file name tells it"))?;
    language.main_file().parse().map_err(Error::internal)
}

fn read_language(at: &str, word: &str) -> Result<Language, Error> {
    let known = Language::ALL.iter().copied().find(|language| language.as_str() == word);
    known.ok_or_else(|| unknown_language(at, "is unknown"))
}

fn unknown_language(at: &str, why: &str) -> Error {
    let known: Vec<String> =
        Language::ALL.iter().map(|language| format!("`{}`", language.as_str())).collect();
    Error::field(field(at, "language"), format!("{why}; known are {}", known.join(", ")))
}

fn read_files(at: &str, files: Vec<FileRequest>) -> Result<Vec<File>, Error> {
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(Error::field(field(at, "files"), format!("between 1 and {FILES_MAX} files")));
    }
    let place = |number: usize, name: &str| field(at, &format!("files[{number}].{name}"));
    let mut read = Vec::with_capacity(files.len());
    for (number, file) in files.into_iter().enumerate() {
        let content = either(file.content, file.content_base64, || place(number, "content"))?;
        let content = content.ok_or_else(|| {
            Error::field(place(number, "content"), "`content` or `content_base64` is needed")
        })?;
        read.push(File { path: file.path, content });
    }
    let paths: BTreeSet<&str> = read.iter().map(|file| file.path.as_str()).collect();
    if paths.len() != read.len() {
        return Err(Error::field(field(at, "files"), "a path is there twice"));
    }
    let is_folder = |path: &str| {
        let folder = format!("{path}/");
        paths.range(folder.as_str()..).next().is_some_and(|next| next.starts_with(&folder))
    };
    match read.iter().position(|file| is_folder(file.path.as_str())) {
        Some(both) => Err(Error::field(place(both, "path"), "is a file and a folder")),
        None => Ok(read),
    }
}

fn check_sizes(at: &str, files: &[File], stdin: &Bytes) -> Result<(), Error> {
    let bytes: usize = files.iter().map(|file| file.content.0.len()).sum();
    if bytes + stdin.0.len() <= INPUT_MAX_BYTES {
        return Ok(());
    }
    let message = format!("Files and stdin of a job have at most {INPUT_MAX_BYTES} bytes together.");
    Err(Problem::new(Code::BodyTooLarge).param(field(at, "files")).message(message).into())
}

/// Checks labels of a job or a runner.
pub(crate) fn check_labels(at: &str, labels: &[String]) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '=');
    let fits = |label: &String| (1..=LABEL_MAX_LEN).contains(&label.len()) && label.chars().all(plain);
    if labels.len() > LABELS_MAX {
        return Err(Error::field(at, format!("at most {LABELS_MAX} labels")));
    }
    match labels.iter().position(|label| !fits(label)) {
        Some(bad) => Err(Error::field(
            format!("{at}[{bad}]"),
            format!("must be 1 to {LABEL_MAX_LEN} letters, digits and `.`, `_`, `-`, `:`, `/`, `=`"),
        )),
        None => Ok(()),
    }
}

/// Whether a text can be an image's name.
pub(crate) fn is_image_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=IMAGE_MAX_LEN).contains(&text.len()) && text.bytes().all(plain)
}
