//! Starting a process: what to start, and all that is prepared for it.
//!
//! Owns the parent's half: everything is prepared here, because between clone and exec the child may only make
//! system calls (`child`). How the process is made is `birth`'s. Does not wait: whether the program was executed is
//! read later from a pipe (`step`), like any other descriptor.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc;
use rustix::io::fcntl_dupfd_cloexec;

use super::birth::Way;
use super::cgroup::Entrance;
use super::child::Plan;
use super::confine::Clear;
use super::files;
use super::handed::Ready;
use super::lent::Lent;
use super::process::{Identity, Pid, PidFd};
use super::setting::Setting;
use super::streams::Stream;

/// Descriptors that the child moves to 0, 1, 2 or 3 are kept from here upwards, so that no move overwrites another.
pub(super) const FIRST_FREE_FD: RawFd = 4;

/// All that a new process is to be. Strings are C strings because the child cannot make them.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// A path; no search along `PATH` is made.
    pub program: CString,
    /// With the program's own name first.
    pub argv: Vec<CString>,
    /// `NAME=value`; the whole environment.
    pub environment: Vec<CString>,
    /// `None`: the caller's.
    pub directory: Option<Directory>,
    /// `None`: the caller's. Anything else needs the right to change, see [`Identity`].
    pub identity: Option<Identity>,
    pub umask: u32,
    pub stdin: Stdio<'a>,
    pub stdout: Stdio<'a>,
    pub stderr: Stdio<'a>,
    /// The cgroup v2 that the process is to live in.
    pub cgroup: Option<Entrance<'a>>,
    /// The soft and hard limit on descriptors, `u64::MAX` for none; `None` leaves the caller's.
    pub nofile: Option<(u64, u64)>,
    /// The limit on file locks, which limits nothing: a mark, see `proc::Mark`. Left out where the caller may not set
    /// it, being marked with a lower one itself.
    pub lock_limit: Option<u64>,
    /// By default nothing.
    pub setting: Setting,
}

/// Where the process starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    pub path: CString,
    /// When it cannot be entered, `/` will do.
    pub optional: bool,
}

/// One of the three standard streams.
#[derive(Debug)]
pub enum Stdio<'a> {
    Null,
    Inherit,
    Fd(BorrowedFd<'a>),
    /// Opened by the child: [`OpenMode::ReadWrite`] with the caller's rights, the other modes with the service's, and
    /// where these do not suffice with the caller's, as long as no symbolic link is on the way.
    Path {
        path: CString,
        mode: OpenMode,
    },
    /// For standard output: the same open file as standard input.
    SameAsStdin,
    /// For standard error: the same open file as standard output.
    SameAsStdout,
}

/// How a path is opened. A file that is missing is made, with mode 0666 less the umask, unless it is only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    Read,
    /// From the file's start, without emptying it, as systemd.exec(5) has it for `file:`.
    Write,
    Append,
    /// As `Write`, but emptied.
    Truncate,
    /// As `Write`, and to be read as well.
    Both,
    /// For a FIFO of ours: with a reader in the writer's own hands a write never ends in `SIGPIPE`. Never makes a
    /// file.
    ReadWrite,
}

impl OpenMode {
    pub(super) fn flags(self) -> i32 {
        let way = match self {
            Self::Read => libc::O_RDONLY,
            Self::Write => libc::O_WRONLY | libc::O_CREAT,
            Self::Append => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
            Self::Truncate => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
            Self::Both => libc::O_RDWR | libc::O_CREAT,
            Self::ReadWrite => libc::O_RDWR,
        };
        way | libc::O_CLOEXEC | libc::O_NOCTTY
    }
}

/// A process that has begun; [`super::process::read_status`] on `status` tells whether its program runs.
#[derive(Debug)]
pub struct Spawned {
    pub pid: Pid,
    pub pidfd: PidFd,
    /// The read end, nonblocking, of a pipe that closes when the program is executed.
    pub status: OwnedFd,
}

/// Starts a process in a session of its own. Returns as soon as it exists: that a step failed comes through the
/// status pipe.
///
/// # Errors
/// What clone3(2) or fork(2) give: no descriptors, no memory, too many processes; `ENOSYS` before Linux 5.3.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Spawned> {
    let way = match spawn.cgroup {
        Some(Entrance::AtBirth(_)) => Way::CloneIntoCgroup,
        Some(Entrance::ByItself(_)) | None => Way::Clone,
    };
    spawn_from(way, spawn)
}

