//! Style as a test: what the house forbids is found here, in one pass over the sources, with the place of each offence.
//!
//! Invariant: a rule is a function from sources to offences; there is no list of files that are let off, only rules
//! that name the one room in which a thing is allowed.

mod tidy {
    pub mod code;
    pub mod functions;
    pub mod sources;
}

use std::{fs, path::Path};

use alphagate_bed::places;
use anyhow::{Context, Result};
use tidy::{
    functions::functions,
    sources::{Kind, Source, read_sources},
};

/// A file of 400 lines is long, of 500 two files.
const FILE_MAX_LINES: usize = 500;
/// A function of 40 lines is long, of 70 two functions.
const FUNCTION_MAX_LINES: usize = 70;
/// Drawers for everything.
const FORBIDDEN_STEMS: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "types", "manager"];

/// Text that only the named files and folders may contain, within the folder. Strings count, comments and tests do not.
const DOORS: [(&str, &str, &[&str]); 9] = [
    ("app.org_id", "control/src/", &["control/src/tenant.rs"]),
    (
        "fetch(",
        "edge/src/",
        &[
            "edge/src/proxy.js",
            "edge/src/pass_on.js",
            "edge/src/lib.rs",
            "edge/src/org_object.rs",
            "edge/src/chain_object.rs",
        ],
    ),
    ("Fetch::Request", "edge/src/", &["edge/src/control.rs"]),
    (".kv(", "edge/src/", &["edge/src/config.rs", "edge/src/org_alarm.rs"]),
    ("kv.get", "edge/src/", &["edge/src/config.rs"]),
    ("localhost", "", &["control/src/upstream.rs"]),
    ("bollard", "runner/src/", &["runner/src/sandbox/"]),
    ("oci_spec", "runner/src/", &["runner/src/sandbox/"]),
    ("cgroup", "runner/src/", &["runner/src/sandbox/", "runner/src/doctor"]),
];

/// The crates of the house, and what each may depend on besides crates of others.
const ARROWS: [(&str, &[&str]); 10] = [
    ("cli", &["alphagate-contract"]),
    ("contract", &[]),
    ("edge", &["alphagate-contract", "alphagate-translate"]),
    ("control", &["alphagate-contract", "alphagate-translate"]),
    ("runner", &["alphagate-agent", "alphagate-contract"]),
    ("runner/agent", &["alphagate-contract"]),
    ("tests/bed", &[]),
    ("tests", &["alphagate-bed", "alphagate-contract"]),
    ("translate", &["alphagate-contract"]),
    ("xtask", &["alphagate-bed", "alphagate-runner"]),
];

/// Folders of one machine, which mean nothing on another.
const MACHINE_PATHS: [&str; 4] = ["/root/", "/home/", "/Users/", "/tmp/"];

fn root() -> Result<std::path::PathBuf> {
    places::workspace()
}

/// Fails with every offence that `rule` finds.
fn hold(rule: impl Fn(&Source) -> Vec<String>) -> Result<()> {
    let sources = read_sources(&root()?)?;
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    let offences: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            rule(source).into_iter().map(|what| format!("{}{what}", source.path)).collect::<Vec<_>>()
        })
        .collect();
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
    Ok(())
}

fn lines_with(text: &str, is_offence: impl Fn(&str) -> bool) -> Vec<String> {
    let found = text.lines().enumerate().filter(|(_, line)| is_offence(line));
    found.map(|(number, line)| format!(":{}: {}", number + 1, line.trim())).collect()
}

#[test]
fn every_file_opens_with_what_it_is_for() -> Result<()> {
    hold(|source| {
        let opening = match source.kind {
            Kind::Rust => "//! ",
            Kind::JavaScript => "//",
            Kind::Python => "\"\"\"",
            Kind::Sql => "-- ",
        };
        let opens = source.text.starts_with(opening);
        if opens { vec![] } else { vec![format!(":1: does not begin with `{opening}`")] }
    })
}

#[test]
fn files_and_functions_are_short() -> Result<()> {
    hold(|source| {
        let length = source.text.lines().count();
        let mut offences = Vec::new();
        if length > FILE_MAX_LINES {
            offences.push(format!(": {length} lines"));
        }
        let long = functions(source).into_iter().filter(|function| function.lines > FUNCTION_MAX_LINES);
        offences.extend(long.map(|long| format!(":{}: `{}` has {} lines", long.line, long.name, long.lines)));
        offences
    })
}

