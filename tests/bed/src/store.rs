//! Where a bed's database lives: in a server of its own, or in the one that `DATABASE_URL` names.

use std::env;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::options::Options;
use crate::places::DataDir;
use crate::postgres::{Database, Foreign, Postgres, Server, clear};

/// The database's name in a server of our own, and in a foreign one when the bed is persistent.
const NAME: &str = "alphagate";
/// The folder of our own server's data, below the bed's.
const FOLDER: &str = "postgres";

/// A bed's database with whatever keeps it running.
#[derive(Debug)]
pub(crate) enum Store {
    Own {
        server: Box<Server>,
        database: Database,
    },
    Foreign(Foreign),
    /// In a foreign server, and meant to stay there.
    Kept(Database),
}

impl Store {
    pub(crate) async fn open(data: &DataDir, options: &Options) -> Result<Self> {
        let foreign = match options.postgres {
            Postgres::Auto => foreign_url(),
            Postgres::Own => None,
        };
        let store = match foreign {
            Some(url) if data.persistent => Self::Kept(Database::new(&url, NAME)?),
            Some(url) => {
                clear(&url).await?;
                return Ok(Self::Foreign(Foreign::create(&url).await?));
            }
            None => {
                let folder = data.path.join(FOLDER);
                let server = Server::start(&folder, options.ports.postgres, options.durable).await?;
                let database = Database::new(&server.url(), NAME)?;
                Self::Own { server: Box::new(server), database }
            }
        };
        store.database().create().await?;
        Ok(store)
    }

    /// Drops what a persistent bed keeps.
    pub(crate) async fn wipe(folder: &Path) -> Result<()> {
        Server::wipe(&folder.join(FOLDER))?;
        if let Some(url) = foreign_url() {
            let database = Database::new(&url, NAME)?;
            let mut server = database.connect_to_server().await?;
            database.drop_all(&mut server).await?;
        }
        Ok(())
    }

    pub(crate) fn database(&self) -> &Database {
        match self {
            Self::Own { database, .. } | Self::Kept(database) => database,
            Self::Foreign(foreign) => &foreign.database,
        }
    }

    pub(crate) async fn restart_immediate(&self, away: Duration) -> Result<()> {
        match self {
            Self::Own { server, .. } => server.restart_immediate(away).await,
            Self::Foreign(_) | Self::Kept(_) => {
                bail!("this bed uses a foreign Postgres: start it with Postgres::Own")
            }
        }
    }

    pub(crate) async fn stop(&self) {
        if let Self::Own { server, .. } = self {
            server.stop().await;
        }
    }
}

fn foreign_url() -> Option<String> {
    env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())
}
