//! How long a job takes, cold and warm.

use super::bed::{Bed, job, python};
use alphagate_contract::job::{Ending, Language};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_long_jobs_take() {
    for (name, spec) in [
        ("python", python("print(1)")),
        ("node", job(Language::Javascript, "console.log(1)")),
        ("bash", job(Language::Bash, "echo 1")),
    ] {
        for idle in [0, 2] {
            let Some(bed) = Bed::new(idle) else { return };
            let (mut first, mut whole, mut start) = (vec![], vec![], vec![]);
            for round in 0..20 {
                while idle > 0 && round > 0 && bed.pool.idle() == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let seen = bed.run(&spec).await;
                assert_eq!(seen.report.ending, Ending::Exited { code: 0 }, "{seen:?}");
                if round > 0 {
                    first.push(seen.first_output.unwrap().as_millis());
                    whole.push(seen.took.as_millis());
                    start.push(seen.report.used.start_ms);
                }
            }
            [&mut first, &mut whole].into_iter().for_each(|times| times.sort_unstable());
            start.sort_unstable();
            println!(
                "{name} idle={idle}: first output p50 {} p95 {}, whole p50 {} p95 {}, start p50 {} ms",
                first[9], first[18], whole[9], whole[18], start[9]
            );
            bed.pool.close().await;
            println!("left: {:?}", bed.leftovers());
        }
    }
}
