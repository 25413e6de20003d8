//! The edge's rows of the fault table, each a case whose name begins with the row's id.
//!
//! | row | where |
//! | --- | --- |
//! | E01 E02 E03 E27 | `keys` |
//! | E04 | `json.rs`: `e04_…` |
//! | E05 E06 E07 E08 E24 | `requests` |
//! | E09 E10 | `streams.rs`: `ends::e09_…`, `ends::e10_…` |
//! | E11 E22 | `upstream` |
//! | E12 E13 E23 | `streams.rs`: `bytes::e12_e13_…`, `bytes::e23_…` |
//! | E14 | `streams.rs`: `silence::e14_…` |
//! | E15 | `streams.rs`: `gone::e15_…`, `silence::e15_…` |
//! | E16 E17 E18 E20 E25 | `stores`; E18 for the length of a load: `outage.rs`: `e18_…` |
//! | E19 | `outage.rs`: `e19_…`; `quota.rs`: `an_eviction_between_reserve_and_settle_…` |
//! | E21 | `quota.rs`: `a_clock_that_steps_back_moves_no_window` |
//! | E26 | `memory` |

mod faults_edge {
    pub mod keys;
    pub mod memory;
    pub mod requests;
    pub mod stores;
    pub mod upstream;
}

use std::time::Duration;

use alphagate_bed::{Bed, KvMode, Options};
use anyhow::Result;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// How long the edge of [`troubled`] takes a record in memory for fresh, milliseconds.
const FRESH_MS: u64 = 200;
/// How long it serves one while KV and control fail, milliseconds.
const STALE_MAX_MS: u64 = 2_000;
/// How long it waits for an object, milliseconds.
const OBJECT_TIMEOUT_MS: u64 = 1_000;
/// How long what must come about may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Three generations of signing keys, the newest first.
const GENERATIONS: [(&str, &str); 3] = [("g3", "33"), ("g2", "22"), ("g1", "11")];

/// Largest body at [`narrow`], bytes.
const BODY_MAX_BYTES: usize = 200_000;
/// Longest time for a body to arrive there, milliseconds.
const BODY_DEADLINE_MS: u64 = 1_500;

/// A bed whose limits are small enough to be gone over.
async fn narrow() -> Result<&'static Bed> {
    static NARROW: OnceCell<Bed> = OnceCell::const_new();
    let options = Options::default()
        .edge_var("AG_BODY_MAX_BYTES", BODY_MAX_BYTES)
        .edge_var("AG_BODY_DEADLINE_MS", BODY_DEADLINE_MS)
        .edge_var("AG_KEEPALIVE_MS", 100);
    NARROW.get_or_try_init(|| Bed::start(options)).await
}

/// A bed for one test at a time: its knobs are turned, and its reads are counted.
struct Troubled {
    bed: &'static Bed,
    _alone: MutexGuard<'static, ()>,
}

impl Troubled {
    /// Waits for the bed, and puts everything back to normal.
    async fn alone() -> Result<Self> {
        static ALONE: Mutex<()> = Mutex::const_new(());
        static TROUBLED: OnceCell<Bed> = OnceCell::const_new();
        let alone = ALONE.lock().await;
        let bed = TROUBLED.get_or_try_init(|| Bed::start(options())).await?;
        bed.kv(KvMode::Normal).await?;
        bed.delay_object_ms(0).await?;
        bed.start_control().await?;
        Ok(Self { bed, _alone: alone })
    }
}

fn ring() -> String {
    GENERATIONS.map(|(kid, byte)| format!("{kid}:{}", byte.repeat(32))).join(",")
}

fn options() -> Options {
    Options::default()
        .with_knobs()
        .edge_var("AG_KEY_RING", ring())
        .control_var("AG_KEY_RING", ring())
        .edge_var("AG_RECORD_FRESH_MS", FRESH_MS)
        .edge_var("AG_RECORD_STALE_MAX_MS", STALE_MAX_MS)
        .edge_var("AG_OBJECT_TIMEOUT_MS", OBJECT_TIMEOUT_MS)
        .edge_var("AG_LEDGER_FLUSH_MS", 200)
}
