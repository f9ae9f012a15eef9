//! A home in a temporary folder, a daemon in the foreground, a client that speaks the wire, and an ear for services.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use diakonos::daemon::Home;
use diakonos::engine::{Command, Scope, Wait};
use diakonos::sys::cgroup::Tree;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::{files, proc};
use diakonos::wire::{
    self, Assembler, Decoder, Final, Hello, PROTOCOL_VERSION, Progress, Reply, Request, ResultKind,
    UnitResult, UnitStatus, WireError,
};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE_MS: u64 = 60_000;
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_diakonos");

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A moment by which something has to have happened.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(monotonic_ms() + PATIENCE_MS)
    }

    /// Waits until `fd` is readable; panics with `what` at the deadline.
    pub(crate) fn wait(self, fd: BorrowedFd<'_>, what: &dyn Fn() -> String) {
        let left = self.0.saturating_sub(monotonic_ms());
        let ready = wait_readable(&[fd], Some(left)).unwrap();
        assert!(ready[0], "in vain: {}", what());
    }
}

/// A folder with a home, unit files, and a pipe that services write to.
pub(crate) struct Bench {
    root: PathBuf,
    /// Keeps the pipe open, so that no service waits for a listener.
    _ear: File,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = new_folder();
        fs::create_dir(root.join("units")).unwrap();
        let ear = root.join("ear");
        files::make_fifo(&ear, 0o600, None).unwrap();
        let mut both = OpenOptions::new();
        let _ear = both.read(true).write(true).open(&ear).unwrap();
        Self { root, _ear }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn units(&self) -> PathBuf {
        self.path("units")
    }

    /// Writes a unit file as it is.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.units().join(format!("{name}.service"));
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a service that runs a shell program, which finds the ear in `$EAR`. `unit` and `service` are further
    /// lines of those sections.
    pub(crate) fn service(&self, name: &str, unit: &str, script: &str, service: &str) -> PathBuf {
        let ear = self.path("ear");
        let ear = ear.display();
        let text = format!(
            "[unit]\n{unit}\n[service]\nEnvironment = [\"EAR={ear}\"]\n\
             ExecStart = [\"/bin/sh\", \"-c\", '''{script}''']\n{service}\n"
        );
        self.file(name, &text)
    }

    /// A service that says `up NAME` before it counts as up, and `down NAME` when nothing of it is left.
    pub(crate) fn sleeper(&self, name: &str, unit: &str) {
        let say = |what| format!("[\"/bin/sh\", \"-c\", \"echo {what} {name} > $EAR\"]");
        let service = format!(
            "ExecStartPost = {}\nExecStopPost = {}",
            say("up"),
            say("down")
        );
        self.service(name, unit, "exec sleep 1000", &service);
    }

    pub(crate) fn ear(&self) -> Lines {
        Lines::new(File::open(self.path("ear")).unwrap())
    }

