//! One bed's database and its two logins.
//!
//! Invariant: control never gets the owner's url, only logins that the row-level security binds.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;

/// The group roles that the migrations make, and the suffix of a bed's login in each.
const TENANT: (&str, &str) = ("alphagate_tenant", "tenant");
const SYSTEM: (&str, &str) = ("alphagate_system", "system");

/// A database in some server.
#[derive(Debug, Clone)]
pub struct Database {
    maintenance: Url,
    name: String,
}

/// The urls that control connects with.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    pub(crate) tenant: String,
    pub(crate) system: String,
}

impl Database {
    pub(crate) fn new(maintenance_url: &str, name: &str) -> Result<Self> {
        let maintenance = Url::parse(maintenance_url).context("the database url is not a url")?;
        Ok(Self { maintenance, name: name.to_owned() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its url as the owner of everything in it.
    pub fn owner_url(&self) -> String {
        let mut url = self.maintenance.clone();
        url.set_path(&self.name);
        url.into()
    }

    pub(crate) async fn connect_to_server(&self) -> Result<PgConnection> {
        let connection = PgConnection::connect(self.maintenance.as_str()).await;
        connection.with_context(|| format!("cannot connect to {}", self.maintenance.authority()))
    }

    /// The time that an org's attempts have taken slots so far, those under way included, seconds.
    pub async fn slot_seconds(&self, org: &str) -> Result<f64> {
        let mut database = PgConnection::connect(&self.owner_url()).await?;
        let (seconds,): (f64,) = sqlx::query_as(
            "SELECT coalesce(sum(extract(epoch FROM coalesce(ended_at, now()) - claimed_at)), 0)::float8
             FROM job_attempts WHERE 'org_' || replace(org_id::text, '-', '') = $1",
        )
        .bind(org)
        .fetch_one(&mut database)
        .await?;
        database.close().await?;
        Ok(seconds)
    }

    /// Everything in every table, as text: table by table, with its name.
    pub async fn dump(&self) -> Result<Vec<(String, String)>> {
        let mut database = PgConnection::connect(&self.owner_url()).await?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname",
        )
        .fetch_all(&mut database)
        .await?;
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM \"{name}\" AS t");
            let text = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut database).await?;
            tables.push((name, text));
        }
        database.close().await?;
        Ok(tables)
    }

    /// Makes it unless it is there.
    pub(crate) async fn create(&self) -> Result<()> {
        let mut server = self.connect_to_server().await?;
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&self.name)
            .fetch_one(&mut server)
            .await?;
        if !there {
            run(&mut server, format!("CREATE DATABASE {} TEMPLATE template0", self.name)).await?;
        }
        Ok(server.close().await?)
    }

    /// Makes the two logins with this password. The migrations have made the groups.
    pub(crate) async fn logins(&self, password: &str) -> Result<Logins> {
        let mut server = self.connect_to_server().await?;
        for (group, suffix) in [TENANT, SYSTEM] {
            let role = self.role(suffix);
            let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(&role)
                .fetch_one(&mut server)
                .await?;
            let verb = if there { "ALTER" } else { "CREATE" };
            run(&mut server, format!("{verb} ROLE {role} LOGIN PASSWORD '{password}'")).await?;
            run(&mut server, format!("GRANT {group} TO {role}")).await?;
        }
        server.close().await?;
        Ok(Logins {
            tenant: self.login_url(&self.role(TENANT.1), password)?,
            system: self.login_url(&self.role(SYSTEM.1), password)?,
        })
    }

    /// Removes it and its logins, whoever is connected.
    pub(crate) async fn drop_all(&self, server: &mut PgConnection) -> Result<()> {
        run(server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await?;
        for (_, suffix) in [TENANT, SYSTEM] {
            run(server, format!("DROP ROLE IF EXISTS {}", self.role(suffix))).await?;
        }
        Ok(())
    }

    fn role(&self, suffix: &str) -> String {
        format!("{}_login_{suffix}", self.name)
    }

    fn login_url(&self, role: &str, password: &str) -> Result<String> {
        let mut url = self.maintenance.clone();
        url.set_path(&self.name);
        let refused = |()| anyhow::anyhow!("the database url cannot carry a login");
        url.set_username(role).map_err(refused)?;
        url.set_password(Some(password)).map_err(refused)?;
        Ok(url.into())
    }
}

/// Runs a statement whose names cannot be parameters. They are ours: letters, digits and underscores.
async fn run(server: &mut PgConnection, statement: String) -> Result<()> {
    let what = statement.split(" PASSWORD").next().unwrap_or_default().to_owned();
    server.execute(AssertSqlSafe(statement)).await.with_context(|| what)?;
    Ok(())
}
