//! What `serve` can be told, by flag or by environment variable.
//!
//! Secrets are types that print nothing, and every time constant is a setting, so that tests can shorten it.

use crate::vault::{KeyArn, Provider};
use alphagate_contract::{ring::Ring, seal::PublicKey, secret::Secret};
use clap::{ArgAction, Args};
use ipnet::IpNet;
use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};
use url::Url;

/// Shortest operator token: what `keygen` makes has 64 characters.
const OPERATOR_TOKEN_MIN_LEN: usize = 16;

/// Everything that `serve` needs to know.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "AG_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where callers reach this program, for links in its answers; if left out, the address it listens on.
    #[arg(long, env = "AG_PUBLIC_URL")]
    pub public_url: Option<Url>,
    /// Networks of proxies whose `X-Forwarded-For` is believed, `10.0.0.0/8,…`; nobody's if left out.
    #[arg(long, env = "AG_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// Where the edge is.
    #[arg(long, env = "AG_EDGE_URL", default_value = "http://127.0.0.1:8787")]
    pub edge_url: Url,
    /// Postgres login in the group role `alphagate_tenant`.
    #[arg(long, env = "AG_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub database_url: Secret<String>,
    /// Postgres login in the group role `alphagate_system`.
    #[arg(long, env = "AG_SYSTEM_DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub system_database_url: Secret<String>,
    /// Bearer token of `/operator/v1/…`.
    #[arg(long, env = "AG_OPERATOR_TOKEN", hide_env_values = true, value_parser = operator_token)]
    pub operator_token: Secret<String>,
    /// Ring that signs API keys.
    #[arg(long, env = "AG_KEY_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub key_ring: Ring,
    /// Ring that signs what control sends to the edge.
    #[arg(long, env = "AG_CONTROL_TO_EDGE_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub control_to_edge_ring: Ring,
    /// Ring that signs what the edge sends to control.
    #[arg(long, env = "AG_EDGE_TO_CONTROL_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub edge_to_control_ring: Ring,
    /// Ring that encrypts cursors and kept answers; and data keys, where there is no other master key.
    #[arg(long, env = "AG_VAULT_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub vault_ring: Ring,
    /// Whose master key wraps the orgs' data keys. Keys of the other kind that are configured unwrap what they have wrapped.
    #[arg(long, env = "AG_MASTER_PROVIDER", value_enum, default_value_t = Provider::Local)]
    pub master_provider: Provider,
    /// Local master keys: the first wraps, all unwrap. If left out, as in the file; without one, those of the vault's ring.
    #[arg(long, env = "AG_MASTER_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub master_ring: Option<Ring>,
    /// File with such a ring, read at the start.
    #[arg(long, env = "AG_MASTER_RING_FILE", conflicts_with = "master_ring")]
    pub master_ring_file: Option<PathBuf>,
    /// Master keys of AWS's key management service, by ARN: the first wraps, all unwrap. Credentials and region as usual.
    #[arg(long, env = "AG_MASTER_KMS_KEYS", value_delimiter = ',')]
    pub master_kms_keys: Vec<KeyArn>,
    /// Where that service is, if not where its region's is.
    #[arg(long, env = "AG_KMS_ENDPOINT")]
    pub kms_endpoint: Option<Url>,
    /// Ring that signs the heads of the audit trail: each entry is the seed of an Ed25519 key.
    #[arg(long, env = "AG_AUDIT_RING", hide_env_values = true, value_parser = Ring::parse)]
    pub audit_ring: Ring,
    /// How often new entries of the audit trail are linked, milliseconds.
    #[arg(long, env = "AG_AUDIT_POLL_MS", default_value = "1000", value_parser = milliseconds)]
    pub audit_poll: Duration,
    /// Public keys of the edge, `kid:hex64,…`; credentials are sealed to the first.
    #[arg(long, env = "AG_SEAL_PUBLIC_KEYS", value_parser = SealKey::parse)]
    pub seal_public_keys: SealKey,
    /// Whether providers may have private addresses and plain HTTP. For development.
    #[arg(long, env = "AG_ALLOW_PRIVATE_UPSTREAMS", default_value_t = false, action = ArgAction::Set)]
    pub allow_private_upstreams: bool,
    /// How often the outbox is looked at when nothing wakes it, milliseconds.
    #[arg(long, env = "AG_OUTBOX_POLL_MS", default_value = "1000", value_parser = milliseconds)]
    pub outbox_poll: Duration,
    /// Longest wait after the first failed push of an org; it doubles with every further one, milliseconds.
    #[arg(long, env = "AG_OUTBOX_BACKOFF_BASE_MS", default_value = "200", value_parser = milliseconds)]
    pub outbox_backoff_base: Duration,
    /// Longest wait between two pushes of an org, milliseconds.
    #[arg(long, env = "AG_OUTBOX_BACKOFF_MAX_MS", default_value = "30000", value_parser = milliseconds)]
    pub outbox_backoff_max: Duration,
    /// How long the edge may take to accept a push, milliseconds.
    #[arg(long, env = "AG_PUSH_TIMEOUT_MS", default_value = "5000", value_parser = milliseconds)]
    pub push_timeout: Duration,
    /// How long an answer waits for the edge before it says `pending`, milliseconds.
    #[arg(long, env = "AG_PUSH_WAIT_MS", default_value = "2000", value_parser = milliseconds)]
    pub push_wait: Duration,
    /// Connections of each of the two pools. Half of one pool, at most, pushes to the edge.
    #[arg(long, env = "AG_DATABASE_CONNECTIONS_MAX", default_value_t = 16, value_parser = clap::value_parser!(u32).range(4..))]
    pub database_connections_max: u32,
    /// How long a request waits for a connection before it is told 503, milliseconds.
    #[arg(long, env = "AG_DATABASE_WAIT_MS", default_value = "3000", value_parser = milliseconds)]
    pub database_wait: Duration,
    /// How long a request body may take to arrive, milliseconds.
    #[arg(long, env = "AG_BODY_DEADLINE_MS", default_value = "15000", value_parser = milliseconds)]
    pub body_deadline: Duration,
    /// How often partitions, expired keys and old answers are looked after, milliseconds.
    #[arg(long, env = "AG_HOUSEKEEPING_MS", default_value = "600000", value_parser = milliseconds)]
    pub housekeeping: Duration,
    /// How long a claim of a job holds without a renewal, milliseconds.
    #[arg(long, env = "AG_LEASE_MS", default_value = "30000", value_parser = milliseconds)]
    pub lease: Duration,
    /// How long the polls of runners are held, milliseconds.
    #[arg(long, env = "AG_RUNNER_POLL_MS", default_value = "20000", value_parser = milliseconds)]
    pub runner_poll: Duration,
    /// Image of jobs that name none; in production one that every runner has, and not the host's own.
    #[arg(long, env = "AG_JOB_IMAGE", default_value = "host")]
    pub job_image: String,
    /// Folder of large outputs and artefacts, unless they go elsewhere.
    #[arg(long, env = "AG_BLOB_DIR", default_value = "alphagate-blobs")]
    pub blob_dir: PathBuf,
    /// Where large outputs and artefacts go instead: `s3://bucket/prefix`, with the usual AWS variables beside it.
    #[arg(long, env = "AG_BLOB_URL")]
    pub blob_url: Option<Url>,
    /// How often publications are looked at when nothing wakes their loop, and so how late a deadline may be noticed,
    /// milliseconds.
    #[arg(long, env = "AG_GATE_POLL_MS", default_value = "1000", value_parser = milliseconds)]
    pub gate_poll: Duration,
    /// Where people see pages: links in mails lead there, and its origin may change things by cookie. If left out, this
    /// program's own address.
    #[arg(long, env = "AG_CONSOLE_URL")]
    pub console_url: Option<Url>,
    /// The SMTP server, `smtps://user:password@host` (or `smtp://…?tls=required`). If left out, mails go into a folder.
    #[arg(long, env = "AG_SMTP_URL", hide_env_values = true, value_parser = secret)]
    pub smtp_url: Option<Secret<String>>,
    /// Whom mails are from.
    #[arg(long, env = "AG_MAIL_FROM", default_value = "Alpha Gate <alphagate@example.invalid>")]
    pub mail_from: String,
    /// Folder of mails, as `.eml` files, where there is no SMTP server; they are in the log then, too. For development.
    #[arg(long, env = "AG_MAIL_FOLDER", default_value = "alphagate-mails")]
    pub mail_folder: PathBuf,
    /// How often mail that waits is looked at when nothing wakes its loop, milliseconds.
    #[arg(long, env = "AG_MAIL_POLL_MS", default_value = "5000", value_parser = milliseconds)]
    pub mail_poll: Duration,
    /// How long a session lasts without being used, milliseconds: 7 days.
    #[arg(long, env = "AG_SESSION_IDLE_MS", default_value = "604800000", value_parser = milliseconds)]
    pub session_idle: Duration,
    /// How often one client address may at once try to sign in, to sign up, and so on; then once in 5 s.
    #[arg(long, env = "AG_ADDRESS_TRIES_MAX", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub address_tries_max: u32,
    /// How many requests one API key may make in a window: 100 a second, and a minute's worth at once.
    #[arg(long, env = "AG_KEY_REQUESTS_MAX", default_value = "6000")]
    pub key_requests_max: NonZeroU32,
    /// How many requests one signed-in session may make in a window: a person with a busy page.
    #[arg(long, env = "AG_SESSION_REQUESTS_MAX", default_value = "3000")]
    pub session_requests_max: NonZeroU32,
    /// How many requests without a credential that holds one address may make in a window: a school behind one.
    #[arg(long, env = "AG_ADDRESS_REQUESTS_MAX", default_value = "3000")]
    pub address_requests_max: NonZeroU32,
    /// The window of these, milliseconds.
    #[arg(long, env = "AG_RATE_WINDOW_MS", default_value = "60000", value_parser = milliseconds)]
    pub rate_window: Duration,
    /// How long running requests may take to finish at shutdown, milliseconds.
    #[arg(long, env = "AG_SHUTDOWN_GRACE_MS", default_value = "10000", value_parser = milliseconds)]
    pub shutdown_grace: Duration,
}