#[test]
fn no_file_is_a_drawer_for_everything() -> Result<()> {
    hold(|source| {
        let parts = source.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        parts
            .filter(|part| FORBIDDEN_STEMS.contains(part))
            .map(|part| format!(": `{part}` says nothing"))
            .collect()
    })
}

#[test]
fn doors_are_used_only_by_their_rooms() -> Result<()> {
    hold(|source| {
        if source.is_test {
            return vec![];
        }
        let closed = DOORS.iter().filter(|(_, folder, rooms)| {
            source.path.starts_with(folder) && !rooms.iter().any(|room| source.path.starts_with(room))
        });
        closed
            .flat_map(|(text, _, _)| lines_with(&source.without_comments, |line| mentions(line, text)))
            .collect()
    })
}

/// Whether the line has `text`, not as the end of a longer word, nor as a method of something.
fn mentions(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        text.starts_with('.')
            || !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == '.')
    })
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() -> Result<()> {
    hold(|source| {
        let allows = |line: &str| line.contains("#[allow(") || line.contains("#![allow(");
        let bare = |line: &str| line.contains("#[expect(") && !line.contains("reason") && line.contains(")]");
        lines_with(&source.code, |line| source.kind == Kind::Rust && (allows(line) || bare(line)))
    })
}

#[test]
fn nothing_panics_at_the_edge() -> Result<()> {
    hold(|source| {
        let quiet = ["edge/src/", "contract/src/", "translate/src/"]
            .iter()
            .any(|folder| source.path.starts_with(folder));
        if !quiet || source.is_test || source.kind != Kind::Rust {
            return vec![];
        }
        let panics = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
        lines_with(&source.code, |line| panics.iter().any(|panic| line.contains(panic)))
    })
}

#[test]
fn no_source_names_a_folder_of_one_machine() -> Result<()> {
    hold(|source| {
        // This very table has to spell them.
        if source.path == "tests/tests/tidy.rs" {
            return vec![];
        }
        // Within a sandbox, scratch is where every program looks for it.
        let in_sandbox = ["runner/", "control/src/graders/"].iter().any(|room| source.path.starts_with(room));
        let names = |line: &str, path: &&str| line.contains(*path) && !(in_sandbox && *path == "/tmp/");
        lines_with(&source.text, |line| MACHINE_PATHS.iter().any(|path| names(line, path)))
    })
}

#[test]
fn arrows_between_crates_are_the_designs() -> Result<()> {
    let root = root()?;
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).context("no members")?;
    assert_eq!(members.matches(", ").count() + 1, ARROWS.len(), "a crate is missing in ARROWS: {members}");
    for (folder, allowed) in ARROWS {
        assert!(members.contains(&format!("\"{folder}\"")), "{folder} is no member");
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml"))?;
        for dependency in own_dependencies(&manifest) {
            assert!(allowed.contains(&dependency), "{folder} must not depend on {dependency}");
        }
    }
    Ok(())
}

/// The crates of this workspace that a manifest names; those of its own tests are free.
fn own_dependencies(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        let ours = name.starts_with("alphagate-") || line.contains("path = ");
        if section.ends_with("dependencies]") && section != "[dev-dependencies]" && ours {
            found.push(name);
        }
    }
    found
}

#[test]
fn the_readmes_promises_name_tests_that_exist() -> Result<()> {
    let root = root()?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    let names = promised(&readme)?;
    let sources = read_sources(&root)?;
    let missing: Vec<&str> = names.into_iter().filter(|name| !is_test_somewhere(&sources, name)).collect();
    assert!(missing.is_empty(), "README.md promises what no test holds: {missing:?}");
    Ok(())
}

/// The names in backticks in the last column of the table under the heading «Promises».
fn promised(readme: &str) -> Result<Vec<&str>> {
    let (_, rest) = readme.split_once("## Promises").context("README.md has no section `## Promises`")?;
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(!rows.is_empty(), "README.md promises nothing");
    let mut names = Vec::new();
    for row in rows {
        let cell = row.trim().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let quoted: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!quoted.is_empty(), "no test in backticks holds this promise: {row}");
        names.extend(quoted);
    }
    Ok(names)
}

/// `tests/quota.rs::name`, `quota::name` or `name`: the last part is a test, the part before it names its file.
fn is_test_somewhere(sources: &[Source], name: &str) -> bool {
    let (file, test) = name.rsplit_once("::").unwrap_or(("", name));
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    sources.iter().filter(|source| source.path.contains(&stem)).any(|source| {
        source.text.contains(&format!("fn {test}(")) || source.text.contains(&format!("test('{test}'"))
    })
}
