//! A bed of its own whose keys change, with some orgs that have credentials, and a door in front of its edge.

use std::process::Stdio;

use alphagate_bed::{Bed, Options, places, seed::Control};
use alphagate_contract::seal::key_pair;
use alphagate_tests::{Door, Stage};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::leaks::{Needle, data_keys};

/// Orgs beside the stage's: so that a batch of two is not all.
const MORE_ORGS: usize = 3;
/// The rings whose entries must not be found anywhere.
const RINGS: [&str; 5] =
    ["AG_MASTER_RING", "AG_VAULT_RING", "AG_KEY_RING", "AG_SEAL_PRIVATE_KEYS", "AG_AUDIT_RING"];

/// The scene.
pub struct Scene {
    pub bed: &'static Bed,
    pub stage: Stage,
    /// Acts for the stage's org.
    pub admin: Control,
    pub door: Door,
    /// How many orgs have a data key, and how many credentials there are.
    pub orgs: usize,
    pub credentials: usize,
}

/// A ring with one entry, and another that is to come.
pub struct Ring {
    pub name: &'static str,
    old: String,
    pub new: String,
}

impl Ring {
    /// The bed's ring of this name, and a new entry.
    pub fn next(bed: &Bed, name: &'static str, kid: &str) -> Result<Self> {
        let new = format!("{kid}:{}", hex::encode(Sha256::digest(name)));
        Ok(Self { name, old: bed.secrets().get(name)?.to_owned(), new })
    }

    /// The new entry is known, and not used.
    pub fn old_first(&self) -> String {
        format!("{},{}", self.old, self.new)
    }

    /// The new entry is used.
    pub fn new_first(&self) -> String {
        format!("{},{}", self.new, self.old)
    }
}

/// A new sealing key of the edge: private and public, as rings.
pub fn seal_keys(kid: &str) -> (String, String) {
    let (private, public) = key_pair(&Sha256::digest(kid).into());
    (format!("{kid}:{}", hex::encode(private.reveal())), format!("{kid}:{}", hex::encode(public)))
}

impl Scene {
    pub async fn start() -> Result<Self> {
        let bed: &'static Bed = Box::leak(Box::new(Bed::start(Options::default()).await?));
        let stage = Stage::new(bed, json!({})).await?;
        for number in 0..MORE_ORGS {
            let org = bed.org(&format!("Vault {number}")).await?;
            org.admin.create_credential("provider", &bed.provider().url(), "sk-of-another-org").await?;
            // Only the stage's own keys are to be left at the end.
            let keys: Value = org.admin.get("/v1/keys").await?;
            let key = keys["data"][0]["id"].as_str().context("no key")?;
            org.admin.revoke_key(key).await?;
        }
        let edge = bed.edge_url().trim_start_matches("http://").parse()?;
        let (admin, door) = (stage.org.admin.clone(), Door::to(edge).await?);
        Ok(Self { bed, stage, admin, door, orgs: MORE_ORGS + 1, credentials: MORE_ORGS + 1 })
    }

    /// Replaces the edge behind the door: who comes meanwhile waits, as where a platform replaces a Worker.
    pub async fn replace_edge(&self) -> Result<()> {
        let _shut = self.door.shut().await;
        self.bed.replace_edge().await
    }

    /// Calls once with this key; gives the status.
    pub async fn call_with(&self, key: &str) -> Result<u16> {
        let mut caller = self.stage.caller.clone();
        caller.key.secret = key.to_owned();
        Ok(caller.post(json!({})).await?.status().as_u16())
    }

    /// What the operator is told of the vault.
    pub async fn state(&self) -> Result<Value> {
        self.bed.operator()?.get("/operator/v1/vault").await
    }

    /// Renews until nothing is left.
    pub async fn renew(&self) -> Result<()> {
        self.command(&["vault", "renew"]).await.map(drop)
    }

    /// Runs the program as an operator does; gives what it says.
    pub async fn command(&self, args: &[&str]) -> Result<String> {
        let own = || places::target().map(|target| target.join("debug/alphagate-control"));
        let program = std::env::var_os("AG_CONTROL_BIN").map_or_else(own, |path| Ok(path.into()))?;
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.env("AG_CONTROL_URL", self.bed.control_url());
        command.env("AG_OPERATOR_TOKEN", self.bed.operator_token());
        let output = command.output().await?;
        if !output.status.success() {
            bail!("{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Revokes every key of the stage's org but these.
    pub async fn revoke_all_but(&self, kept: &[&str]) -> Result<()> {
        let keys: Value = self.admin.get("/v1/keys?limit=100").await?;
        for key in keys["data"].as_array().context("no keys")? {
            let id = key["id"].as_str().context("no id")?;
            if key["revoked_at"].is_null() && !kept.contains(&id) {
                self.admin.revoke_key(id).await?;
            }
        }
        Ok(())
    }

    /// Every key of ours, in clear: those of the rings, and the orgs' data keys.
    pub async fn needles(&self) -> Result<Vec<Needle>> {
        let mut needles = Vec::new();
        for name in RINGS {
            let ring = self.bed.secrets().get(name)?;
            let (_, key) = ring.split_once(':').context("no ring")?;
            needles.push(Needle::bytes(name, &hex::decode(key)?));
        }
        let data_keys = data_keys(self.bed).await?;
        assert_eq!(data_keys.len(), self.orgs);
        needles.extend(data_keys.iter().map(|key| Needle::bytes("a data key", key)));
        needles.push(Needle::text("the operator's token", self.bed.operator_token()));
        Ok(needles)
    }
}