    /// A daemon in the foreground that listens, with its guardian.
    pub(crate) fn daemon(&self) -> Daemon<'_> {
        self.daemon_by(Program::new(PROGRAM).arg("daemon"))
    }

    /// A daemon that is not succeeded when it dies, and is the process that was started.
    pub(crate) fn lone_daemon(&self) -> Daemon<'_> {
        self.lone_daemon_after(":")
    }

    /// A daemon that a shell starts after a command such as `ulimit -n 64`.
    pub(crate) fn daemon_after(&self, command: &str) -> Daemon<'_> {
        let script = format!("{command}; exec \"$0\" \"$@\"");
        let mut shell = Program::new("/bin/sh");
        self.daemon_by(shell.args(["-c", &script, PROGRAM, "daemon"]))
    }

    /// The same without a guardian.
    pub(crate) fn lone_daemon_after(&self, command: &str) -> Daemon<'_> {
        let mut daemon = self.shell_before_daemon(command);
        daemon.log.until("ready, PID");
        daemon
    }

    /// The same, while the shell may still be at its command.
    pub(crate) fn shell_before_daemon(&self, command: &str) -> Daemon<'_> {
        let script = format!("{command}; exec \"$0\" \"$@\"");
        let mut shell = Program::new("/bin/sh");
        let words = ["-c", &script, PROGRAM, "daemon", "--no-guardian"];
        self.begin_daemon(shell.args(words))
    }

    /// A daemon that this starts.
    pub(crate) fn daemon_by(&self, program: &mut Program) -> Daemon<'_> {
        let mut daemon = self.begin_daemon(program);
        daemon.log.until("ready, PID");
        daemon
    }

    fn begin_daemon(&self, program: &mut Program) -> Daemon<'_> {
        let program = self.environment(program);
        let program = program.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Lines::new(File::from(std::os::fd::OwnedFd::from(stderr)));
        Daemon {
            bench: self,
            child: Some(child),
            log,
        }
    }

    pub(crate) fn environment<'p>(&self, program: &'p mut Program) -> &'p mut Program {
        program
            .env("DIAKONOS_HOME", self.home())
            .env("DIAKONOS_SERVICE_DIR", self.units())
            .env("LC_ALL", "C")
            .current_dir(&self.root)
    }

    /// Begins a command of the program.
    pub(crate) fn begin(&self, words: &[&str]) -> Child {
        let mut program = Program::new(PROGRAM);
        let program = self.environment(&mut program).args(words);
        let program = program.stdin(Stdio::null());
        let program = program.stdout(Stdio::piped()).stderr(Stdio::piped());
        program.spawn().unwrap()
    }

    /// Runs a command of the program to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.begin(words).wait_with_output().unwrap()
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.home().join("control.sock")).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let mut client = self.knock();
        client.welcomed();
        client
    }

    /// One that has said hello and has not heard it yet: of a daemon that stands still.
    pub(crate) fn knock(&self) -> Client {
        let stream = self.connect();
        let mut client = Client {
            stream,
            decoder: Decoder::new(),
            assembler: Assembler::default(),
            directories: vec![self.units().display().to_string()],
        };
        let program = "test".to_owned();
        let protocol = PROTOCOL_VERSION;
        client.send(&wire::encode_hello(&Hello { protocol, program }));
        client
    }

    pub(crate) fn start(&self, name: &str) -> Done {
        self.client().ask(start(name))
    }

    pub(crate) fn stop(&self, name: &str) -> Done {
        self.client().ask(stop(name))
    }

    pub(crate) fn restart(&self, name: &str) -> Done {
        self.client().ask(Command::Restart {
            names: vec![name.to_owned()],
            wait: Wait::Finished,
            scope: Scope::All,
        })
    }

    pub(crate) fn status(&self, name: &str) -> UnitStatus {
        let names = vec![name.to_owned()];
        let done = self.client().ask(Command::Status { names });
        match done.last {
            Final::Units(mut units) => units.remove(0),
            other => panic!("no status of {name}: {other:?}"),
        }
    }

    /// The PID that the lock names.
    pub(crate) fn daemon_pid(&self) -> Pid {
        let text = fs::read_to_string(self.home().join("lock")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    /// Every process that has this bench's ear in its environment.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        marked(&format!("EAR={}", self.path("ear").display()))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let left = self.processes();
        // A daemon in the background, if the test did not come to its end. It and its guardian make each other anew
        // until both are killed before either has looked.
        loop {
            let mut both = marked(&format!("DIAKONOS_HOME={}", self.home().display()));
            both.extend(self.processes());
            let held: Vec<PidFd> = both
                .iter()
                .filter_map(|pid| PidFd::open(*pid).ok())
                .collect();
            if held.is_empty() {
                break;
            }
            for process in &held {
                let _ = process.signal(9);
            }
            for process in &held {
                let _ = wait_readable(&[process.as_fd()], Some(PATIENCE_MS));
            }
        }
        // A daemon that was killed has left its cgroups.
        if let Ok(tree) = Tree::open(&Home::new(self.home()).tree_name()) {
            let _ = tree.remove();
        }
        let _ = fs::remove_dir_all(&self.root);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left running: {left:?}");
        }
    }
}

/// A folder that nobody has: one of an earlier process with our number may have been left.
fn new_folder() -> PathBuf {
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("diakonos-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::create_dir(&path) {
            Ok(()) => return path,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("making {}: {error}", path.display()),
        }
    }
}

/// Every living process with this entry in its environment.
fn marked(entry: &str) -> Vec<Pid> {
    let all = proc::all().into_iter().filter(|stat| !stat.is_dead());
    all.map(|stat| stat.pid)
        .filter(|pid| proc::has_environment(*pid, entry.as_bytes()))
        .collect()
}

pub(crate) fn start(name: &str) -> Command {
    let names = vec![name.to_owned()];
    let wait = Wait::Finished;
    Command::Start {
        names,
        found: Vec::new(),
        wait,
    }
}

pub(crate) fn stop(name: &str) -> Command {
    let names = vec![name.to_owned()];
    let wait = Wait::Finished;
    Command::Stop { names, wait }
}

/// Whether a process with this number is there, be it a zombie or not.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A stream of lines, read with a deadline.
pub(crate) struct Lines {
    file: File,
    bytes: Vec<u8>,
    /// All that was read, for the message of a failure.
    seen: Vec<String>,
}

