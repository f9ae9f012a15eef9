//! A file system that never answers, FUSE: whoever closes one of its files waits for ever.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use diakonos::sys::files;
use diakonos::sys::poll::{has_hung_up, wait_readable};
use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Lines};
use crate::strangers::{barrier, send, speaker};

/// The only task whose requests are answered.
const SERVED: &str = "FUSE_SERVED";
/// What a device reads at once at least.
const BUFFER_BYTES: usize = 64 << 10;
const KILL: i32 = 9;

/// One file, which lies where only its server sees it. It is gone with the server, and then whoever waits goes on.
struct FileSystem {
    server: Child,
    path: PathBuf,
    /// What it has not answered.
    asked: Lines,
}

impl FileSystem {
    /// Nothing where we may not mount one.
    fn new(bench: &Bench) -> Option<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .ok()?;
        let path = bench.path("strange");
        fs::write(&path, "").unwrap();
        let options = "fd=0,rootmode=100000,user_id=0,group_id=0";
        let script = format!("mount -i -t fuse -o {options} none \"$1\" && shift && exec \"$@\"");
        let (reader, writer) = files::pipe().unwrap();
        let own = env::current_exe().unwrap();
        let task = fs::read_link("/proc/thread-self").unwrap();
        let server = Command::new("unshare")
            .args(["-m", "sh", "-c", &script, "sh"])
            .arg(&path)
            .arg(own)
            .args(["fuse::serves", "--exact", "--nocapture"])
            .env(SERVED, task.file_name().unwrap())
            .stdin(device)
            .stdout(writer)
            .stderr(Stdio::null())
            .spawn();
        let server = server.ok()?;
        let mut system = Self {
            path: format!("/proc/{}/root{}", server.id(), path.display()).into(),
            server,
            asked: Lines::new(reader.into()),
        };
        loop {
            match system.asked.next() {
                Some(line) if line.ends_with("serves") => return Some(system),
                Some(_) => {}
                None => return None,
            }
        }
    }

    fn open(&self) -> OwnedFd {
        File::open(&self.path).unwrap().into()
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Of a request, `struct fuse_in_header`.
fn word(request: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(request[at..at + 4].try_into().unwrap())
}

/// The server, in a process of its own: standard input is its device.
#[test]
fn serves() {
    let Ok(served) = env::var(SERVED) else { return };
    let served: u32 = served.parse().unwrap();
    let (device, mut ear) = (io::stdin(), io::stdout());
    let mut device = File::from(device.as_fd().try_clone_to_owned().unwrap());
    ear.write_all(b"\nserves\n").unwrap();
    let mut request = vec![0; BUFFER_BYTES];
    while !has_hung_up(ear.as_fd()) {
        let ready = wait_readable(&[device.as_fd(), ear.as_fd()], None).unwrap();
        if !ready[0] {
            continue;
        }
        let length = device.read(&mut request).unwrap();
        let request = &request[..length];
        let (kind, asks) = (word(request, 4), word(request, 32));
        let Some(answer) = answer(kind, asks == served) else {
            writeln!(ear, "{kind} by {asks}").unwrap();
            continue;
        };
        let (error, answer) = match answer {
            Ok(answer) => (0_i32, answer),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + answer.len()).unwrap();
        let head = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
        device
            .write_all(&[&head, &request[8..16], &answer].concat())
            .unwrap();
    }
}

/// What is answered to a request of this kind, `linux/fuse.h`; nothing for one that is never answered.
fn answer(kind: u32, is_served: bool) -> Option<Result<Vec<u8>, i32>> {
    const GETATTR: u32 = 3;
    const OPEN: u32 = 14;
    const RELEASE: u32 = 18;
    const FLUSH: u32 = 25;
    const INIT: u32 = 26;
    const UNKNOWN: i32 = 38;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    match kind {
        // Version 7.31, and 4 KiB are written at a time.
        INIT => {
            let mut told = [0; 16];
            (told[0], told[1], told[5]) = (7, 31, 4096);
            Some(Ok(words(&told)))
        }
        RELEASE => Some(Ok(Vec::new())),
        _ if !is_served => None,
        GETATTR => {
            // A plain file with one name, known for long.
            let mut told = [0; 26];
            (told[0], told[4], told[19], told[20]) = (1_000, 1, 0o100_644, 1);
            Some(Ok(words(&told)))
        }
        OPEN => Some(Ok(words(&[0; 4]))),
        FLUSH => Some(Ok(Vec::new())),
        _ => Some(Err(UNKNOWN)),
    }
}

/// What a service has stored is asked about by nobody but its own processes.
#[test]
fn a_stored_file_whose_file_system_never_answers_holds_up_nobody() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let socket = speaker(&bench, "web", "all");
    let Some(mut system) = FileSystem::new(&bench) else {
        eprintln!("not tested: no FUSE file system can be mounted here");
        return daemon.end();
    };
    send(&socket, "FDSTORE=1\nFDNAME=strange", system.open());
    barrier(&socket);
    // Said again, it is the same one no more, as it is opened anew.
    send(&socket, "FDSTORE=1\nFDNAME=strange", system.open());
    barrier(&socket);
    system.asked.until("25 by");
    // It is not to be kept, and closed.
    send(&socket, "STATUS=strange", system.open());
    barrier(&socket);
    assert_eq!(bench.status("web").said, "strange");
    bench.sleeper("other", "");
    bench.start("other").is(ResultKind::Started);
    assert_eq!(bench.status("other").state, "running");

    // Who waits for an answer asks the successor, though who closes the file cannot end, and has the connection.
    let order = bench.path("order");
    files::make_fifo(&order, 0o600, None).unwrap();
    let script = format!("echo waits > $EAR; read -r word < {}", order.display());
    bench.service("slow", "", &script, "Type = 'oneshot'");
    let mut ear = bench.ear();
    let client = bench.begin(&["start", "slow"]);
    ear.until("waits");
    let dead = PidFd::open(daemon.pid()).unwrap();
    dead.signal(KILL).unwrap();
    daemon.log.until("ready, PID");
    fs::write(&order, "go\n").unwrap();
    let told = client.wait_with_output().unwrap();
    assert!(told.status.success(), "{told:?}");
    bench.restart("other").is(ResultKind::Started);
    assert!(bench.run(&["upgrade"]).status.success());
    bench.restart("other").is(ResultKind::Started);

    let script = "echo $LISTEN_FDNAMES > $EAR; exec sleep 1000";
    bench.service("web", "", script, "NotifyAccess = 'all'");
    bench.restart("web").is(ResultKind::Started);
    ear.until("strange:strange");
    drop(system);
    daemon.end();
}

