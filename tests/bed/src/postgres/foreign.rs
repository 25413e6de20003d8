//! A bed's database in a server that others use too: dropped with the bed, or by the next bed.
//!
//! Each bed holds an advisory lock named after its database for as long as it lives. Whoever gets that lock
//! knows that the bed is dead and clears up after it. Invariant: a living bed's database is never dropped.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::database::Database;
use crate::at_exit::AtExit;
use crate::runtime;

/// What beds call their databases in a foreign server.
const PREFIX: &str = "ag_bed_";
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
const UNLOCK: &str = "SELECT pg_advisory_unlock(hashtextextended($1, 0))";
/// At the end of a process nobody waits long for a server that does not answer.
const DROP_MAX: Duration = Duration::from_secs(10);

/// A database that is dropped when this is.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) database: Database,
    /// Ends the task that holds the lock's connection.
    _lock: oneshot::Sender<()>,
    _removal: AtExit,
}

impl Foreign {
    /// Makes a fresh database in the server of `url`.
    pub(crate) async fn create(url: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 6]>()));
        let database = Database::new(url, &name)?;
        let lock = hold_lock(&database).await?;
        let removal = AtExit::new({
            let database = database.clone();
            move || {
                // The server may be gone before us: then there is nothing left to drop.
                let _ = runtime::block_on(async move { timeout(DROP_MAX, remove(&database)).await });
            }
        });
        database.create().await?;
        Ok(Self { database, _lock: lock, _removal: removal })
    }
}

async fn remove(database: &Database) -> Result<()> {
    let mut server = database.connect_to_server().await?;
    database.drop_all(&mut server).await?;
    Ok(server.close().await?)
}

/// Takes the lock on the beds' own runtime: the connection must outlive the runtime of a single test.
async fn hold_lock(database: &Database) -> Result<oneshot::Sender<()>> {
    let (release, released) = oneshot::channel();
    let database = database.clone();
    let (locked, answer) = oneshot::channel();
    runtime::handle()?.spawn(async move {
        let taken = async {
            let mut server = database.connect_to_server().await?;
            sqlx::query(LOCK).bind(database.name()).execute(&mut server).await?;
            anyhow::Ok(server)
        };
        let (server, result) = match taken.await {
            Ok(server) => (Some(server), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let _ = locked.send(result);
        let _ = released.await;
        drop(server);
    });
    answer.await??;
    Ok(release)
}

/// Drops the databases and logins of beds that died in the server of `url`.
pub(crate) async fn clear(url: &str) -> Result<()> {
    let mut server = PgConnection::connect(url).await?;
    let names: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut server)
            .await?;
    for name in names {
        let abandoned: bool = sqlx::query_scalar(LOCK).bind(&name).fetch_one(&mut server).await?;
        if abandoned {
            // Another bed may clear up at the same moment, or the database may not be ours to drop.
            let _ = Database::new(url, &name)?.drop_all(&mut server).await;
            sqlx::query(UNLOCK).bind(&name).execute(&mut server).await?;
        }
    }
    Ok(server.close().await?)
}
