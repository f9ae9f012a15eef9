//! Limits, scheduling and the like: from a unit's words to what the child sets, and back to words where it could not.
//!
//! Owns which key each of the child's steps belongs to. Whether a service goes on without one is `lenience.rs`'s.

use std::ffi::CString;
use std::path::Path;

use crate::engine::SpawnFailure;
use crate::sys::handed::Handed;
use crate::sys::process::{
    self, CpuPolicy, IoClass, ResourceLimit, Step, errno_text, hard_limit, processors,
};
use crate::sys::users;
use crate::unit::{CpuScheduling, IoScheduling, Limit, Resource, Scheduling, Service};

use super::folders;
use super::lenience::Lenience;
use super::spawn::{c_path, failure};

const ROOT: &str = "RootDirectory";
/// `EPERM` and `EACCES`.
const FORBIDDEN: [i32; 2] = [1, 13];
/// `EINVAL`.
const INVALID: i32 = 22;

/// The steps of a child that are a key's, and that key; those of limits are named by the limit.
const STEPS: [(Step, &str); 6] = [
    (Step::Groups, "SupplementaryGroups"),
    (Step::OomScoreAdjust, "OOMScoreAdjust"),
    (Step::Nice, "Nice"),
    (Step::CpuAffinity, "CPUAffinity"),
    (Step::CpuScheduling, "CPUSchedulingPolicy"),
    (Step::IoScheduling, "IOSchedulingClass"),
];

/// What the child sets for this service, and which of that it may go on without.
pub(super) fn setting(
    service: &Service,
    root: Option<&Path>,
    lenience: &mut Lenience<'_>,
) -> Result<process::Setting, SpawnFailure> {
    let mut limits = Vec::new();
    for limit in &service.limits {
        if limit.resource == Resource::Locks {
            // Nobody is limited by it, and by ours we know the service's processes.
            lenience.note(format!(
                "{}: Linux has no such limit since 2.4.25",
                limit.key()
            ));
        } else {
            limits.push(resource_limit(limit));
        }
    }
    let steps = STEPS.iter().filter(|(_, key)| lenience.ignores(key));
    let tolerated = steps.map(|(step, _)| *step);
    let spared = service
        .limits
        .iter()
        .filter(|limit| lenience.ignores(limit.key()));
    let spared = spared.map(|limit| Step::Limit(resource(limit.resource)));
    Ok(process::Setting {
        root: root.map(|root| changed_root(service, root)).transpose()?,
        limits,
        scheduling: service
            .scheduling
            .as_deref()
            .map(scheduling)
            .unwrap_or_default(),
        fifo: None,
        handed: Handed::default(),
        tolerated: tolerated.chain(spared).collect(),
        confinement: None,
    })
}

/// The service's root directory, if it is to have one of its own.
pub(super) fn root<'s>(
    service: &'s Service,
    lenience: &mut Lenience<'_>,
) -> Result<Option<&'s Path>, SpawnFailure> {
    if let (Some(root), None) = (&service.root_directory, folders::root(service)) {
        let reason = format!("{ROOT}={}: only root may change it", root.display());
        lenience.forgo(ROOT, failure(ROOT, FORBIDDEN[0], reason))?;
    }
    Ok(folders::root(service))
}

/// The service's own folders are where they are outside, and seen inside.
fn changed_root(service: &Service, root: &Path) -> Result<process::Root, SpawnFailure> {
    let mut shown = Vec::new();
    for folders in &service.folders {
        for path in folders.paths() {
            let inside = folders::below(root, &path);
            let key = folders.purpose.key();
            shown.push((c_path(key, &path)?, c_path(key, &inside)?));
        }
    }
    let path = c_path(ROOT, root)?;
    Ok(process::Root { path, shown })
}

fn scheduling(asked: &Scheduling) -> process::Scheduling {
    let text = |score: i32| CString::new(score.to_string()).ok();
    process::Scheduling {
        nice: asked.nice,
        oom_score_adjust: asked.oom_score_adjust.and_then(text),
        cpus: asked.cpus.iter().copied().collect(),
        cpu: asked.cpu.map(cpu),
        io: asked.io.map(io),
    }
}

fn cpu(asked: CpuScheduling) -> (CpuPolicy, i32) {
    let policy = match asked {
        CpuScheduling::Other => CpuPolicy::Other,
        CpuScheduling::Batch => CpuPolicy::Batch,
        CpuScheduling::Idle => CpuPolicy::Idle,
        CpuScheduling::Fifo(_) => CpuPolicy::Fifo,
        CpuScheduling::RoundRobin(_) => CpuPolicy::RoundRobin,
    };
    (policy, asked.priority().map_or(0, i32::from))
}

