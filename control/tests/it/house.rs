//! The house's rule for SQL: a feature's tables are read and written in that feature only.

use std::{fs, path::Path};

/// Each table, and the file or folder of `src/` that it belongs to.
const OWNERS: [(&str, &str); 57] = [
    ("device_logins", "accounts/"),
    ("users", "accounts/"),
    ("identities", "accounts/"),
    ("passwords", "accounts/"),
    ("sign_ups", "accounts/"),
    ("password_resets", "accounts/"),
    ("sessions", "accounts/"),
    ("throttles", "accounts/"),
    ("mails", "mail/"),
    ("memberships", "members/"),
    ("invitations", "members/"),
    ("orgs", "orgs/"),
    ("keys", "keys/"),
    ("run_keys", "keys/"),
    ("records", "outbox/"),
    ("outbox", "outbox/"),
    ("outbox_backoff", "outbox/"),
    ("credentials", "credentials/"),
    ("vault_move", "credentials/"),
    ("data_keys", "vault/"),
    ("names", "names.rs"),
    ("endpoints", "endpoints/"),
    ("versions", "versions/"),
    ("version_credentials", "versions/"),
    ("policies", "policies/"),
    ("policy_revisions", "policies/"),
    ("version_policies", "policies/"),
    ("publications", "publications/"),
    ("installs", "installs/"),
    ("quotas", "quotas.rs"),
    ("usage_events", "usage/"),
    ("idempotency", "idempotency.rs"),
    ("caller_idempotency", "idempotency.rs"),
    ("runner_tokens", "runners/"),
    ("runners", "runners/"),
    ("jobs", "jobs/"),
    ("job_attempts", "jobs/"),
    ("job_output", "jobs/"),
    ("job_artefacts", "jobs/"),
    ("job_queues", "jobs/"),
    ("job_settings", "jobs/"),
    ("job_pulse", "jobs/"),
    ("blobs", "blobs.rs"),
    ("files", "files/"),
    ("file_chunks", "files/"),
    ("evals", "evals/"),
    ("eval_runs", "evals/"),
    ("eval_run_feeds", "evals/"),
    ("eval_run_usage", "evals/"),
    ("output_items", "evals/"),
    ("gates", "gates/"),
    ("gate_evals", "gates/"),
    ("gate_runs", "publications/"),
    ("verdicts", "publications/"),
    ("audit", "audit/"),
    ("audit_links", "audit/"),
    ("audit_pending", "audit/"),
];

/// Every source file with its path below `src/`.
fn sources(folder: &Path, below: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// The tables that a text names after FROM, INTO, UPDATE or JOIN.
fn tables(text: &str) -> Vec<&str> {
    let words: Vec<&str> =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    let pairs = words.windows(2).filter(|pair| ["FROM", "INTO", "UPDATE", "JOIN"].contains(&pair[0]));
    pairs.map(|pair| pair[1]).collect()
}

#[test]
fn a_feature_reads_and_writes_its_own_tables_only() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    let mut seen = 0;
    for (file, text) in &found {
        for table in tables(text) {
            let Some((_, owner)) = OWNERS.iter().find(|(name, _)| *name == table) else { continue };
            assert!(file.starts_with(owner), "{file} uses the table `{table}` of {owner}");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} statements were seen");
}

#[test]
fn every_table_of_the_migrations_has_an_owner() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations"), "", &mut found);
    for (file, text) in found.iter().filter(|(file, _)| file.ends_with(".sql")) {
        for line in text.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")) {
            let table = line.split([' ', '(']).next().unwrap();
            let partition = line.contains("PARTITION OF");
            assert!(partition || OWNERS.iter().any(|(name, _)| *name == table), "{file}: {table}");
        }
    }
}

#[test]
fn a_live_pointer_is_moved_in_one_function() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    let with = |what: &str| {
        let count = |(file, text): &(String, String)| (file.clone(), text.matches(what).count());
        found.iter().map(count).filter(|(_, count)| *count > 0).collect::<Vec<_>>()
    };
    assert_eq!(with("SET live_version"), [("endpoints/mod.rs".to_owned(), 1)]);
    assert_eq!(with("endpoints::set_live("), [("publications/end.rs".to_owned(), 1)]);
}

#[test]
fn a_tenants_transaction_is_opened_in_one_file() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    let openers: Vec<&String> =
        found.iter().filter(|(_, text)| text.contains("set_config(")).map(|(file, _)| file).collect();
    assert_eq!(openers, ["tenant.rs"]);
}
