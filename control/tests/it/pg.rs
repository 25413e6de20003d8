//! Databases for tests: one template with all migrations, and a copy of it for each test.

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;
use url::Url;

const OWNER: &str = "alphagate_test_owner";
pub const TENANT: &str = "alphagate_test_tenant";
pub const SYSTEM: &str = "alphagate_test_system";
const PASSWORD: &str = "test";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database that is dropped with this value.
pub struct Database {
    pub name: String,
}

fn server() -> Url {
    let url = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL: a Postgres for tests; `cargo xtask test` starts one");
    url.parse().expect("DATABASE_URL is a URL")
}

/// The URL of a database for a login of this file, or for the server's own (`None`).
pub fn url(database: &str, login: Option<&str>) -> String {
    let mut url = server();
    url.set_path(database);
    if let Some(login) = login {
        url.set_username(login).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
    }
    url.to_string()
}

/// A connection to `database` with this login.
pub async fn connect(database: &str, login: Option<&str>) -> PgConnection {
    PgConnection::connect(&url(database, login)).await.expect("Postgres is there")
}

async fn run(db: &mut PgConnection, sql: String) {
    db.execute(AssertSqlSafe(sql.clone())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn exists(db: &mut PgConnection, sql: &'static str, name: &str) -> bool {
    sqlx::query(sql).bind(name).fetch_optional(db).await.unwrap().is_some()
}

/// A login, in a group or none.
async fn login(db: &mut PgConnection, name: &str, options: &str) {
    if !exists(db, "SELECT FROM pg_roles WHERE rolname = $1", name).await {
        run(db, format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {options}")).await;
    }
}

/// The name of the template: another one for other migrations.
fn template_name() -> String {
    let mut all = Sha256::new();
    alphagate_control::store::MIGRATIONS.iter().for_each(|migration| all.update(&migration.checksum));
    format!("alphagate_test_template_{}", hex::encode(&all.finalize()[..16]))
}

async fn make_template() -> String {
    let name = template_name();
    let mut db = connect("postgres", None).await;
    run(&mut db, "SELECT pg_advisory_lock(7301)".into()).await;
    login(&mut db, OWNER, "CREATEROLE").await;
    if !exists(&mut db, "SELECT FROM pg_database WHERE datname = $1", &name).await {
        let building = format!("{name}_building");
        run(&mut db, format!("DROP DATABASE IF EXISTS {building}")).await;
        run(&mut db, format!("CREATE DATABASE {building} OWNER {OWNER}")).await;
        alphagate_control::store::migrate(&url(&building, Some(OWNER))).await.expect("migrations apply");
        settle(&mut db, &building).await;
        run(&mut db, format!("ALTER DATABASE {building} RENAME TO {name}")).await;
    }
    login(&mut db, TENANT, "IN ROLE alphagate_tenant").await;
    login(&mut db, SYSTEM, "IN ROLE alphagate_system").await;
    run(&mut db, "SELECT pg_advisory_unlock(7301)".into()).await;
    name
}

/// Waits until nobody is connected: a closed connection's backend lives a moment longer.
async fn settle(db: &mut PgConnection, name: &str) {
    while exists(db, "SELECT FROM pg_stat_activity WHERE datname = $1", name).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

impl Database {
    /// A migrated database.
    pub async fn new() -> Self {
        let template = TEMPLATE.get_or_init(make_template).await;
        Self::create(&format!("TEMPLATE {template} OWNER {OWNER}")).await
    }

    /// A database without anything in it.
    pub async fn empty() -> Self {
        TEMPLATE.get_or_init(make_template).await;
        Self::create(&format!("OWNER {OWNER}")).await
    }

    async fn create(options: &str) -> Self {
        let name = format!("alphagate_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut db = connect("postgres", None).await;
        run(&mut db, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&mut db, format!("CREATE DATABASE {name} {options}")).await;
        Self { name }
    }

    pub fn owner_url(&self) -> String {
        url(&self.name, Some(OWNER))
    }

    pub fn tenant_url(&self) -> String {
        url(&self.name, Some(TENANT))
    }

    pub fn system_url(&self) -> String {
        url(&self.name, Some(SYSTEM))
    }

    /// A folder for what is too large for it.
    pub fn blobs(&self) -> std::path::PathBuf {
        std::env::temp_dir().join("alphagate-test-blobs").join(&self.name)
    }

    /// A folder for the mails that are sent.
    pub fn mails(&self) -> std::path::PathBuf {
        std::env::temp_dir().join("alphagate-test-mails").join(&self.name)
    }

    /// A connection that no policy binds.
    pub async fn superuser(&self) -> PgConnection {
        connect(&self.name, None).await
    }
}

impl Drop for Database {
    /// Waits for the drop, and Postgres for every backend that is logging in: the runtime's other tasks go on meanwhile, so
    /// that a login that has begun can end.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.blobs());
        let _ = std::fs::remove_dir_all(self.mails());
        let name = self.name.clone();
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut db = connect("postgres", None).await;
                run(&mut db, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            });
        });
        tokio::task::block_in_place(|| drop(cleaner.join()));
    }
}
