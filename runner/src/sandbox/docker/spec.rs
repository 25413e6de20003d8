//! What Docker is told of a sandbox: the same bounds and rights as the runsc engine's.

use super::{DockerSettings, LABEL};
use crate::sandbox::Class;
use alphagate_agent::{AGENT_FOLDER, AGENT_PATH, JOB_FOLDER, RUN_FOLDER, SCRATCH_FOLDER};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use std::{collections::HashMap, path::Path};

/// What the agent may do inside until the job's disk is mounted; then it keeps the first three. Under gVisor these are
/// rights over the sandbox's own kernel, not the host's.
const CAPABILITIES: [&str; 7] = ["SETUID", "SETGID", "KILL", "SYS_ADMIN", "SYS_RESOURCE", "CHOWN", "FOWNER"];
/// The same under a weaker runtime, whose kernel is the host's: the agent then mounts nothing.
const WEAK_CAPABILITIES: [&str; 5] = ["SETUID", "SETGID", "KILL", "CHOWN", "FOWNER"];
/// The agent's own scratch.
const RUN_BYTES: u64 = 1024 * 1024;
/// Stands where the agent then mounts the job's disk.
const PLACEHOLDER_BYTES: u64 = 4096;
/// Host processes: a backstop. gVisor panics when it cannot have a thread, so the job's own bound is inside.
const HOST_PIDS_MIN: u32 = 1024;
/// Docker counts processors in billionths.
const NANO_CPUS: i64 = 1_000_000_000;

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The body of the request that creates a sandbox's container.
pub fn container(settings: &DockerSettings, class: &Class, image: String) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image),
        entrypoint: Some(vec![AGENT_PATH.to_owned()]),
        cmd: Some(vec![]),
        env: Some(vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()]),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        hostname: Some("sandbox".to_owned()),
        labels: Some(HashMap::from([(LABEL.to_owned(), settings.instance.clone())])),
        network_disabled: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        tty: Some(false),
        // The agent hands nothing back to a signal: a daemon that restarts need not wait for it.
        stop_timeout: Some(0),
        host_config: Some(host(settings, class)),
        ..ContainerCreateBody::default()
    }
}

fn host(settings: &DockerSettings, class: &Class) -> HostConfig {
    let weak = settings.allow_weak;
    let capabilities = if weak { WEAK_CAPABILITIES.as_slice() } else { CAPABILITIES.as_slice() };
    let memory = signed(class.host_memory_bytes());
    HostConfig {
        runtime: Some(settings.runtime.clone()),
        network_mode: Some("none".to_owned()),
        readonly_rootfs: Some(true),
        memory: Some(memory),
        // Equal to memory: no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(NANO_CPUS.saturating_mul(i64::from(settings.cpus.max(1)))),
        pids_limit: Some(i64::from(class.pids.max(HOST_PIDS_MIN))),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities.iter().map(|&name| name.to_owned()).collect()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        tmpfs: Some(disks(weak.then_some(class.disk_bytes))),
        shm_size: Some(signed(PLACEHOLDER_BYTES)),
        mounts: Some(vec![agent(&settings.agent)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        ..HostConfig::default()
    }
}

/// Under gVisor the agent mounts the job's disk over placeholders; elsewhere it uses what is there.
fn disks(job_bytes: Option<u64>) -> HashMap<String, String> {
    let disk = |bytes: u64, mode: &str, uid: u32| {
        format!("size={bytes},mode={mode},uid={uid},gid={uid},nosuid,nodev")
    };
    let places = [(JOB_FOLDER, "0755"), (SCRATCH_FOLDER, "1777")];
    let owner = if job_bytes.is_some() { alphagate_agent::JOB_UID } else { 0 };
    let bytes = job_bytes.map_or(PLACEHOLDER_BYTES, |bytes| bytes / 2);
    let mut disks: HashMap<String, String> =
        places.iter().map(|(place, mode)| ((*place).to_owned(), disk(bytes, mode, owner))).collect();
    disks.insert(RUN_FOLDER.to_owned(), format!("size={RUN_BYTES},mode=0755,nosuid,nodev"));
    disks
}

fn agent(program: &Path) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: program.parent().map(|folder| folder.display().to_string()),
        target: Some(AGENT_FOLDER.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    }
}