/// Kept in flight, a file is what it was: one open file with its place and its lock, known again and let go at the end.
#[test]
fn a_stored_file_is_the_same_open_file_after_all_that_may_happen() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = "echo $NOTIFY_SOCKET > $EAR; [ -z \"$LISTEN_FDS\" ] && exec sleep 1000; \
         echo two >&3; cat <&4 >&3; echo $LISTEN_FDNAMES > $EAR; exec sleep 1000";
    bench.service("web", "", script, "NotifyAccess = 'all'");
    bench.start("web").is(ResultKind::Started);
    let socket = ear.next().unwrap().into();

    let path = bench.path("log");
    let mut log = File::create(&path).unwrap();
    log.lock().unwrap();
    log.write_all(b"one\n").unwrap();
    let other = bench.path("other");
    fs::write(&other, "three\n").unwrap();
    let twins = [File::open(&other).unwrap(), File::open(&other).unwrap()];
    for _ in 0..2 {
        send(
            &socket,
            "FDSTORE=1\nFDNAME=log",
            log.try_clone().unwrap().into(),
        );
        for twin in &twins {
            let twin = twin.try_clone().unwrap();
            send(&socket, "FDSTORE=1\nFDNAME=twin", twin.into());
        }
        barrier(&socket);
    }
    drop((log, twins));
    let dead = PidFd::open(daemon.pid()).unwrap();
    dead.signal(KILL).unwrap();
    daemon.log.until("ready, PID");
    assert!(bench.run(&["upgrade"]).status.success());

    bench.restart("web").is(ResultKind::Started);
    assert_eq!(ear.take(2)[1], "log:twin:twin");
    let seen = OpenOptions::new().read(true).open(&path).unwrap();
    assert!(seen.try_lock().is_err(), "it is locked still");
    bench.stop("web").is(ResultKind::Stopped);
    let path_text = path.to_str().unwrap();
    let words = ["-w", "60", path_text, "cat", path_text];
    let text = Command::new("flock").args(words).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&text.stdout), "one\ntwo\nthree\n");
    daemon.end();
}
