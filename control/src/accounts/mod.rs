//! Accounts: people sign up, prove their address, sign in, and hold sessions.
//!
//! What an answer or its time could tell of who has an account, it does not: an unknown address costs the same hash,
//! and mail is written after the answer, from rows that look alike. Tokens are random, single-use, and kept as digests.

mod cookie;
mod csrf;
mod device;
mod email;
mod hasher;
mod me;
mod password;
mod reset;
mod sessions;
mod sign_in;
mod sign_up;
mod signed_in;
mod throttle;
mod token;
mod users;

pub(crate) use cookie::NAME as SESSION_COOKIE;
pub(crate) use device::{
    ask as ask_device, decide as decide_device, look as look_at_device, token as device_token,
};
pub(crate) use email::Email;
pub(crate) use hasher::Hasher;
pub(crate) use me::{change as change_me, change_password, get as me};
pub(crate) use reset::{forgot, letter as reset_letter, reset};
pub(crate) use sessions::{
    list as list_sessions, revoke as revoke_session, revoke_others as revoke_other_sessions,
    rotate as rotate_session,
};
pub(crate) use sign_in::{sign_in, sign_out};
pub(crate) use sign_up::{letter as sign_up_letter, sign_up, verify};
pub(crate) use signed_in::{SignedIn, session_shown};
pub(crate) use throttle::{Limit, take as take_try};
pub(crate) use token::Token;
pub(crate) use users::{email_of, profiles};

use sqlx::PgConnection;

/// What the OpenAPI document says of getting an account and a session.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    sign_up::sign_up,
    sign_up::verify,
    sign_in::sign_in,
    sign_in::sign_out,
    reset::forgot,
    reset::reset
))]
pub(crate) struct Docs;

/// What it says of devices without a browser.
#[derive(utoipa::OpenApi)]
#[openapi(paths(device::ask, device::look, device::decide, device::token))]
pub(crate) struct DeviceDocs;

/// What it says of one's own account.
#[derive(utoipa::OpenApi)]
#[openapi(paths(me::get, me::change, me::change_password))]
pub(crate) struct MeDocs;

/// What it says of sessions.
#[derive(utoipa::OpenApi)]
#[openapi(paths(sessions::list, sessions::revoke_others, sessions::rotate, sessions::revoke))]
pub(crate) struct SessionDocs;

/// Forgets what has expired; gives how many rows.
pub(crate) async fn forget_expired(system: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut gone = sessions::forget_expired(system).await?;
    gone += sign_up::forget_expired(system).await?;
    gone += reset::forget_expired(system).await?;
    gone += device::forget_expired(system).await?;
    gone += throttle::forget_paid_off(system).await?;
    Ok(gone)
}
