//! `alphagate-control audit …`: checks the trail, and shows the public keys that it takes.

use super::{
    chain::{Head, PublicKeys},
    verify::{self, Found},
};
use alphagate_contract::{id::OrgId, ring::Ring};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sqlx::{Connection as _, PgConnection};
use std::{fs::File, io::BufReader, path::PathBuf};

/// What is done with the trail.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the chains of the audit trail: names the first broken link of each org, and fails if there is one.
    Verify(Box<Verify>),
    /// Print the public keys of `AG_AUDIT_RING`, for those who check without being able to sign.
    Keys {
        /// Ring that signs the heads.
        #[arg(long, env = "AG_AUDIT_RING", hide_env_values = true, value_parser = Ring::parse)]
        audit_ring: Ring,
    },
}

/// What is checked, and against what.
#[derive(Debug, Args)]
pub struct Verify {
    /// Postgres login that may read the trail: one in `alphagate_system`, or the owner of the server.
    #[arg(long, env = "AG_SYSTEM_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Only this org; otherwise all of them.
    #[arg(long)]
    org: Option<OrgId>,
    /// Check this export instead of a database.
    #[arg(long, conflicts_with = "org")]
    export: Option<PathBuf>,
    /// A head that was kept elsewhere, as the log and exports show it, or a file with one in each line. Any number.
    #[arg(long = "head")]
    heads: Vec<String>,
    /// Public keys, `kid:hex64,…`.
    #[arg(long, env = "AG_AUDIT_PUBLIC_KEYS")]
    public_keys: Option<PublicKeys>,
    /// Ring that signs the heads, where the public keys are not given.
    #[arg(long, env = "AG_AUDIT_RING", hide_env_values = true, value_parser = Ring::parse)]
    audit_ring: Option<Ring>,
}

/// Does it; gives the lines to print.
///
/// # Errors
/// When a chain does not hold, or cannot be read.
pub async fn run(audit: Audit) -> anyhow::Result<()> {
    match audit {
        Audit::Keys { audit_ring } => println!("AG_AUDIT_PUBLIC_KEYS={}", PublicKeys::of(&audit_ring)?),
        Audit::Verify(wanted) => report(&wanted.run().await?)?,
    }
    Ok(())
}

impl Verify {
    fn keys(&self) -> anyhow::Result<PublicKeys> {
        match (&self.public_keys, &self.audit_ring) {
            (Some(keys), _) => Ok(keys.clone()),
            (None, Some(ring)) => Ok(PublicKeys::of(ring)?),
            (None, None) => bail!("no keys: give --public-keys, or AG_AUDIT_RING"),
        }
    }

    fn kept(&self) -> anyhow::Result<Vec<Head>> {
        let mut kept = Vec::new();
        for text in &self.heads {
            if let Ok(head) = text.parse() {
                kept.push(head);
                continue;
            }
            let lines = std::fs::read_to_string(text)
                .with_context(|| format!("`{text}` is neither a head nor a file that can be read"))?;
            for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                kept.push(line.parse().with_context(|| format!("in {text}"))?);
            }
        }
        Ok(kept)
    }

    async fn run(&self) -> anyhow::Result<Vec<Found>> {
        let (keys, kept) = (self.keys()?, self.kept()?);
        if let Some(path) = &self.export {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            return Ok(vec![verify::in_export(BufReader::new(file), &keys, &kept)?]);
        }
        let url =
            self.database_url.as_deref().context("nothing to check: give --database-url or --export")?;
        let mut db = PgConnection::connect(url).await.context("the database cannot be reached")?;
        let orgs = match self.org {
            Some(org) => vec![org],
            None => verify::orgs(&mut db, &kept).await?,
        };
        let mut found = Vec::with_capacity(orgs.len());
        for org in orgs {
            found.push(verify::in_database(&mut db, &keys, org, &kept).await?);
        }
        Ok(found)
    }
}

/// One line for each org on standard output.
fn report(found: &[Found]) -> anyhow::Result<()> {
    let mut broken = 0;
    for Found { org, result } in found {
        match result {
            Ok(held) => {
                let links = held.head.as_ref().map_or(0, |head| head.number);
                let head = held.head.as_ref().map(Head::to_string).unwrap_or_default();
                println!("{org} holds: {links} links, {} to come; head {head}", held.pending);
            }
            Err(fault) => {
                broken += 1;
                println!("{org} BROKEN: {fault}");
            }
        }
    }
    if broken > 0 {
        bail!("{broken} of {} trails do not hold", found.len());
    }
    Ok(())
}