impl Settings {
    /// Where people see pages, without a slash at the end.
    pub(crate) fn console_url(&self) -> String {
        let url = self.console_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        url.unwrap_or_else(|| self.public_url())
    }

    /// Where callers reach this program, without a slash at the end.
    pub(crate) fn public_url(&self) -> String {
        let url = self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        url.unwrap_or_else(|| format!("http://{}", self.listen))
    }
}

/// The edge's current public key, and its id.
#[derive(Debug, Clone)]
pub struct SealKey {
    /// The id that sealed records carry.
    pub kid: String,
    /// The key.
    pub key: PublicKey,
}

impl SealKey {
    /// Reads `kid:hex64,…`; the first is the current key.
    ///
    /// # Errors
    /// [`RingError`](alphagate_contract::ring::RingError) when the text is malformed.
    pub fn parse(text: &str) -> Result<Self, alphagate_contract::ring::RingError> {
        let kid = Ring::parse(text)?.current().0.to_string();
        Ok(Self { kid, key: PublicKey::parse(text)? })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a Result")]
fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

fn operator_token(text: &str) -> Result<Secret<String>, String> {
    if text.len() < OPERATOR_TOKEN_MIN_LEN {
        return Err(format!("at least {OPERATOR_TOKEN_MIN_LEN} characters"));
    }
    Ok(Secret::new(text.to_owned()))
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
