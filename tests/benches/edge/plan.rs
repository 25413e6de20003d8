//! How much is measured, and for how long: every number of the benchmark.

use std::time::Duration;

/// Longest first answer: a gateway may load half of itself only then.
pub const FIRST_ANSWER_MAX: Duration = Duration::from_secs(20);

/// One kind of load: requests for whole answers.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The table's words for the request's size.
    pub size: &'static str,
    /// Size of a request, bytes.
    pub bytes: usize,
    /// Requests at once.
    pub connections: usize,
}

/// The loads, the first of which is the one that promises speak of. Sixteen bodies of 5 MB would be more than an isolate
/// takes at once (48 MB).
pub const LOADS: [Load; 5] = [
    Load { size: "1 KB", bytes: 1_024, connections: 1 },
    Load { size: "1 KB", bytes: 1_024, connections: 16 },
    Load { size: "100 KB", bytes: 100 * 1_024, connections: 1 },
    Load { size: "100 KB", bytes: 100 * 1_024, connections: 16 },
    Load { size: "5 MB", bytes: 5 * 1_024 * 1_024, connections: 1 },
];

/// The run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Turns of every subject.
    pub rounds: usize,
    /// One subject's time within a round and a load.
    pub slice: Duration,
    /// Requests of a slice at most.
    pub slice_requests: usize,
    /// Time of every subject under load before anything counts.
    pub warm_up: Duration,
    /// Short streams of a round, one after the other.
    pub short_streams: usize,
    /// Longest time for a stream at once; what came by then counts.
    pub bulk_max: Duration,
    /// Streams in even time, at once.
    pub paced_streams: usize,
    /// Requests before memory is weighed again, and the longest time for them.
    pub memory_requests: usize,
    /// The longest time for them.
    pub memory_max: Duration,
    /// Streams that are left before memory is weighed again.
    pub aborted_streams: usize,
}

impl Plan {
    pub const fn new(quick: bool, memory: bool) -> Self {
        let mut plan = if quick {
            Self {
                rounds: 1,
                slice: Duration::from_millis(400),
                slice_requests: 5_000,
                warm_up: Duration::from_millis(700),
                short_streams: 5,
                bulk_max: Duration::from_millis(1_000),
                paced_streams: 4,
                memory_requests: 500,
                memory_max: Duration::from_secs(2),
                aborted_streams: 10,
            }
        } else {
            Self {
                rounds: 6,
                slice: Duration::from_secs(1),
                slice_requests: 10_000,
                warm_up: Duration::from_secs(3),
                short_streams: 25,
                bulk_max: Duration::from_secs(2),
                paced_streams: 16,
                memory_requests: 5_000,
                memory_max: Duration::from_secs(15),
                aborted_streams: 100,
            }
        };
        if memory {
            plan.memory_requests = 100_000;
            plan.memory_max = Duration::from_secs(1_200);
            plan.aborted_streams = 1_000;
        }
        plan
    }
}
