//! The OCI bundle of a sandbox: what runsc is told about it.

use alphagate_agent::{AGENT_FOLDER, AGENT_PATH, CPUS_VARIABLE};
use oci_spec::{
    OciSpecError,
    runtime::{
        Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount,
        MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    },
};
use std::path::Path;

/// What the agent may do inside until the job's disk is mounted; then it keeps the first three. These are rights over
/// the sandbox's own kernel, not the host's.
const CAPABILITIES: [Capability; 7] = [
    Capability::Setuid,
    Capability::Setgid,
    Capability::Kill,
    Capability::SysAdmin,
    Capability::SysResource,
    Capability::Chown,
    Capability::Fowner,
];
/// The agent's own scratch: its hooks, a module and a socket, some 20 kB.
const RUN_BYTES: u64 = 1024 * 1024;
/// Stands where the agent then mounts the job's disk.
const PLACEHOLDER_BYTES: u64 = 4096;

/// A folder of the host that is shown inside, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// On the host.
    pub source: std::path::PathBuf,
    /// Inside.
    pub place: String,
}

/// The bundle's `config.json`.
pub fn spec(root: &Path, agent_folder: &Path, shown: &[Shown], cpus: u32) -> Result<Spec, OciSpecError> {
    let capabilities: std::collections::HashSet<Capability> = CAPABILITIES.into();
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .effective(capabilities.clone())
        .permitted(capabilities)
        .inheritable([])
        .ambient([])
        .build()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(UserBuilder::default().uid(0_u32).gid(0_u32).build()?)
        .args([AGENT_PATH.to_owned()])
        .env(["PATH=/usr/local/bin:/usr/bin:/bin".to_owned(), format!("{CPUS_VARIABLE}={cpus}")])
        .cwd("/")
        .capabilities(capabilities)
        .rlimits([])
        .no_new_privileges(true)
        .build()?;
    let namespaces = [
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
    ];
    let namespaces: Vec<_> = namespaces
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<_, _>>()?;
    SpecBuilder::default()
        .version("1.0.2")
        .root(RootBuilder::default().path(root).readonly(true).build()?)
        .hostname("sandbox")
        .process(process)
        .mounts(mounts(agent_folder, shown)?)
        .linux(LinuxBuilder::default().namespaces(namespaces).build()?)
        .build()
}

fn mounts(agent_folder: &Path, shown: &[Shown]) -> Result<Vec<Mount>, OciSpecError> {
    let bounded = |place: &str, bytes: u64, mode: &str| {
        let options =
            ["nosuid".to_owned(), "nodev".to_owned(), format!("size={bytes}"), format!("mode={mode}")];
        mount("tmpfs", Path::new("tmpfs"), place, options.to_vec())
    };
    let mut mounts = vec![
        mount("proc", Path::new("proc"), "/proc", vec![])?,
        mount(
            "tmpfs",
            Path::new("tmpfs"),
            "/dev",
            vec!["nosuid".to_owned(), format!("size={PLACEHOLDER_BYTES}")],
        )?,
        bounded(alphagate_agent::RUN_FOLDER, RUN_BYTES, "0755")?,
        bounded(alphagate_agent::JOB_FOLDER, PLACEHOLDER_BYTES, "0755")?,
        bounded(alphagate_agent::SCRATCH_FOLDER, PLACEHOLDER_BYTES, "0755")?,
    ];
    let agent = Shown { source: agent_folder.to_owned(), place: AGENT_FOLDER.to_owned() };
    for shown in [&agent].into_iter().chain(shown) {
        let options = ["ro", "rbind", "nosuid", "nodev"].map(str::to_owned).to_vec();
        mounts.push(mount("bind", &shown.source, &shown.place, options)?);
    }
    Ok(mounts)
}

fn mount(kind: &str, source: &Path, place: &str, options: Vec<String>) -> Result<Mount, OciSpecError> {
    MountBuilder::default().typ(kind).source(source).destination(place).options(options).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_sees_nothing_of_the_host_that_it_could_write() {
        let shown = [Shown { source: "/usr".into(), place: "/usr".to_owned() }];
        let spec = spec(Path::new("/skeleton"), Path::new("/agent"), &shown, 1).unwrap();
        assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
        for mount in spec.mounts().iter().flatten() {
            let options = mount.options().clone().unwrap_or_default();
            match mount.typ().as_deref() {
                Some("bind") => ["ro", "nosuid", "nodev"]
                    .iter()
                    .for_each(|word| assert!(options.contains(&(*word).to_owned()), "{mount:?}")),
                Some("tmpfs") => {
                    assert!(options.iter().any(|option| option.starts_with("size=")), "{mount:?}");
                }
                other => assert_eq!(other, Some("proc")),
            }
        }
        assert!(spec.process().as_ref().unwrap().no_new_privileges().unwrap());
    }
}
