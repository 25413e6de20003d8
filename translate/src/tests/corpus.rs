//! The files that tests begin with.

use std::path::{Path, PathBuf};

/// One file of the corpus.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The file's name without its end.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// All files of a target, in the order of their names. Those of the chat adapter's own tests join.
pub(super) fn samples(target: &str) -> Vec<Sample> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("fuzz/corpus").join(target)];
    match target {
        "chat_stream" => folders.push(here.join("src/chat/tests/streams")),
        "chat_whole" => folders.push(here.join("src/chat/tests/answers")),
        _ => {}
    }
    let mut files: Vec<PathBuf> = folders.iter().filter(|folder| folder.exists()).flat_map(files).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files.iter().map(|file| sample(file)).collect()
}

fn files(folder: &PathBuf) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file())
}

fn sample(file: &Path) -> Sample {
    let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
    Sample { name, bytes: std::fs::read(file).expect("a file") }
}