impl Lines {
    pub(crate) fn new(file: File) -> Self {
        files::set_nonblocking(file.as_fd()).unwrap();
        Self {
            file,
            bytes: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<String> {
        let deadline = Deadline::new();
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.seen.push(line.clone());
                return Some(line);
            }
            let seen = &self.seen;
            let what = || format!("one more line after\n{}", seen.join("\n"));
            deadline.wait(self.file.as_fd(), &what);
            let mut chunk = [0; 4096];
            match self.file.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }

    /// The first line from here on that contains `text`.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            match self.next() {
                Some(line) if line.contains(text) => return line,
                Some(_) => {}
                None => panic!("ended without `{text}`:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// So many lines.
    pub(crate) fn take(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().unwrap()).collect()
    }

    /// Everything so far, without waiting.
    pub(crate) fn all(&mut self) -> String {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.file.read(&mut chunk) {
            self.bytes.extend_from_slice(&chunk[..length]);
        }
        let rest = String::from_utf8_lossy(&self.bytes);
        format!("{}\n{rest}", self.seen.join("\n"))
    }

    /// All that is left until the end.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// A daemon in the foreground; stopped, with all its services, when it is dropped.
pub(crate) struct Daemon<'b> {
    bench: &'b Bench,
    child: Option<Child>,
    pub(crate) log: Lines,
}

impl Daemon<'_> {
    /// The daemon's PID, by its lock.
    pub(crate) fn pid(&self) -> Pid {
        self.bench.daemon_pid()
    }

    /// The process that was started: the guardian, or the daemon if it has none.
    pub(crate) fn started(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().unwrap().id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        let process = PidFd::open(self.started()).unwrap();
        process.signal(signal).unwrap();
    }

    /// Waits for a change of state, as the log tells it.
    pub(crate) fn until(&mut self, unit: &str, state: &str) -> String {
        loop {
            let line = self.log.until(&format!("{unit}: "));
            if line.contains(&format!("-> {state}: ")) {
                return line;
            }
        }
    }

    /// Waits for the daemon's own end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        // Its end closes the pipe, unless a service has got hold of it.
        self.log.rest();
        self.child.take().unwrap().wait().unwrap()
    }

    /// Ends the daemon in order, and checks that nothing is left.
    pub(crate) fn end(mut self) {
        self.signal(15);
        assert!(self.ended().success());
        assert_eq!(self.bench.processes(), []);
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        if std::thread::panicking() {
            let _ = child.kill();
            let _ = child.wait();
            eprintln!("the daemon said:\n{}", self.log.all());
            return;
        }
        let process = PidFd::open(Pid::from_raw(child.id()).unwrap()).unwrap();
        process.signal(15).unwrap();
        self.log.rest();
        assert!(child.wait().unwrap().success());
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) progress: Vec<Progress>,
    pub(crate) last: Final,
}

impl Done {
    /// The one unit's result.
    pub(crate) fn result(&self) -> &UnitResult {
        match self.results() {
            [one] => one,
            other => panic!("not one result: {other:?}"),
        }
    }

    pub(crate) fn results(&self) -> &[UnitResult] {
        match &self.last {
            Final::Results(results) => results,
            other => panic!("no results: {other:?}"),
        }
    }

    pub(crate) fn error(&self) -> &WireError {
        match &self.last {
            Final::Error(error) => error,
            other => panic!("no error: {other:?}"),
        }
    }

    /// Checks the one unit's result.
    pub(crate) fn is(&self, kind: ResultKind) -> &Self {
        assert_eq!(self.result().kind, kind, "{self:?}");
        self
    }
}

/// A connection to the daemon.
pub(crate) struct Client {
    stream: UnixStream,
    decoder: Decoder,
    assembler: Assembler,
    directories: Vec<String>,
}

impl Client {
    /// Hears the daemon's hello.
    pub(crate) fn welcomed(&mut self) {
        let theirs = wire::decode_hello(&self.payload()).unwrap();
        assert_eq!(theirs.protocol, PROTOCOL_VERSION);
    }

    /// Looks for units in another folder.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.directories = vec![folder.display().to_string()];
        self
    }

    pub(crate) fn send(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        wire::frame(payload, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Writes bytes as they are; `false` once the daemon has hung up.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(crate) fn request(&mut self, command: Command) {
        let directories = self.directories.clone();
        let request = Request {
            command,
            directories,
            first_asked_ms: None,
        };
        self.send(&wire::encode_request(&request));
    }

    pub(crate) fn reply(&mut self) -> Reply {
        loop {
            let payload = self.payload();
            if let Some(reply) = self.assembler.take(&payload).unwrap() {
                return reply;
            }
        }
    }

    pub(crate) fn done(&mut self) -> Done {
        let mut progress = Vec::new();
        loop {
            match self.reply() {
                Reply::Progress(step) => progress.push(step),
                Reply::Final(last) => return Done { progress, last },
            }
        }
    }

    pub(crate) fn ask(&mut self, command: Command) -> Done {
        self.request(command);
        self.done()
    }

    fn payload(&mut self) -> Vec<u8> {
        read_payload(&mut self.stream, &mut self.decoder).expect("the daemon hung up")
    }
}

/// The next payload of a connection; `None` at its end.
pub(crate) fn read_payload(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<Vec<u8>> {
    let deadline = Deadline::new();
    loop {
        if let Some(payload) = decoder.next().unwrap() {
            return Some(payload);
        }
        deadline.wait(stream.as_fd(), &|| "an answer of the daemon".to_owned());
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(length) => decoder.push(&chunk[..length]),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return None;
            }
        }
    }
}