fn io(asked: IoScheduling) -> (IoClass, u8) {
    let class = match asked {
        IoScheduling::None => IoClass::None,
        IoScheduling::Realtime(_) => IoClass::Realtime,
        IoScheduling::BestEffort(_) => IoClass::BestEffort,
        IoScheduling::Idle => IoClass::Idle,
    };
    (class, asked.priority().unwrap_or(0))
}

fn resource_limit(limit: &Limit) -> ResourceLimit {
    ResourceLimit {
        resource: resource(limit.resource),
        soft: limit.soft,
        hard: limit.hard,
    }
}

fn resource(resource: Resource) -> process::Resource {
    match resource {
        Resource::Cpu => process::Resource::Cpu,
        Resource::Fsize => process::Resource::Fsize,
        Resource::Data => process::Resource::Data,
        Resource::Stack => process::Resource::Stack,
        Resource::Core => process::Resource::Core,
        Resource::Rss => process::Resource::Rss,
        Resource::Nofile => process::Resource::Nofile,
        Resource::As => process::Resource::As,
        Resource::Nproc => process::Resource::Nproc,
        Resource::Memlock => process::Resource::Memlock,
        Resource::Locks => process::Resource::Locks,
        Resource::Sigpending => process::Resource::Sigpending,
        Resource::Msgqueue => process::Resource::Msgqueue,
        Resource::Nice => process::Resource::Nice,
        Resource::Rtprio => process::Resource::Rtprio,
        Resource::Rttime => process::Resource::Rttime,
    }
}

/// What a failed step of the child was about, if it was one of ours.
pub(super) fn step_failure(service: &Service, step: Step, errno: i32) -> Option<SpawnFailure> {
    let scheduling = service.scheduling.as_deref();
    let (key, value) = match step {
        Step::Limit(limited) => {
            let mut limits = service.limits.iter();
            let limit = limits.find(|limit| resource(limit.resource) == limited)?;
            (limit.key(), limit.value())
        }
        Step::Nice => ("Nice", scheduling?.nice?.to_string()),
        Step::OomScoreAdjust => ("OOMScoreAdjust", scheduling?.oom_score_adjust?.to_string()),
        Step::CpuAffinity => ("CPUAffinity", scheduling?.cpu_list()),
        Step::CpuScheduling => ("CPUSchedulingPolicy", scheduling?.cpu?.word().to_owned()),
        Step::IoScheduling => ("IOSchedulingClass", scheduling?.io?.word().to_owned()),
        Step::Root => (ROOT, service.root_directory.as_ref()?.display().to_string()),
        Step::Folders => {
            let root = service.root_directory.as_ref()?.display();
            let cause = errno_text(errno);
            let reason = format!("{ROOT}={root}: showing the service's folders in it: {cause}");
            return Some(failure(ROOT, errno, reason));
        }
        Step::ReadyDescriptor => ("ReadyWhen", service.readiness.to_string()),
        Step::Cgroup
        | Step::Session
        | Step::StandardInput
        | Step::StandardOutput
        | Step::StandardError
        | Step::DescriptorLimit
        | Step::Groups
        | Step::Group
        | Step::User
        | Step::Directory
        | Step::Exec
        | Step::PrivateNetwork
        | Step::MountNamespace
        | Step::Mount(_)
        | Step::CapabilityBoundingSet
        | Step::AmbientCapabilities
        | Step::NoNewPrivileges
        | Step::Landlock
        | Step::SystemCalls => return None,
    };
    let cause = errno_text(errno);
    let why = why_not(step, errno).map_or_else(String::new, |why| format!(" ({why})"));
    Some(failure(key, errno, format!("{key}={value}: {cause}{why}")))
}

/// What stands in the way, where that can be told.
fn why_not(step: Step, errno: i32) -> Option<String> {
    if step == Step::CpuAffinity && errno == INVALID {
        let all = processors()?;
        return Some(format!("none of these may be used; this machine has {all}"));
    }
    if !FORBIDDEN.contains(&errno) {
        return None;
    }
    let may = if users::effective_uid() == 0 {
        "this daemon lacks the privilege"
    } else {
        "only root has the right"
    };
    Some(match step {
        Step::Limit(resource) => match hard_limit(resource) {
            u64::MAX => may.to_owned(),
            hard => format!("the hard limit here is {hard}, and {may} to raise it"),
        },
        _ => may.to_owned(),
    })
}
