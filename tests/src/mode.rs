//! The two ways in which a version asks quotas, for tests that hold in both.
//!
//! Invariant: a test asserts the same in both modes; only what was changed may stay unseen for [`Mode::unseen_max`].

use std::time::Duration;

use alphagate_contract::quota::lease::LEASE_MS;
use serde_json::{Value, json};

/// How a stage's version asks quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At every request.
    Strict,
    /// Out of what was reserved ahead.
    Leased,
}

impl Mode {
    /// A version's configuration in this mode.
    #[must_use]
    pub fn config(self, mut config: Value) -> Value {
        config["quota_mode"] = match self {
            Self::Strict => json!("strict"),
            Self::Leased => json!("leased"),
        };
        config
    }

    /// For how long the edge may go by what was so before.
    #[must_use]
    pub const fn unseen_max(self) -> Duration {
        match self {
            Self::Strict => Duration::ZERO,
            Self::Leased => Duration::from_millis(LEASE_MS),
        }
    }

    /// Lets that time pass, after which the edge must know.
    pub async fn until_seen(self) {
        tokio::time::sleep(self.unseen_max()).await;
    }
}

/// Makes two tests of each function: `strict::name` and `leased::name`.
#[macro_export]
macro_rules! in_both_modes {
    ($($test:ident),+ $(,)?) => {
        mod strict {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::Mode::Strict).await
            })+
        }
        mod leased {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::Mode::Leased).await
            })+
        }
    };
}
