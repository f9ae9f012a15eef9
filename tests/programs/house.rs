//! A home in a temporary folder, the program run on it as a user does, and the proof that nothing is left at the end.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use diakonos::daemon::Home;
use diakonos::sys::cgroup::Tree;
use diakonos::sys::proc;
use diakonos::sys::process::{Pid, PidFd};
use miniserde::json::{self, Number, Value};

use crate::follow::{Deadline, Lines};

const PROGRAM: &str = env!("CARGO_BIN_EXE_diakonos");

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What a command of the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// What it printed, having succeeded.
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.out
    }
}

/// A folder with a home, unit files and whatever the services leave.
pub(crate) struct House {
    root: PathBuf,
}

impl House {
    pub(crate) fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("diakonos-programs-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("units")).unwrap();
        // Services of other users have to get to what is theirs in here.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a unit file; `ROOT` in it stands for this house.
    pub(crate) fn unit(&self, name: &str, text: &str) {
        let text = text.replace("ROOT", self.root.to_str().unwrap());
        fs::write(self.path(&format!("units/{name}.service")), text).unwrap();
    }

    /// Writes a file of a service's own, likewise.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let text = text.replace("ROOT", self.root.to_str().unwrap());
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(words)
            .env("DIAKONOS_HOME", self.path("home"))
            .env("DIAKONOS_SERVICE_DIR", self.path("units"))
            // %t of an ordinary user, who may have no session here.
            .env("XDG_RUNTIME_DIR", &self.root)
            .env("LC_ALL", "C")
            .current_dir(&self.root)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Answer {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|kind| self.path(&format!("{kind}.{number}")));
        let mut command = self.command(words);
        let command = command.stdout(File::create(&out).unwrap());
        let mut child = command.stderr(File::create(&err).unwrap()).spawn().unwrap();
        let process = PidFd::open(Pid::from_raw(child.id()).unwrap()).unwrap();
        let ended = Deadline::new().wait(process.as_fd());
        if !ended {
            child.kill().unwrap();
        }
        let code = child.wait().unwrap().code();
        let [out, err] = [out, err].map(|path| fs::read_to_string(path).unwrap());
        let answer = Answer { code, out, err };
        assert!(ended, "{words:?} does not end: {answer:#?}");
        answer
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.run(words).ok().to_owned()
    }

    /// Follows what a service prints, from the beginning of its log, with the marks of its runs.
    pub(crate) fn logs(&self, name: &str) -> Logs {
        let mut command = self.command(&["logs", "-f", "-n", "all", name]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdout.take().unwrap();
        let lines = Lines::of_pipe(File::from(OwnedFd::from(pipe)));
        Logs { child, lines }
    }

    /// What the daemon tells of itself, from the beginning.
    pub(crate) fn story(&self) -> Story {
        Story(Lines::of_file(&self.path("home/daemon.log")))
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        self.ok(&["pid", name]).trim().parse().unwrap()
    }

    /// Kills a service's main process behind the daemon's back, and returns its number.
    pub(crate) fn kill(&self, name: &str) -> u32 {
        let pid = self.pid(name);
        let process = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
        process.signal(9).unwrap();
        pid
    }

    /// A unit as `list --json` has it.
    pub(crate) fn listed(&self, name: &str) -> Listed {
        let text = self.ok(&["list", "--json"]);
        let Value::Array(units) = json::from_str(&text).unwrap() else {
            panic!("no list: {text}");
        };
        let mut listed = units.into_iter().map(Listed);
        let found = listed.find(|listed| listed.text("name") == name);
        found.unwrap_or_else(|| panic!("{name} is not in {text}"))
    }

    /// Every process that is ours: by its environment, its command line, its working directory or an open file.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let own = fs::read_link("/proc/self/exe").unwrap();
        let all = proc::all().into_iter().filter(|stat| !stat.is_dead());
        let pids = all.map(|stat| stat.pid.as_raw());
        // Between fork and exec a child of this test still looks like it.
        let strangers = pids.filter(|pid| link(*pid, "exe").as_ref() != Some(&own));
        strangers.filter(|pid| self.is_ours(*pid)).collect()
    }

