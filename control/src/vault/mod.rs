//! The vault: what lies in the database and is nobody's to read.
//!
//! A credential's secret is encrypted with its org's data key, the data key is wrapped by a master key, and the master key
//! is not in the database. Each can be replaced while everything runs; `control/VAULT.md` has the picture and the steps.

mod aead;
pub mod command;
mod data_keys;
mod end_move;
mod envelope;
mod key_arn;
#[cfg(feature = "kms")]
mod kms;
mod master;
mod renew;
mod rotate;
mod state;
mod texts;

pub(crate) use data_keys::{current, of_number};
pub(crate) use end_move::end_move;
pub(crate) use envelope::DataKey;
pub use key_arn::KeyArn;
pub use master::Provider;
pub(crate) use renew::{BATCH_MAX, Progress, renew, renew_all};
pub(crate) use rotate::rotate;
pub(crate) use state::{Under, state};
pub(crate) use texts::Texts;

use crate::settings::Settings;
use master::Masters;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(state::state, renew::renew, rotate::rotate, end_move::end_move))]
pub(crate) struct Docs;

/// The keys that this program knows.
pub(crate) struct Vault {
    texts: Texts,
    masters: Masters,
}

impl Vault {
    /// What the settings name.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { texts: Texts::new(settings.vault_ring.clone()), masters: Masters::open(settings)? })
    }

    /// What seals cursors and kept answers.
    pub(crate) const fn texts(&self) -> &Texts {
        &self.texts
    }
}
