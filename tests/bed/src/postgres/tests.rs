//! The embedded server: started, crashed, and gone without a trace. Needs npm's binaries.

use std::time::Instant;

use sqlx::{Connection, Executor, PgConnection};

use super::{Database, Foreign, Server, clear};
use crate::places::DataDir;

async fn count_beds(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("connect");
    let count = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'ag\\_bed%')
                      + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ag\\_bed%')";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.expect("count")
}

#[tokio::test]
async fn a_server_starts_in_seconds_and_keeps_what_was_committed_before_a_crash() {
    let data = DataDir::temporary().expect("a folder");
    let begun_at = Instant::now();
    let server = Server::start(&data.path.join("postgres"), None, true).await.expect("a server");
    println!("ready after {:?}", begun_at.elapsed());
    let database = Database::new(&server.url(), "alphagate").expect("a url");
    database.create().await.expect("a database");
    let mut connection = PgConnection::connect(&database.owner_url()).await.expect("connect");
    connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await.expect("insert");
    server.restart_immediate(std::time::Duration::ZERO).await.expect("restart");
    assert!(connection.execute("SELECT 1").await.is_err(), "the crash cut the connection");
    let mut connection = PgConnection::connect(&database.owner_url()).await.expect("connect");
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut connection).await.expect("n");
    assert_eq!(kept, 7);
    server.stop().await;
    assert!(PgConnection::connect(&server.url()).await.is_err());
}

#[tokio::test]
async fn a_foreign_database_goes_with_its_bed_and_with_the_next_one_if_the_bed_was_killed() {
    let data = DataDir::temporary().expect("a folder");
    let server = Server::start(&data.path.join("postgres"), None, false).await.expect("a server");
    let url = server.url();
    let mut connection = PgConnection::connect(&url).await.expect("connect");
    let setup = "CREATE ROLE alphagate_tenant; CREATE ROLE alphagate_system;
                 CREATE ROLE ag_bed_dead_login_tenant";
    connection.execute(setup).await.expect("roles");
    connection.execute("CREATE DATABASE ag_bed_dead").await.expect("a dead bed's database");
    let foreign = Foreign::create(&url).await.expect("a database");
    foreign.database.logins("secret").await.expect("logins");
    clear(&url).await.expect("clear");
    assert_eq!(count_beds(&url).await, 3, "the living bed keeps its database and two logins");
    let logins = foreign.database.logins("changed").await.expect("logins again");
    PgConnection::connect(&logins.tenant).await.expect("the tenant's login");
    drop(foreign);
    assert_eq!(count_beds(&url).await, 0);
    server.stop().await;
}
