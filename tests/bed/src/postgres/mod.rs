//! A real Postgres for a bed: npm's binaries in a folder of their own, or a database in a server that is there.
//!
//! Invariant: what a bed made in a foreign server (a database, two roles) is gone when the bed is, at the
//! latest when the next bed starts there.

mod account;
mod database;
mod files;
mod foreign;
mod server;
mod template;
#[cfg(test)]
mod tests;

pub use database::Database;
pub use server::Server;

pub(crate) use database::Logins;
pub(crate) use foreign::{Foreign, clear};

/// Where a bed's database lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Postgres {
    /// In the server that `DATABASE_URL` names, else in one of the bed's own.
    #[default]
    Auto,
    /// In a server of the bed's own, whatever `DATABASE_URL` says: for tests that crash it.
    Own,
}
