//! The secrets of a bed: what `alphagate-control keygen` prints, and the password of the database logins.
//!
//! Invariant: they are on disk only in a file that its owner alone can read, and a persistent bed keeps them,
//! so that keys it minted stay valid.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::places;

const FILE: &str = "secrets.env";
const DATABASE_PASSWORD: &str = "AG_BED_DATABASE_PASSWORD";
const OPERATOR_TOKEN: &str = "AG_OPERATOR_TOKEN";
/// What each program gets; nobody gets more than it needs.
const OF_CONTROL: [&str; 7] = [
    OPERATOR_TOKEN,
    "AG_KEY_RING",
    "AG_CONTROL_TO_EDGE_RING",
    "AG_EDGE_TO_CONTROL_RING",
    "AG_VAULT_RING",
    "AG_AUDIT_RING",
    "AG_SEAL_PUBLIC_KEYS",
];
/// What control takes if it is there: secrets that were kept before there was such a ring lack it.
const MASTER_RING: &str = "AG_MASTER_RING";
const OF_EDGE: [&str; 4] =
    ["AG_KEY_RING", "AG_CONTROL_TO_EDGE_RING", "AG_EDGE_TO_CONTROL_RING", "AG_SEAL_PRIVATE_KEYS"];

/// Secrets by the name of the variable that carries them.
#[derive(Clone)]
pub struct Secrets(BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets")
    }
}

impl Secrets {
    /// Those in `folder`, or fresh ones from `control`, kept there.
    pub(crate) async fn in_folder(folder: &Path, control: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        if !file.exists() {
            let mut text = keygen(control).await?;
            let password = hex::encode(rand::random::<[u8; 16]>());
            text.push_str(&format!("{DATABASE_PASSWORD}={password}\n"));
            places::write_secret(&file, &text)?;
        }
        let secrets = Self(parse(&fs::read_to_string(&file)?));
        for name in OF_CONTROL.iter().chain(&OF_EDGE) {
            secrets.get(name)?;
        }
        Ok(secrets)
    }

    /// One secret, by the name of its variable.
    pub fn get(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| format!("`alphagate-control keygen` printed no {name}"))
    }

    /// The bearer of control's operator routes.
    pub fn operator_token(&self) -> &str {
        self.get(OPERATOR_TOKEN).unwrap_or_default()
    }

    /// The same with others in the place of some.
    pub(crate) fn with(&self, others: &BTreeMap<String, String>) -> Self {
        Self(self.0.iter().chain(others).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    pub(crate) fn database_password(&self) -> Result<&str> {
        self.get(DATABASE_PASSWORD)
    }

    pub(crate) fn of_control(&self) -> impl Iterator<Item = (String, String)> {
        self.pick(&OF_CONTROL).chain(self.pick(&[MASTER_RING]))
    }

    pub(crate) fn of_edge(&self) -> impl Iterator<Item = (String, String)> {
        self.pick(&OF_EDGE)
    }

    fn pick(&self, names: &'static [&'static str]) -> impl Iterator<Item = (String, String)> {
        let pick = |name: &&str| Some(((*name).to_owned(), self.0.get(*name)?.clone()));
        names.iter().filter_map(pick)
    }
}

async fn keygen(control: &Path) -> Result<String> {
    let mut command = Command::new(control);
    command.arg("keygen").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    let output = output.with_context(|| format!("cannot start {}", control.display()))?;
    if !output.status.success() {
        bail!("keygen failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    };
    text.lines().filter_map(pair).collect()
}
