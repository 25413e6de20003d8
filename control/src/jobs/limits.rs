//! What a job may use: the defaults, and the most and least that may be asked for.
//!
//! Each figure is one row here; the runner enforces what is asked for, and never more than it has.

use crate::error::Error;
use alphagate_contract::job::Limits;
use serde::Deserialize;

const MIB: u64 = 1024 * 1024;

/// One limit: its name, and what may be asked for.
struct Bound {
    name: &'static str,
    least: u64,
    default: u64,
    most: u64,
}

/// An hour: longer work is cut into jobs, so that it can be lost and done again.
const WALL_MS: Bound = Bound { name: "wall_ms", least: 1, default: 30_000, most: 3_600_000 };
/// Sixteen processors for the longest job.
const CPU_MS: Bound = Bound { name: "cpu_ms", least: 1, default: 30_000, most: 16 * 3_600_000 };
/// From a shell to a quarter of a large host.
const MEMORY_BYTES: Bound =
    Bound { name: "memory_bytes", least: 16 * MIB, default: 256 * MIB, most: 16 * 1024 * MIB };
/// gVisor itself stops at 4,096 tasks.
const PIDS: Bound = Bound { name: "pids", least: 1, default: 64, most: 1_024 };
/// It is memory of the host.
const DISK_BYTES: Bound = Bound { name: "disk_bytes", least: 0, default: 64 * MIB, most: 4 * 1024 * MIB };
/// What a person may still want to download.
const OUTPUT_BYTES: Bound = Bound { name: "output_bytes", least: 0, default: MIB, most: 64 * MIB };

/// Limits as a caller writes them; what is not said is the default.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJobLimits)]
pub(super) struct LimitsRequest {
    wall_ms: Option<u64>,
    cpu_ms: Option<u64>,
    memory_bytes: Option<u64>,
    pids: Option<u64>,
    disk_bytes: Option<u64>,
    output_bytes: Option<u64>,
}

impl Bound {
    fn read(&self, at: &str, asked: Option<u64>) -> Result<u64, Error> {
        let value = asked.unwrap_or(self.default);
        if (self.least..=self.most).contains(&value) {
            return Ok(value);
        }
        let message = format!("must be between {} and {}", self.least, self.most);
        Err(Error::field(format!("{at}.{}", self.name), message))
    }
}

impl LimitsRequest {
    /// The limits; `at` is where they stand in the body.
    pub(super) fn read(&self, at: &str) -> Result<Limits, Error> {
        let wall_ms = WALL_MS.read(at, self.wall_ms)?;
        // Who asks for a longer time means processor time, too.
        let cpu_ms = self.cpu_ms.unwrap_or_else(|| wall_ms.max(CPU_MS.default));
        Ok(Limits {
            wall_ms,
            cpu_ms: CPU_MS.read(at, Some(cpu_ms))?,
            memory_bytes: MEMORY_BYTES.read(at, self.memory_bytes)?,
            pids: u32::try_from(PIDS.read(at, self.pids)?).map_err(Error::internal)?,
            disk_bytes: DISK_BYTES.read(at, self.disk_bytes)?,
            output_bytes: OUTPUT_BYTES.read(at, self.output_bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_their_bounds() {
        for bound in [WALL_MS, CPU_MS, MEMORY_BYTES, PIDS, DISK_BYTES, OUTPUT_BYTES] {
            assert!(bound.least <= bound.default && bound.default <= bound.most, "{}", bound.name);
            assert!(bound.read("limits", Some(bound.most)).is_ok());
            assert!(bound.read("limits", Some(bound.most + 1)).is_err());
            assert!(bound.least == 0 || bound.read("limits", Some(bound.least - 1)).is_err());
        }
        assert_eq!(LimitsRequest::default().read("limits").unwrap().wall_ms, 30_000);
    }
}