fn spawn_from(first: Way, spawn: &Spawn<'_>) -> io::Result<Spawned> {
    let (status, report) = files::pipe()?;
    let report = fcntl_dupfd_cloexec(&report, above(spawn))?;
    let prepared = Prepared::new(spawn)?;
    let cgroup = spawn.cgroup.map(|entrance| match entrance {
        Entrance::AtBirth(fd) | Entrance::ByItself(fd) => fd,
    });
    let mut way = first;
    let _lent = spawn.lock_limit.and_then(Lent::new);
    let (pid, pidfd) = loop {
        let plan = Plan {
            enters: cgroup
                .filter(|_| way != Way::CloneIntoCgroup)
                .map(|fd| fd.as_raw_fd()),
            ..prepared.plan(spawn, report.as_raw_fd())
        };
        match way.make(&plan, cgroup) {
            Ok(begun) => break begun,
            Err(error) => way = way.next(&error).ok_or(error)?,
        }
    };
    Ok(Spawned { pid, pidfd, status })
}

/// Out of the way of whatever the child places while it still needs descriptors of ours.
fn above(spawn: &Spawn<'_>) -> RawFd {
    let placed = spawn.setting.fifo.as_ref();
    let above = placed.map_or(FIRST_FREE_FD, |fifo| RawFd::from(fifo.number) + 1);
    above.max(FIRST_FREE_FD).max(spawn.setting.handed.end())
}

/// What the child needs and cannot make: argument vectors, and descriptors out of the way of 0 to 3.
pub(super) struct Prepared {
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    streams: [Stream; 3],
    handed: Ready,
    clear: Clear,
    /// Keeps the descriptors in `streams` open.
    _lifted: Vec<OwnedFd>,
}

impl Prepared {
    pub(super) fn new(spawn: &Spawn<'_>) -> io::Result<Self> {
        let mut lifted = Vec::new();
        let handed = &spawn.setting.handed;
        let handed = handed.ready(handed.end().max(FIRST_FREE_FD))?;
        let confinement = spawn.setting.confinement.as_deref();
        let entries = spawn.environment.iter().map(|entry| entry.as_ptr());
        let entries = entries.chain(handed.entries()).chain([ptr::null()]);
        Ok(Self {
            argv: pointers(&spawn.argv),
            environment: entries.collect(),
            handed,
            clear: confinement
                .map_or_else(|| Ok(Clear::default()), |known| known.clear(above(spawn)))?,
            streams: [
                stream(&spawn.stdin, &mut lifted)?,
                stream(&spawn.stdout, &mut lifted)?,
                stream(&spawn.stderr, &mut lifted)?,
            ],
            _lifted: lifted,
        })
    }

    pub(super) fn plan<'a>(&'a self, spawn: &'a Spawn<'a>, report: RawFd) -> Plan<'a> {
        Plan {
            program: &spawn.program,
            argv: &self.argv,
            environment: &self.environment,
            directory: spawn.directory.as_ref(),
            identity: spawn.identity.as_ref(),
            own_uid: rustix::process::geteuid().as_raw(),
            // A umask has nine bits; what is above them is ignored by the kernel too.
            umask: spawn.umask & 0o777,
            streams: self.streams,
            enters: None,
            nofile: spawn.nofile,
            lock_limit: spawn.lock_limit,
            passed: None,
            setting: &spawn.setting,
            handed: &self.handed,
            clear: &self.clear,
            report,
        }
    }
}

/// The list that execve(2) wants: addresses, ended by a null.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let addresses = strings.iter().map(|string| string.as_ptr());
    addresses.chain([ptr::null()]).collect()
}

fn stream(stdio: &Stdio<'_>, kept: &mut Vec<OwnedFd>) -> io::Result<Stream> {
    const NULL: &CStr = c"/dev/null";
    Ok(match stdio {
        Stdio::Null => Stream::Early {
            path: NULL.as_ptr(),
            flags: OpenMode::ReadWrite.flags(),
        },
        Stdio::Inherit => Stream::Inherit,
        Stdio::SameAsStdin => Stream::SameAs(libc::STDIN_FILENO),
        Stdio::SameAsStdout => Stream::SameAs(libc::STDOUT_FILENO),
        Stdio::Path {
            path,
            mode: OpenMode::ReadWrite,
        } => Stream::Early {
            path: path.as_ptr(),
            flags: OpenMode::ReadWrite.flags(),
        },
        Stdio::Path { path, mode } => Stream::Late {
            path: path.as_ptr(),
            flags: mode.flags(),
        },
        Stdio::Fd(fd) => {
            let fd = lifted(*fd)?;
            let number = fd.as_raw_fd();
            kept.push(fd);
            Stream::Fd(number)
        }
    })
}

