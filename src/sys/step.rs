//! The child's report: at which step it failed, or which it went on without.
//!
//! Owns the steps' names and numbers, and the form of a report in the status pipe. Their order is `child`'s.

use std::io;
use std::os::fd::BorrowedFd;

use super::files;
use super::setting::Resource;

/// The bytes of a report in the status pipe: step and errno, four each.
pub(super) const REPORT_LENGTH: usize = 8;

const FIRST_LIMIT: i32 = 100;
/// Everything that can be limited, in the order of their numbers.
const LIMITS: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// From here on mounts are numbered.
const FIRST_MOUNT: i32 = 1 << 16;

/// Set in a step's number where the child has gone on without it.
const TOLERATED: i32 = 1 << 30;

/// What the child was doing when it failed, in the order in which it does them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Cgroup,
    Session,
    StandardInput,
    StandardOutput,
    StandardError,
    ReadyDescriptor,
    DescriptorLimit,
    OomScoreAdjust,
    Limit(Resource),
    Nice,
    CpuAffinity,
    CpuScheduling,
    IoScheduling,
    Folders,
    Root,
    Groups,
    Group,
    User,
    Directory,
    Exec,
    PrivateNetwork,
    MountNamespace,
    /// By its place in the list of steps.
    Mount(u16),
    CapabilityBoundingSet,
    AmbientCapabilities,
    NoNewPrivileges,
    Landlock,
    SystemCalls,
}

impl Step {
    /// By their numbers, which begin with 1; limits and mounts have numbers of their own.
    const ALL: [Self; 26] = [
        Self::Cgroup,
        Self::Session,
        Self::StandardInput,
        Self::StandardOutput,
        Self::StandardError,
        Self::ReadyDescriptor,
        Self::DescriptorLimit,
        Self::OomScoreAdjust,
        Self::Nice,
        Self::CpuAffinity,
        Self::CpuScheduling,
        Self::IoScheduling,
        Self::Folders,
        Self::Root,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::Directory,
        Self::Exec,
        Self::PrivateNetwork,
        Self::MountNamespace,
        Self::CapabilityBoundingSet,
        Self::AmbientCapabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::SystemCalls,
    ];

    /// For users, fits "cannot set up …" and "… failed".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Session => "session",
            Self::StandardInput => "standard input",
            Self::StandardOutput => "standard output",
            Self::StandardError => "standard error",
            Self::ReadyDescriptor => "readiness descriptor",
            Self::DescriptorLimit => "descriptor limit",
            Self::OomScoreAdjust => "OOM score",
            Self::Limit(_) => "limit",
            Self::Nice => "nice level",
            Self::CpuAffinity => "CPU affinity",
            Self::CpuScheduling => "CPU scheduling",
            Self::IoScheduling => "IO scheduling",
            Self::Folders => "folders",
            Self::Root => "root directory",
            Self::Groups => "supplementary groups",
            Self::Group => "group",
            Self::User => "user",
            Self::Directory => "directory",
            Self::Exec => "exec",
            Self::PrivateNetwork => "PrivateNetwork",
            Self::MountNamespace => "mount namespace",
            Self::Mount(_) => "mount",
            Self::CapabilityBoundingSet => "CapabilityBoundingSet",
            Self::AmbientCapabilities => "AmbientCapabilities",
            Self::NoNewPrivileges => "NoNewPrivileges",
            Self::Landlock => "Landlock",
            Self::SystemCalls => "filter of system calls",
        }
    }

    pub(super) fn number(self) -> i32 {
        let place = |found: Option<usize>| found.and_then(|place| i32::try_from(place).ok());
        match self {
            Self::Limit(resource) => {
                let found = LIMITS.iter().position(|known| *known == resource);
                FIRST_LIMIT + place(found).unwrap_or(0)
            }
            Self::Mount(number) => FIRST_MOUNT + i32::from(number),
            step => 1 + place(Self::ALL.iter().position(|known| *known == step)).unwrap_or(0),
        }
    }

    /// The same for a step that the child has gone on without.
    pub(super) fn tolerated_number(self) -> i32 {
        self.number() | TOLERATED
    }

    fn from_number(number: i32) -> Option<Self> {
        if number >= FIRST_MOUNT {
            return u16::try_from(number - FIRST_MOUNT).ok().map(Self::Mount);
        }
        let limits = LIMITS.into_iter().map(Self::Limit);
        Self::ALL
            .into_iter()
            .chain(limits)
            .find(|step| step.number() == number)
    }
}

/// How far a new process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecStatus {
    Pending,
    /// The program runs, or the process was killed on the way, which its pidfd then tells.
    Executed,
    Failed {
        step: Step,
        errno: i32,
    },
    /// The step failed, the child goes on without it, and there is more to be read.
    Tolerated {
        step: Step,
        errno: i32,
    },
}

/// Reads the child's next report from [`super::process::Spawned::status`]. After `Executed` and `Failed` the descriptor
/// has done its duty.
///
/// # Errors
/// `InvalidData` for bytes that no child of ours writes; else what read(2) gives.
pub fn read_status(fd: BorrowedFd<'_>) -> io::Result<ExecStatus> {
    let mut report = [0_u8; REPORT_LENGTH];
    match files::read_into(fd, &mut report) {
        Ok(0) => Ok(ExecStatus::Executed),
        Ok(REPORT_LENGTH) => {
            let (number, errno) = decode_report(report);
            let step = Step::from_number(number & !TOLERATED).ok_or(io::ErrorKind::InvalidData)?;
            Ok(if number & TOLERATED == 0 {
                ExecStatus::Failed { step, errno }
            } else {
                ExecStatus::Tolerated { step, errno }
            })
        }
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(ExecStatus::Pending),
        Err(error) => Err(error),
    }
}

pub(super) fn decode_report(report: [u8; REPORT_LENGTH]) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = report;
    (
        i32::from_ne_bytes([a, b, c, d]),
        i32::from_ne_bytes([e, f, g, h]),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::fd::AsFd;

    use super::*;

    fn read_back(bytes: &[u8]) -> io::Result<ExecStatus> {
        let (reader, writer) = files::pipe().unwrap();
        rustix::io::write(&writer, bytes).unwrap();
        read_status(reader.as_fd())
    }

    #[test]
    fn a_report_that_no_child_writes_is_refused() {
        for bytes in [&[1, 2, 3][..], &[99, 0, 0, 0, 2, 0, 0, 0], &[0; 8]] {
            let error = read_back(bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn steps_survive_the_pipe() {
        let limits = LIMITS.into_iter().map(Step::Limit);
        let mounts = [Step::Mount(0), Step::Mount(u16::MAX)];
        for step in Step::ALL.into_iter().chain(limits).chain(mounts) {
            let failed = ExecStatus::Failed { step, errno: 2 };
            let tolerated = ExecStatus::Tolerated { step, errno: 2 };
            for (number, status) in [
                (step.number(), failed),
                (step.tolerated_number(), tolerated),
            ] {
                let record = [number.to_ne_bytes(), 2_i32.to_ne_bytes()].concat();
                assert_eq!(read_back(&record).unwrap(), status);
            }
        }
        assert_eq!(Step::from_number(0), None);
        assert_eq!(Step::from_number(999), None);
    }
}
