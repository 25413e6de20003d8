//! R12, R13 and the rest of what comes in and goes out: images, languages, files that are handed back.

use super::{
    bed::{MIB, Seen},
    case::{Case, End::*, case, walk},
};
use alphagate_contract::job::{LimitKind::*, SandboxSpec};

fn wanted(spec: &mut SandboxSpec) {
    spec.artefacts = ["a", "b", "deep/c"].map(|path| path.parse().unwrap()).to_vec();
}

fn got(seen: &Seen) -> Vec<(&str, &[u8])> {
    seen.report.artefacts.iter().map(|file| (file.path.as_str(), file.content.0.as_slice())).collect()
}

const CASES: &[Case] = &[
    case(
        "R13_files_come_back_as_they_are",
        "
open('a', 'wb').write(bytes(range(256)) * 1000)
open('b', 'wb')
os.mkdir('deep'); open('deep/c', 'w').write('c'); open('not asked for', 'w').write('d')",
    )
    .with(wanted)
    .check(|seen| {
        let all: Vec<u8> = (0..=255).collect();
        got(seen) == [("a", all.repeat(1000).as_slice()), ("b", b""), ("deep/c", b"c")]
    }),
    case("R13_missing_files_are_left_out", "pass").with(wanted).check(|seen| got(seen).is_empty()),
    case(
        "R13_symlinks_are_left_out",
        "
os.symlink('/etc/passwd', 'a'); os.symlink('/.alphagate/alphagate-agent', 'b')
os.symlink('/etc', 'deep')",
    )
    .with(wanted)
    .check(|seen| got(seen).is_empty()),
    case(
        "R13_a_symlinked_folder_is_left_out",
        "
os.mkdir('real'); open('real/c', 'w').write('c'); os.symlink('real', 'deep')",
    )
    .with(wanted)
    .check(|seen| got(seen).is_empty()),
    case(
        "R13_folders_pipes_and_sockets_are_left_out",
        "
os.mkdir('a'); os.mkfifo('b'); os.mkdir('deep')
socket.socket(socket.AF_UNIX).bind('deep/c')",
    )
    .with(wanted)
    .check(|seen| got(seen).is_empty()),
    case(
        "R13_what_its_owner_may_not_read_is_left_out",
        "
open('a', 'w').write('a'); os.chmod('a', 0)
os.mkdir('deep'); open('deep/c', 'w').write('c'); os.chmod('deep', 0)",
    )
    .with(wanted)
    .check(|seen| got(seen).is_empty()),
    case(
        "R13_a_sparse_terabyte_is_bounded",
        "
f = open('a', 'wb')
try: f.truncate(1 << 40)
except OSError: pass
f.truncate(12 << 20)",
    )
    .with(wanted)
    .check(|seen| {
        seen.report.artefacts.len() == 1 && seen.report.artefacts[0].content.0.len() as u64 == 12 * MIB
    }),
    case(
        "R13_what_is_too_large_is_left_out",
        "
open('a', 'wb').truncate(25 << 20); open('b', 'w').write('b')",
    )
    .with(wanted)
    .with_disk_and_artefacts()
    .hits(&[Output])
    .check(|seen| got(seen) == [("b", b"b".as_slice())]),
    case(
        "R13_a_file_that_is_still_written_to",
        "
if os.fork() == 0:
    while True: open('a', 'ab').write(b'x' * 1000)
time.sleep(0.1)",
    )
    .with(wanted)
    .ends(&[Exit(0)])
    .hits(&[])
    .check(|seen| seen.report.artefacts.len() == 1),
    case(
        "R13_files_of_a_job_that_ran_out_of_time",
        "
open('a', 'w').write('kept'); print('before', flush=True)
time.sleep(100)",
    )
    .with(|spec| {
        wanted(spec);
        spec.limits.wall_ms = 4_000;
    })
    .ends(&[Limit(Wall)])
    .check(|seen| got(seen) == [("a", b"kept".as_slice())]),
    case("R12_an_image_that_is_missing", "print('ALLOWED')")
        .with(|spec| spec.image = "nowhere".to_owned())
        .ends(&[NotRun("image_unavailable")]),
    case("R12_an_image_with_a_path_for_a_name", "print('ALLOWED')")
        .with(|spec| spec.image = "../host".to_owned())
        .ends(&[NotRun("image_unavailable")]),
    case("R12_an_entry_that_is_no_file", "print('ALLOWED')")
        .with(|spec| spec.entry = "other.py".parse().unwrap())
        .ends(&[NotRun("files_refused")]),
    case(
        "R12_arguments_variables_and_input_arrive",
        "
print(sys.argv[1:], os.environ['A'], sys.stdin.read())",
    )
    .with(|spec| {
        spec.argv = vec!["a b".to_owned(), String::new(), "'\"$(x)\n".to_owned(), "ü".to_owned()];
        spec.env = [("A".to_owned(), "1=2\n3".to_owned())].into();
        spec.stdin = b"input".to_vec().into();
    })
    .says("['a b', '', '\\'\"$(x)\\n', 'ü'] 1=2\n3 input"),
    case(
        "R12_variables_that_the_interpreter_reads",
        "print(sys.flags.optimize, os.environ['PYTHONOPTIMIZE'])",
    )
    .with(|spec| spec.env = [("PYTHONOPTIMIZE".to_owned(), "2".to_owned())].into())
    .says("2 2"),
    case("R12_eight_megabytes_of_input", "print(len(sys.stdin.buffer.read()))")
        .with(|spec| spec.stdin = vec![7; 8 * MIB as usize - 4096].into())
        .says("8384512"),
    case("R12_absurd_limits", "print('fine')")
        .with(|spec| {
            spec.limits.wall_ms = u64::from(u32::MAX);
            spec.limits.cpu_ms = u64::MAX / 4;
            spec.limits.output_bytes = u64::MAX;
            spec.limits.pids = 100_000;
        })
        .says("fine"),
    case("R12_no_room_at_all", "print('ALLOWED')").with(|spec| spec.limits.disk_bytes = 0).ends(&[
        Limit(Disk),
        NotRun("agent_failed"),
        NotRun("files_refused"),
    ]),
];

impl Case {
    const fn with_disk_and_artefacts(self) -> Self {
        self.with(|spec| {
            wanted(spec);
            spec.limits.disk_bytes = 64 * MIB;
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_and_out_is_checked() {
    walk(CASES).await;
}