    fn is_ours(&self, pid: u32) -> bool {
        let mut mark = self.root.to_str().unwrap().as_bytes().to_vec();
        let within = |path: Option<PathBuf>| path.is_some_and(|path| path.starts_with(&self.root));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let mut descriptors = descriptors
            .flatten()
            .map(|entry| fs::read_link(entry.path()).ok());
        if within(link(pid, "cwd")) || descriptors.any(within) {
            return true;
        }
        // Another house's name may begin like ours.
        ["environ", "cmdline"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            [b'/', 0, b' '].iter().any(|end| {
                mark.push(*end);
                let found = bytes.windows(mark.len()).any(|window| window == mark);
                mark.pop();
                found
            })
        })
    }

    /// Ends the daemon and checks that nothing of this house runs any more.
    pub(crate) fn end(self) {
        self.ok(&["kill"]);
        assert_eq!(self.described(), Vec::<String>::new());
    }

    fn described(&self) -> Vec<String> {
        let describe = |pid: u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!(
                "{pid} {}",
                String::from_utf8_lossy(&words).replace('\0', " ")
            )
        };
        self.processes().into_iter().map(describe).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing {
            let story = fs::read_to_string(self.path("home/daemon.log")).unwrap_or_default();
            eprintln!("the daemon said:\n{story}");
            for log in fs::read_dir(self.path("home/logs"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let text = fs::read(log.path()).unwrap_or_default();
                eprintln!(
                    "{}:\n{}",
                    log.path().display(),
                    String::from_utf8_lossy(&text)
                );
            }
        }
        let left = self.described();
        // The daemon first, or it would start again what is killed.
        let mut pids = self.processes();
        pids.sort_by_key(|pid| link(*pid, "exe").as_deref() != Some(Path::new(PROGRAM)));
        let pids = pids.into_iter().filter_map(Pid::from_raw);
        let held: Vec<PidFd> = pids.filter_map(|pid| PidFd::open(pid).ok()).collect();
        for process in &held {
            let _ = process.signal(9);
        }
        for process in &held {
            Deadline::new().wait(process.as_fd());
        }
        // A daemon that was killed has left its cgroups.
        if let Ok(tree) = Tree::open(&Home::new(self.path("home")).tree_name()) {
            let _ = tree.remove();
        }
        let _ = fs::remove_dir_all(&self.root);
        assert!(failing || left.is_empty(), "left running: {left:#?}");
    }
}

fn link(pid: u32, name: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok()
}

/// A program's path; without it the test fails and says what to install.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    let found = paths.find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

/// Follows what a service prints, until it is dropped.
pub(crate) struct Logs {
    child: Child,
    lines: Lines,
}

impl Logs {
    /// The first line from here on that contains all of `parts`.
    pub(crate) fn until(&mut self, parts: &[&str]) -> String {
        self.lines.until(parts)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemon's own log.
pub(crate) struct Story(Lines);

impl Story {
    /// Waits until a unit has come to a state, and returns the line that says so.
    pub(crate) fn until(&mut self, unit: &str, state: &str) -> String {
        self.0
            .until(&[&format!("] {unit}: "), &format!(" -> {state}: ")])
    }
}

/// An object of `list --json`.
pub(crate) struct Listed(Value);

impl Listed {
    fn field(&self, name: &str) -> &Value {
        match &self.0 {
            Value::Object(fields) => &fields[name],
            other => panic!("no object: {other:?}"),
        }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        match self.field(name) {
            Value::String(text) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        match self.field(name) {
            Value::Number(Number::U64(number)) => *number,
            other => panic!("{name} is {other:?}"),
        }
    }
}