/// A close-on-exec copy of the descriptor that lies clear of those which the child sets up.
pub(super) fn lifted(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, FIRST_FREE_FD)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::fs;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::birth::SignalsBlocked;
    use super::super::cgroup::Tree;
    use super::super::confine::{Confinement, Rights, Ruleset, landlock_version};
    use super::super::handed::Handed;
    use super::super::parcel::{Parcel, Stowed, file_behind};
    use super::super::process::{Wait, owned, raise_nofile};
    use super::super::setting::{Resource, ResourceLimit, Scheduling};
    use super::super::step::{ExecStatus, read_status};
    use super::super::testing::{
        NOBODY, Scratch, alone, await_end, await_status, become_ordinary, c, c_path, output_of,
        read_all, read_line, shell,
    };
    use super::super::users;
    use super::*;

    /// Starts it, expects it to fail, and returns where and why.
    fn failure_of(spawning: &Spawn<'_>) -> (&'static str, i32) {
        let spawned = spawn(spawning).unwrap();
        let status = await_status(&spawned);
        assert_eq!(await_end(&spawned.pidfd), Wait::Exited(127));
        match status {
            ExecStatus::Failed { step, errno, .. } => (step.name(), errno),
            other => panic!("{other:?}"),
        }
    }

    fn at_path(path: &Path, mode: OpenMode) -> Stdio<'static> {
        Stdio::Path {
            path: c_path(path),
            mode,
        }
    }

    #[test]
    fn a_program_gets_what_was_asked_for() {
        let mut asked = shell("echo $# $1; echo $COLOUR; umask; pwd; echo oops >&2; cat");
        asked.argv.extend([c("zero"), c("one two")]);
        asked.environment.push(c("COLOUR=blue"));
        asked.umask = 0o027;
        asked.directory = Some(Directory {
            path: c("/usr"),
            optional: false,
        });
        asked.stderr = Stdio::SameAsStdout;
        assert_eq!(output_of(asked), "1 one two\nblue\n0027\n/usr\noops\n");
    }

    #[test]
    fn every_way_makes_the_same_process() {
        for way in [Way::Clone, Way::Fork] {
            let (reader, writer) = files::pipe().unwrap();
            let stdout = Stdio::Fd(writer.as_fd());
            let asked = Spawn {
                stdout,
                ..shell("cut -d' ' -f1,6 /proc/$$/stat")
            };
            let spawned = spawn_from(way, &asked).unwrap();
            drop(writer);
            let pid = spawned.pid;
            assert_eq!(
                read_all(reader.as_fd()),
                format!("{pid} {pid}\n"),
                "{way:?}"
            );
            assert_eq!(await_status(&spawned), ExecStatus::Executed);
            assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
        }
    }

    #[test]
    fn every_way_leads_into_the_cgroup() {
        let name = format!("diakonos-test-ways-{}", Pid::current());
        let Ok(tree) = Tree::open(&name) else {
            assert_ne!(
                users::effective_uid(),
                0,
                "tests of cgroup tell why there may be none"
            );
            return;
        };
        let group = tree.make("ways").unwrap();
        for way in [Way::CloneIntoCgroup, Way::Clone, Way::Fork] {
            let (reader, writer) = files::pipe().unwrap();
            let (stdout, cgroup) = (Stdio::Fd(writer.as_fd()), Some(group.entrance()));
            let asked = Spawn {
                stdout,
                cgroup,
                ..shell("exec cat /proc/self/cgroup")
            };
            let spawned = spawn_from(way, &asked).unwrap();
            drop(writer);
            let groups = read_all(reader.as_fd());
            assert!(
                groups.contains(&format!("{name}.service/ways.service")),
                "{way:?} {groups}"
            );
            assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
        }
        tree.remove().unwrap();
    }

    #[test]
    fn each_step_that_fails_is_named() {
        let scratch = Scratch::new();
        let missing = scratch.path("missing/file");
        let plain = scratch.path("plain");
        fs::write(&plain, "#!/bin/sh\n").unwrap();
        let absent = |mode| at_path(&missing, mode);
        let failed = |change: &dyn Fn(&mut Spawn<'_>)| {
            let mut asked = shell("exit 0");
            change(&mut asked);
            failure_of(&asked)
        };
        let failure = failed(&|asked| asked.program = c_path(&missing));
        assert_eq!(failure, ("exec", libc::ENOENT));
        let failure = failed(&|asked| asked.program = c_path(&plain));
        assert_eq!(failure, ("exec", libc::EACCES));
        let failure = failed(&|asked| {
            asked.directory = Some(Directory {
                path: c_path(&missing),
                optional: false,
            });
        });
        assert_eq!(failure, ("directory", libc::ENOENT));
        let failure = failed(&|asked| asked.stdin = absent(OpenMode::Read));
        assert_eq!(failure, ("standard input", libc::ENOENT));
        let failure = failed(&|asked| asked.stdout = absent(OpenMode::Append));
        assert_eq!(failure, ("standard output", libc::ENOENT));
        let failure = failed(&|asked| asked.stderr = absent(OpenMode::ReadWrite));
        assert_eq!(failure, ("standard error", libc::ENOENT));
    }

    #[test]
    fn without_the_right_no_other_user_and_no_higher_limit() {
        alone(
            "sys::spawn::tests::without_the_right_no_other_user_and_no_higher_limit",
            || {
                let (_, hard) = raise_nofile();
                become_ordinary();
                let identity = Identity {
                    uid: 0,
                    gid: 0,
                    groups: Vec::new(),
                };
                let asked = Spawn {
                    identity: Some(identity),
                    ..shell("exit 0")
                };
                assert_eq!(failure_of(&asked), ("supplementary groups", libc::EPERM));
                let asked = Spawn {
                    nofile: Some((32, hard + 1)),
                    ..shell("exit 0")
                };
                assert_eq!(failure_of(&asked), ("descriptor limit", libc::EPERM));
            },
        );
    }

    #[test]
    fn another_identity_is_taken_whole() {
        let identity = Identity {
            uid: NOBODY,
            gid: 12,
            groups: vec![12, 34],
        };
        let asked = Spawn {
            identity: Some(identity),
            ..shell("id -u; id -g; id -G")
        };
        if users::effective_uid() == 0 {
            assert_eq!(output_of(asked), format!("{NOBODY}\n12\n12 34\n"));
        } else {
            assert_eq!(failure_of(&asked), ("supplementary groups", libc::EPERM));
        }
    }

    #[test]
    fn what_the_service_may_not_open_is_opened_with_our_rights_and_through_no_link() {
        let scratch = Scratch::new();
        let closed = scratch.path("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let (fifo, file) = (closed.join("fifo"), closed.join("file"));
        files::make_fifo(&fifo, 0o600, None).unwrap();
        let identity = (users::effective_uid() == 0).then(|| Identity {
            uid: NOBODY,
            gid: NOBODY,
            groups: Vec::new(),
        });
        let is_root = identity.is_some();
        let reader = files::open_fifo_reader(&fifo).unwrap();
        let stdout = at_path(&fifo, OpenMode::ReadWrite);
        let stderr = Stdio::SameAsStdout;
        let asked = Spawn {
            identity,
            stdout,
            stderr,
            ..shell("echo out; echo err >&2")
        };
        let spawned = spawn(&asked).unwrap();
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
        assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
        assert_eq!(read_all(reader.as_fd()), "out\nerr\n");
        let asked = Spawn {
            stdout: at_path(&file, OpenMode::Append),
            ..asked
        };
        let spawned = spawn(&asked).unwrap();
        assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
        assert_eq!(fs::read_to_string(&file).unwrap(), "out\nerr\n");
        let link = scratch.path("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let asked = Spawn {
            stdout: at_path(&link, OpenMode::Append),
            ..asked
        };
        if is_root {
            assert_eq!(failure_of(&asked), ("standard output", libc::EACCES));
        } else {
            let spawned = spawn(&asked).unwrap();
            assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
        }
    }

    #[test]
    fn files_are_written_from_the_start_or_appended_to() {
        let scratch = Scratch::new();
        let file = scratch.path("file");
        let cases = [(OpenMode::Write, "ab\n"), (OpenMode::Append, "ab\nab\n")];
        for (mode, expected) in cases {
            let asked = Spawn {
                stdout: at_path(&file, mode),
                ..shell("echo ab")
            };
            let spawned = spawn(&asked).unwrap();
            assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
        let stdin = at_path(&file, OpenMode::Read);
        assert_eq!(
            output_of(Spawn {
                stdin,
                ..shell("cat")
            }),
            "ab\nab\n"
        );
    }

    #[test]
    fn an_optional_directory_gives_way_to_the_root() {
        let directory = Some(Directory {
            path: c("/missing/for/sure"),
            optional: true,
        });
        assert_eq!(
            output_of(Spawn {
                directory,
                ..shell("pwd")
            }),
            "/\n"
        );
    }

    #[test]
    fn only_the_standard_streams_are_passed_on() {
        // Not close-on-exec, as something that we inherited may be.
        // SAFETY: dup makes a new descriptor of a standard one.
        let leak = owned(unsafe { libc::dup(0) }.into()).unwrap();
        let listing = output_of(shell("ls /proc/self/fd"));
        drop(leak);
        // The last is the directory that ls itself reads.
        assert_eq!(listing, "0\n1\n2\n3\n");
    }

    #[test]
    fn signals_and_the_descriptor_limit_are_as_in_a_fresh_login() {
        alone(
            "sys::spawn::tests::signals_and_the_descriptor_limit_are_as_in_a_fresh_login",
            || {
                super::super::signals::ignore_failed_writes();
                let _blocked = SignalsBlocked::new();
                let (_, hard) = raise_nofile();
                let script = "ulimit -n; exec cat /proc/self/status";
                let output = output_of(Spawn {
                    nofile: Some((32, hard)),
                    ..shell(script)
                });
                assert!(output.starts_with("32\n"), "{output}");
                let sets: Vec<&str> = output
                    .lines()
                    .filter(|line| {
                        ["SigBlk:", "SigIgn:", "SigCgt:"]
                            .iter()
                            .any(|set| line.starts_with(set))
                    })
                    .filter(|line| !line.ends_with("\t0000000000000000"))
                    .collect();
                assert!(sets.is_empty(), "{sets:?}");
                assert!(output.contains("SigIgn:"));
            },
        );
    }

    #[test]
    fn the_descriptor_limit_hinders_no_step_before_the_program() {
        alone(
            "sys::spawn::tests::the_descriptor_limit_hinders_no_step_before_the_program",
            || {
                raise_nofile();
                let scratch = Scratch::new();
                let file = scratch.path("file");
                let stdin = std::io::stdin();
                let hoard: Vec<OwnedFd> = (0..64).map(|_| lifted(stdin.as_fd()).unwrap()).collect();
                let own = ResourceLimit {
                    resource: Resource::Nofile,
                    soft: 20,
                    hard: 20,
                };
                for limits in [vec![], vec![own]] {
                    let scheduling = Scheduling {
                        oom_score_adjust: Some(c("1000")),
                        ..Scheduling::default()
                    };
                    let everybodys = if limits.is_empty() { 20 } else { 32 };
                    let asked = Spawn {
                        stdout: at_path(&file, OpenMode::Write),
                        nofile: Some((everybodys, everybodys)),
                        setting: Setting {
                            limits,
                            scheduling,
                            ..Setting::default()
                        },
                        ..shell("ulimit -Hn; ulimit -n; cat /proc/self/oom_score_adj")
                    };
                    let spawned = spawn(&asked).unwrap();
                    assert_eq!(await_status(&spawned), ExecStatus::Executed);
                    assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
                    assert_eq!(fs::read_to_string(&file).unwrap(), "20\n20\n1000\n");
                    fs::remove_file(&file).unwrap();
                }
                drop(hoard);
            },
        );
    }

    #[test]
    fn what_is_handed_on_does_not_take_the_place_of_a_list_of_rights() {
        if landlock_version() < 3 {
            return;
        }
        let stdin = std::io::stdin();
        let ruleset = Ruleset::new(Rights::ALL).unwrap();
        ruleset.allow(c"/", Rights::READ).unwrap();
        let copy = |_| Stowed::AsItIs(lifted(stdin.as_fd()).unwrap());
        let fds = (0..64).map(copy).collect();
        let confinement = Confinement {
            no_new_privileges: true,
            ruleset: Some(ruleset),
            ..Confinement::default()
        };
        let scratch = Scratch::new();
        let file = scratch.path("file");
        let asked = Spawn {
            setting: Setting {
                handed: Handed {
                    fds,
                    ..Handed::default()
                },
                confinement: Some(Box::new(confinement)),
                ..Setting::default()
            },
            ..shell(&format!("touch {} 2>&1 || echo no", file.display()))
        };
        assert!(output_of(asked).ends_with("no\n"));
    }

    #[test]
    fn what_is_in_flight_is_handed_on_in_its_place() {
        let scratch = Scratch::new();
        let file = |text: &str| {
            let path = scratch.path(text);
            fs::write(&path, text).unwrap();
            let file = fs::File::open(path).unwrap();
            let label = file_behind(file.as_fd()).unwrap();
            Stowed::InFlight(Parcel::pack(file.as_fd(), label).unwrap())
        };
        let (reader, mut writer) = files::pipe().map(|(r, w)| (r, fs::File::from(w))).unwrap();
        writer.write_all(b"two ").unwrap();
        drop(writer);
        let fds = vec![file("one "), Stowed::AsItIs(reader), file("three")];
        let asked = Spawn {
            setting: Setting {
                handed: Handed {
                    fds,
                    ..Handed::default()
                },
                ..Setting::default()
            },
            ..shell("cat <&3; cat <&4; cat <&5; ls /proc/$$/fd | wc -l")
        };
        // The standard streams and the three: nothing was left to be closed by the exec, or else than was asked for.
        assert_eq!(output_of(asked), "one two three6\n");
    }

    #[test]
    fn status_is_pending_until_the_program_is_executed() {
        let scratch = Scratch::new();
        let fifo = scratch.path("fifo");
        files::make_fifo(&fifo, 0o600, None).unwrap();
        // Opening for writing alone waits for a reader.
        let asked = Spawn {
            stdout: at_path(&fifo, OpenMode::Append),
            ..shell("echo on")
        };
        let spawned = spawn(&asked).unwrap();
        assert_eq!(
            read_status(spawned.status.as_fd()).unwrap(),
            ExecStatus::Pending
        );
        let reader = files::open_fifo_reader(&fifo).unwrap();
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
        assert_eq!(read_line(reader.as_fd()), "on");
        assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0));
    }

    #[test]
    fn a_process_that_is_killed_on_the_way_reports_nothing() {
        let scratch = Scratch::new();
        let fifo = scratch.path("fifo");
        files::make_fifo(&fifo, 0o600, None).unwrap();
        let asked = Spawn {
            stdout: at_path(&fifo, OpenMode::Append),
            ..shell("echo on")
        };
        let spawned = spawn(&asked).unwrap();
        spawned.pidfd.signal(libc::SIGKILL).unwrap();
        let expected = Wait::Signaled {
            signal: libc::SIGKILL,
            core: false,
        };
        assert_eq!(await_end(&spawned.pidfd), expected);
        assert_eq!(await_status(&spawned), ExecStatus::Executed);
    }

    #[test]
    fn without_descriptors_nothing_is_started() {
        alone(
            "sys::spawn::tests::without_descriptors_nothing_is_started",
            || {
                let mut hoard = Vec::new();
                rustix::process::setrlimit(
                    rustix::process::Resource::Nofile,
                    rustix::process::Rlimit {
                        current: Some(32),
                        maximum: Some(32),
                    },
                )
                .unwrap();
                while let Ok(fd) = rustix::io::dup(std::io::stdin()) {
                    hoard.push(fd);
                }
                while let Some(fd) = hoard.pop() {
                    drop(fd);
                    match spawn(&shell("exit 0")) {
                        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                        Ok(spawned) => match (await_status(&spawned), await_end(&spawned.pidfd)) {
                            (
                                ExecStatus::Failed {
                                    errno: libc::EMFILE,
                                    ..
                                },
                                _,
                            ) => {}
                            (status, end) => {
                                assert_eq!(status, ExecStatus::Executed);
                                assert_eq!(end, Wait::Exited(0));
                                return;
                            }
                        },
                    }
                }
                panic!("never had enough");
            },
        );
    }
}
