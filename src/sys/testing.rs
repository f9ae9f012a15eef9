//! What the tests of this room share: processes to play with, waits with a deadline, a folder that cleans up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::ffi::CString;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::process::{ExecStatus, PidFd, Setting, Spawn, Spawned, Stdio, Wait, read_status, spawn};
use super::{files, poll, users};

/// Nothing here takes a second where nobody else works; whoever waits this long waits for ever.
const DEADLINE_MS: u64 = 60_000;
const ALONE: &str = "DIAKONOS_TEST_ALONE";
pub(super) const NOBODY: u32 = 65_534;

pub(super) fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

pub(super) fn c_path(path: &Path) -> CString {
    c(path.to_str().unwrap())
}

/// A shell that runs `script`, with nothing but a PATH.
pub(super) fn shell(script: &str) -> Spawn<'static> {
    Spawn {
        program: c("/bin/sh"),
        argv: vec![c("sh"), c("-c"), c(script)],
        environment: vec![c("PATH=/usr/sbin:/usr/bin:/sbin:/bin")],
        directory: None,
        identity: None,
        umask: 0o022,
        stdin: Stdio::Null,
        stdout: Stdio::Null,
        // Not ours: a test that runs alone is watched through it, and what a failure leaves behind would keep it open.
        stderr: Stdio::Null,
        cgroup: None,
        nofile: None,
        lock_limit: None,
        setting: Setting::default(),
    }
}

/// Nobody reads what is still to be sent, and the socket's end waits for that.
pub(super) fn lingering() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    while socket.write(&[0; 65_536]).is_ok() {}
    set_socket_linger(&socket, Some(Duration::from_secs(1_000))).unwrap();
    (socket.into(), peer)
}

pub(super) fn await_readable(fd: BorrowedFd<'_>) {
    let ready = poll::wait_readable(&[fd], Some(DEADLINE_MS)).unwrap();
    assert_eq!(ready, [true], "nothing came before the deadline");
}

/// Waits for the end of a child and reaps it.
pub(super) fn await_end(pidfd: &PidFd) -> Wait {
    await_readable(pidfd.as_fd());
    pidfd.wait().unwrap()
}

pub(super) fn await_status(spawned: &Spawned) -> ExecStatus {
    await_readable(spawned.status.as_fd());
    read_status(spawned.status.as_fd()).unwrap()
}

pub(super) fn read_line(fd: BorrowedFd<'_>) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        await_readable(fd);
        let mut byte = [0];
        assert_eq!(
            files::read_into(fd, &mut byte).unwrap(),
            1,
            "ended early: {line:?}"
        );
        line.extend(byte);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

pub(super) fn read_all(fd: BorrowedFd<'_>) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        await_readable(fd);
        match files::read_into(fd, &mut buffer).unwrap() {
            0 => return String::from_utf8(all).unwrap(),
            length => all.extend(&buffer[..length]),
        }
    }
}

/// Runs a shell to its end and returns what it wrote to standard output.
pub(super) fn output_of(spawning: Spawn<'_>) -> String {
    let (reader, writer) = files::pipe().unwrap();
    let spawned = spawn(&Spawn {
        stdout: Stdio::Fd(writer.as_fd()),
        ..spawning
    })
    .unwrap();
    drop(writer);
    let output = read_all(reader.as_fd());
    assert_eq!(await_status(&spawned), ExecStatus::Executed);
    assert_eq!(await_end(&spawned.pidfd), Wait::Exited(0), "{output}");
    output
}

/// Runs the body in a process of its own: it changes what belongs to the whole process, or what it drops has to be
/// closed at once, of which the children of other tests have copies until they are programs of their own. `path` is the
/// test's.
pub(crate) fn alone(path: &str, body: impl FnOnce()) {
    if std::env::var(ALONE).as_deref() == Ok(path) {
        return body();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", path, "--nocapture", "--test-threads=1"])
        .env(ALONE, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("1 passed"),
        "no test has the path {path}: {text}"
    );
}

/// Gives up root's rights for good, all threads'. Does nothing for an ordinary user.
pub(super) fn become_ordinary() {
    if users::effective_uid() == 0 {
        nix::unistd::setgroups(&[]).unwrap();
        nix::unistd::setgid(NOBODY.into()).unwrap();
        nix::unistd::setuid(NOBODY.into()).unwrap();
    }
    assert_ne!(users::effective_uid(), 0);
}

/// A folder of the test's own.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("diakonos-sys-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Somebody who had our number may have been killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
