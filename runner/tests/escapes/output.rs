//! R04: output of any length and of any bytes.

use super::{
    bed::MIB,
    case::{Case, End::*, case, ends_by_itself, walk},
};
use alphagate_contract::job::LimitKind::*;

const MARKER: &[u8] = b"\n[output ends here: the limit is 1048576 bytes]\n";

const CASES: &[Case] = &[
    case("R04_endless_standard_output", "yes").bash().ends(&[Limit(Output)]).hits(&[Output]).check(|seen| {
        let kept = seen.stdout.strip_suffix(MARKER).unwrap_or_default();
        kept.len() as u64 == MIB && kept.chunks(2).all(|line| line == b"y\n") && seen.report.written.truncated
    }),
    case("R04_endless_standard_error", "yes >&2")
        .bash()
        .ends(&[Limit(Output)])
        .hits(&[Output])
        .check(|seen| seen.stderr.ends_with(MARKER) && seen.report.written.stderr_bytes == MIB),
    case("R04_both_endless", "yes >&2 & yes").bash().ends(&[Limit(Output)]).hits(&[Output]).check(|seen| {
        let written = seen.report.written;
        written.stdout_bytes + written.stderr_bytes == MIB
            && seen.stdout.ends_with(MARKER) != seen.stderr.ends_with(MARKER)
    }),
    case("R04_one_line_without_an_end", "head -c 10G /dev/zero")
        .bash()
        .ends(&[Limit(Output)])
        .check(|seen| seen.report.written.stdout_bytes == MIB),
    case("R04_a_little_too_much_and_an_exit", "head -c 1048577 /dev/zero; exit 0")
        .bash()
        .ends(&[Limit(Output)])
        .hits(&[Output]),
    case("R04_exactly_the_limit", "head -c 1048576 /dev/zero; exit 3")
        .bash()
        .ends(&[Exit(3)])
        .check(|seen| seen.stdout.len() as u64 == MIB && !seen.report.written.truncated && !seen.hit(Output)),
    case(
        "R04_every_byte",
        "os.write(1, bytes(range(256)) * 400); os.write(2, bytes(range(255, -1, -1)) * 400)",
    )
    .check(|seen| {
        let forwards: Vec<u8> = (0..=255).collect();
        let backwards: Vec<u8> = (0..=255).rev().collect();
        seen.stdout == forwards.repeat(400) && seen.stderr == backwards.repeat(400)
    }),
    case(
        "R04_bytes_that_are_no_text",
        "
os.write(1, b'\\xff\\xfe\\x00\\x1b]0;title\\x07\\x1b[2J\\xe2\\x80\\xae\\xed\\xa0\\x80\\r\\n\\xc0\\x80')",
    )
    .check(|seen| seen.stdout == b"\xff\xfe\x00\x1b]0;title\x07\x1b[2J\xe2\x80\xae\xed\xa0\x80\r\n\xc0\x80"),
    case(
        "R04_output_after_the_end",
        "
if os.fork() == 0:
    while True: os.write(1, b'later')
time.sleep(0.1)
os.write(2, b'done')",
    )
    .ends(&[Exit(0), Limit(Output)])
    .check(ends_by_itself),
    case(
        "R04_closed_streams",
        "
os.close(1); os.close(2)
time.sleep(0.2)
os._exit(5)",
    )
    .ends(&[Exit(5)])
    .check(|seen| seen.report.used.wall_ms >= 150),
    case(
        "R04_partial_output_of_a_killed_job",
        "
os.write(1, b'a' * 300000)
os.kill(os.getpid(), 9)",
    )
    .ends(&[Signal(9)])
    .check(|seen| seen.stdout.len() == 300_000),
    case(
        "R04_reopened_through_proc",
        "
for n in range(3):
    with open('/dev/stdout', 'wb', buffering=0) as f: f.write(b'x%d' % n)",
    )
    .says("x0x1x2"),
];

#[tokio::test(flavor = "multi_thread")]
async fn output_is_cut_at_its_limit_and_exact_below_it() {
    walk(CASES).await;
}
