//! Services that say when they are ready, each in its own way, and those that never do.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::files::make_fifo;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::users;
use diakonos::wire::{Reply, ResultKind};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::harness::{Bench, Client, Daemon, Deadline, PATIENCE_MS, start};

/// A port at which nobody listens, and that nobody else can take.
fn quiet_port() -> (OwnedFd, u16) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any: std::net::SocketAddrV4 = "127.0.0.1:0".parse().unwrap();
    bind(&socket, &any).unwrap();
    let found: std::net::SocketAddrV4 = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, found.port())
}

/// Where a service waits until it is let through, by `read go < $GATE`.
struct Gate {
    file: File,
    path: String,
}

impl Gate {
    fn new(bench: &Bench) -> Self {
        let path = bench.path("gate");
        make_fifo(&path, 0o600, None).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Self {
            file: file.unwrap(),
            path: path.display().to_string(),
        }
    }

    /// Lets one through.
    fn open(&self) {
        (&self.file).write_all(b"go\n").unwrap();
    }
}

/// Begins a start that is not to be complete.
fn starting(bench: &Bench, daemon: &mut Daemon<'_>, name: &str) -> Client {
    let mut client = bench.client();
    client.request(start(name));
    daemon.until(name, "starting");
    client
}

/// Waits until `status` says why the service is not ready.
fn awaits(bench: &Bench, name: &str, reason: &str) {
    let until_ms = monotonic_ms() + PATIENCE_MS;
    loop {
        let status = bench.status(name);
        assert_eq!(status.state, "starting", "{status:?}");
        if status.awaits.ends_with(reason) {
            return;
        }
        assert!(monotonic_ms() < until_ms, "in vain: {reason}, {status:?}");
    }
}

#[test]
fn a_port_is_ready_when_somebody_listens() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (server, port) = quiet_port();
    let ready = format!("ReadyWhen = \"tcp:127.0.0.1:{port}\"");
    bench.service("web", "", "exec sleep 1000", &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    awaits(
        &bench,
        "web",
        &format!("tcp:127.0.0.1:{port}: Connection refused"),
    );
    listen(&server, 8).unwrap();
    client.done().is(ResultKind::Started);
    assert_eq!(bench.status("web").awaits, "");
    assert_eq!(bench.status("web").state, "running");

    // It counts for each start anew.
    listen(&server, 8).unwrap();
    bench.restart("web").is(ResultKind::Started);
}

#[test]
fn a_service_that_is_never_ready_fails_and_says_what_it_lacked() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (_server, port) = quiet_port();
    let lacked = format!("ReadyWhen=tcp:127.0.0.1:{port}: Connection refused");
    // That it takes long is told after some looks: how long those take on a busy machine nobody knows beforehand.
    for limit_s in [3, 12, 48] {
        let ready = format!("ReadyWhen = \"tcp:127.0.0.1:{port}\"\nTimeoutStartSec = {limit_s}");
        bench.service("web", "", "exec sleep 1000", &ready);
        let done = bench.start("web");
        let text = &done.is(ResultKind::Failed).result().text;
        assert_eq!(bench.processes(), []);
        let told = format!("is not ready yet: {lacked}");
        let told = done.progress.iter().filter(|step| step.text == told);
        let told = told.count();
        if told == 0 && limit_s < 48 {
            continue;
        }
        assert_eq!(told, 1, "{done:?}");
        assert_eq!(*text, format!("not ready within {limit_s} s: {lacked}"));
        break;
    }

    // A stop in the midst of it leaves nothing behind, and nor does an end.
    let ready = "ReadyWhen = \"exec:/bin/sh -c 'echo look > $EAR; sleep 1000'\"";
    bench.service("slow", "", "exec sleep 1000", ready);
    let mut ear = bench.ear();
    let _client = starting(&bench, &mut daemon, "slow");
    assert_eq!(ear.next().unwrap(), "look");
    bench.stop("slow").is(ResultKind::Stopped);
    assert_eq!(bench.processes(), []);

    let gate = Gate::new(&bench);
    bench.service("brief", "", &format!("read go < {}", gate.path), ready);
    let mut client = starting(&bench, &mut daemon, "brief");
    assert_eq!(ear.next().unwrap(), "look");
    gate.open();
    let done = client.done();
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(text, "ended before it was ready: exit code 0");
    assert_eq!(bench.processes(), []);
}

#[test]
fn a_web_server_is_ready_when_it_answers_well() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let ready = format!("ReadyWhen = \"http://localhost:{port}/health?x=1\"");
    bench.service("web", "", "exec sleep 1000", &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    let answer = |status: &str| {
        let mut stream = accept(&server);
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            let mut chunk = [0; 512];
            match stream.read(&mut chunk).unwrap_or(0) {
                // We were too slow for that one, and the next one comes.
                0 => return,
                length => seen.extend_from_slice(&chunk[..length]),
            }
        }
        let asked = String::from_utf8(seen).unwrap();
        let host = format!("Host: localhost:{port}\r\n");
        assert!(asked.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&host), "{asked}");
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(text.as_bytes());
    };
    // An answer has been read when the next look comes.
    let until_ms = monotonic_ms() + PATIENCE_MS;
    let refused = "the answer is HTTP status 503";
    while !bench.status("web").awaits.ends_with(refused) {
        assert!(monotonic_ms() < until_ms, "in vain: {refused}");
        answer("503 Busy");
    }
    assert_eq!(bench.status("web").state, "starting");
    while bench.status("web").state == "starting" {
        assert!(monotonic_ms() < until_ms, "in vain: the end of the start");
        if wait_readable(&[server.as_fd()], Some(100)).unwrap()[0] {
            answer("204 Nothing");
        }
    }
    client.done().is(ResultKind::Started);
}

/// The next connection, which comes in time.
fn accept(server: &TcpListener) -> TcpStream {
    Deadline::new().wait(server.as_fd(), &|| "a connection".to_owned());
    server.accept().unwrap().0
}

#[test]
fn a_local_socket_is_ready_when_somebody_listens() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let path = bench.path("socket");
    let ready = format!("ReadyWhen = \"unix:{}\"", path.display());
    bench.service("web", "", "exec sleep 1000", &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    awaits(&bench, "web", "No such file or directory");
    let _server = UnixListener::bind(&path).unwrap();
    client.done().is(ResultKind::Started);
}

#[test]
fn a_command_tells_by_its_exit_code() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let flag = bench.path("flag");
    let script = format!("echo seen $MAINPID; test -e {}", flag.display());
    let ready = format!("ReadyWhen = '''exec:/bin/sh -c \"{script}\"'''");
    bench.service("web", "", "exec sleep 1000", &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    awaits(&bench, "web", "exit code 1");
    fs::write(&flag, "").unwrap();
    client.done().is(ResultKind::Started);
    let pid = bench.status("web").pid.unwrap();
    let log = fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    assert!(log.contains(&format!("seen {pid}\n")), "{log}");

    // It is confined as the service's other commands are.
    let ready = "ReadyWhen = 'exec:grep -q NoNewPrivs:.*1 /proc/self/status'\n\
                 NoNewPrivileges = true";
    bench.service("confined", "", "exec sleep 1000", ready);
    bench.start("confined").is(ResultKind::Started);

    bench.service("odd", "", "exec sleep 1000", "ReadyWhen = 'exec:/no/such'");
    let done = bench.start("odd");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(
        text.ends_with("ReadyWhen=exec:/no/such: /no/such: No such file or directory"),
        "{text}"
    );
}

#[test]
fn a_file_is_awaited_and_an_old_one_does_not_count() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let file = bench.path("deep/er/ready");
    let ready = format!("ReadyWhen = \"file:{}\"", file.display());
    bench.service("web", "", "exec sleep 1000", &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    awaits(&bench, "web", "No such file or directory");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    client.done().is(ResultKind::Started);
    bench.stop("web").is(ResultKind::Stopped);

    let gate = Gate::new(&bench);
    let (path, file) = (&gate.path, file.display());
    let script = format!("read go < {path}; : > {file}; exec sleep 1000");
    bench.service("web", "", &script, &ready);
    let mut client = starting(&bench, &mut daemon, "web");
    awaits(&bench, "web", "it is older than this start");
    gate.open();
    client.done().is(ResultKind::Started);
}

#[test]
fn a_log_is_ready_when_it_says_so() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let gate = Gate::new(&bench);
    let path = &gate.path;
    let script = format!(
        "echo server is; read go < {path}; printf 'server '; echo half > $EAR; \
         read go < {path}; printf 'is ready'; exec sleep 1000"
    );
    let ready = "ReadyWhen = 'log:server is ready'\n\
                 ExecStartPre = [\"/bin/sh\", \"-c\", \"echo server is ready\"]";
    bench.service("web", "", &script, ready);
    let mut ear = bench.ear();
    let mut client = starting(&bench, &mut daemon, "web");
    gate.open();
    assert_eq!(ear.next().unwrap(), "half");
    assert_eq!(bench.status("web").state, "starting");
    assert_eq!(bench.status("web").awaits, "ReadyWhen=log:server is ready");
    gate.open();
    client.done().is(ResultKind::Started);
    let log = fs::read(bench.home().join("logs/web.log")).unwrap();
    assert_eq!(log, b"server is ready\nserver is\nserver is ready");
}

#[test]
fn a_newline_on_a_descriptor_tells() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let gate = Gate::new(&bench);
    let path = &gate.path;
    for number in [3, 9] {
        let script = format!(
            "read go < {path}; printf almost >&{number}; echo half > $EAR; read go < {path}; \
             echo >&{number}; exec sleep 1000"
        );
        bench.service("web", "", &script, &format!("ReadyWhen = 'fd:{number}'"));
        let mut ear = bench.ear();
        let mut client = starting(&bench, &mut daemon, "web");
        gate.open();
        assert_eq!(ear.next().unwrap(), "half");
        let fifo = bench.home().join("run/web.ready");
        assert!(fifo.exists());
        assert_eq!(bench.status("web").awaits, format!("ReadyWhen=fd:{number}"));
        gate.open();
        client.done().is(ResultKind::Started);
        assert!(!fifo.exists());
        bench.stop("web").is(ResultKind::Stopped);
    }

    // What cannot come is not waited for.
    let keys = "ReadyWhen = 'fd:3'\nTimeoutStartSec = 'infinity'";
    bench.service("shy", "", "exec 3>&-; exec sleep 1000", keys);
    let done = bench.start("shy");
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(
        text,
        "will not become ready: ReadyWhen=fd:3: it was closed without a newline"
    );
    assert!(!bench.home().join("run/shy.ready").exists());

    // One that ends closes it too.
    bench.service("brief", "", "exit 7", keys);
    let done = bench.start("brief");
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(text, "exit code 7");
    assert_eq!(bench.processes(), []);
}

/// Its end has begun, which has closed the descriptor, and takes as long as the test wants: who traces it is the first
/// to hear of its end, and lets nobody else hear of it before.
#[test]
fn how_a_service_ends_says_more_than_that_its_descriptor_was_closed() {
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let gate = Gate::new(&bench);
    let text = format!(
        "import ctypes, os\n\
         libc = ctypes.CDLL(None)\n\
         main, (seized, seizes) = os.getpid(), os.pipe()\n\
         libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n\
         if os.fork() == 0:\n    \
         os.close(3)\n    \
         result = libc.ptrace(0x4206, main, None, None)\n    \
         open(os.environ['EAR'], 'w').write('seized %d\\n' % result)\n    \
         os.write(seizes, b'x')\n    \
         open('{}').readline()\n    \
         os._exit(0)\n\
         os.read(seized, 1)\n\
         os._exit(7)\n",
        gate.path
    );
    python_service(&bench, &text, "");
    let mut client = starting(&bench, &mut daemon, "web");
    if ear.next().unwrap() != "seized 0" {
        eprintln!("skipped: no process may trace another one here");
        gate.open();
        client.done().is(ResultKind::Failed);
        return;
    }
    // It is said when there has been a look too many.
    let lacked = "is not ready yet: ReadyWhen=fd:3: it was closed without a newline";
    loop {
        match client.reply() {
            Reply::Progress(step) if step.text == lacked => break,
            Reply::Progress(_) => {}
            Reply::Final(last) => panic!("it was not waited for: {last:?}"),
        }
    }
    gate.open();
    let done = client.done();
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(text, "exit code 7");
}

/// Its first thread has ended, and what closed the descriptor is another one, which works on.
#[test]
fn a_service_without_its_first_thread_has_not_ended() {
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let text = "import ctypes, os, signal, threading\n\
         def other():\n    \
         while open('/proc/self/stat').read().rsplit(')')[-1].split()[0] != 'Z': pass\n    \
         os.close(3)\n    \
         while True: signal.pause()\n\
         threading.Thread(target=other).start()\n\
         ctypes.CDLL(None).pthread_exit(None)\n";
    python_service(&bench, text, "TimeoutStartSec = 'infinity'\n");
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert_eq!(
        text,
        "will not become ready: ReadyWhen=fd:3: it was closed without a newline"
    );
    assert_eq!(bench.processes(), []);
}

/// A program that is awaited on its descriptor 3.
fn python_service(bench: &Bench, text: &str, keys: &str) {
    let program = bench.path("program");
    fs::write(&program, text).unwrap();
    let text = format!(
        "[service]\nEnvironment = ['EAR={}']\nExecStart = ['/usr/bin/python3', '{}']\n\
         ReadyWhen = 'fd:3'\n{keys}",
        bench.path("ear").display(),
        program.display()
    );
    bench.file("web", &text);
}

#[test]
fn a_command_that_is_not_there_is_not_waited_for() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    for (program, reason) in [
        ("no-such-program", "not found in PATH"),
        ("/no/such/program", "No such file or directory"),
    ] {
        let keys = format!("ReadyWhen = 'exec:{program} x'\nTimeoutStartSec = 'infinity'");
        bench.service("web", "", "exec sleep 1000", &keys);
        let done = bench.start("web");
        let text = &done.is(ResultKind::Failed).result().text;
        let known =
            format!("will not become ready: ReadyWhen=exec:{program} x: {program}: {reason}");
        assert!(text.starts_with(&known), "{text}");
        assert_eq!(bench.processes(), []);
    }
}

/// More than is read at once: the rest is not forgotten, though nothing tells of it again.
#[test]
fn a_newline_after_much_else_tells() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let script = "head -c 60000 /dev/zero >&3; echo >&3; exec sleep 1000";
    bench.service("web", "", script, "ReadyWhen = 'fd:3'");
    bench.start("web").is(ResultKind::Started);
}

/// Whatever a start waits for, a successor waits for it on, and what came while none was there counts.
#[test]
fn a_successor_waits_on() {
    let bench = Bench::new();
    let mut daemon = bench.lone_daemon();
    let (server, port) = quiet_port();
    let tcp = format!("ReadyWhen = \"tcp:127.0.0.1:{port}\"");
    bench.service("web", "", "exec sleep 1000", &tcp);
    let log = "ReadyWhen = 'log:server is ready'";
    let gate = Gate::new(&bench);
    let path = &gate.path;
    let script = format!(
        "printf 'server is '; echo up > $EAR; read go < {path}; echo ready; \
         echo said > $EAR; exec sleep 1000"
    );
    bench.service("log", "", &script, log);
    let script =
        format!("echo up > $EAR; read go < {path}; echo >&3; echo said > $EAR; exec sleep 1000");
    bench.service("line", "", &script, "ReadyWhen = 'fd:3'");
    let mut ear = bench.ear();
    let _web = starting(&bench, &mut daemon, "web");
    let _line = starting(&bench, &mut daemon, "line");
    assert_eq!(ear.next().unwrap(), "up");
    let _log = starting(&bench, &mut daemon, "log");
    assert_eq!(ear.next().unwrap(), "up");
    awaits(&bench, "web", "Connection refused");
    daemon.signal(9);
    daemon.ended();
    for _ in 0..2 {
        gate.open();
        assert_eq!(ear.next().unwrap(), "said");
    }
    let mut daemon = bench.lone_daemon();
    let mut ready: Vec<String> = (0..2)
        .map(|_| daemon.log.until("starting -> running"))
        .collect();
    ready.sort_by_key(|line| line.contains("log: "));
    assert!(
        ready[0].contains("line: ") && ready[1].contains("log: "),
        "{ready:?}"
    );
    awaits(&bench, "web", "Connection refused");
    listen(&server, 8).unwrap();
    daemon.until("web", "running");
}

#[test]
fn who_cannot_be_found_is_refused_at_once() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let ready = "ReadyWhen = 'tcp:no-such-host.invalid:80'";
    bench.service("web", "", "exec sleep 1000", ready);
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(
        text.starts_with("ReadyWhen=tcp:no-such-host.invalid:80: no-such-host.invalid is neither"),
        "{text}"
    );
}

#[test]
fn a_condition_that_is_not_met_skips_the_start() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    let flag = bench.path("flag");
    let keys = format!(
        "ExecCondition = \"/bin/sh -c 'exit 0' ; /usr/bin/test -e {}\"\n\
         ExecStopPost = [\"/bin/sh\", \"-c\", \"echo $SERVICE_RESULT > $EAR\"]\nRestart = \"always\"",
        flag.display()
    );
    bench.service("web", "", "echo up > $EAR; exec sleep 1000", &keys);
    let done = bench.start("web");
    let result = done.is(ResultKind::Skipped).result();
    assert_eq!(
        result.text,
        "skipped, its ExecCondition is not met: exit code 1"
    );
    assert_eq!(ear.next().unwrap(), "exec-condition");
    let status = bench.status("web");
    assert_eq!(status.active, "inactive");
    assert!(status.cause.contains("skipped"), "{status:?}");

    fs::write(&flag, "").unwrap();
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    bench.stop("web").is(ResultKind::Stopped);
    assert_eq!(ear.next().unwrap(), "success");

    for (end, is_failed) in [("exit 255", true), ("kill -9 $$", true), ("exit 3", false)] {
        let key = format!("ExecCondition = [\"/bin/sh\", \"-c\", \"{end}\"]");
        bench.service("odd", "", "exec sleep 1000", &key);
        let kind = bench.start("odd").result().kind;
        assert_eq!(kind == ResultKind::Failed, is_failed, "{end}");
    }
    bench.service(
        "fine",
        "",
        "exec sleep 1000",
        "ExecCondition = [\"/bin/sh\", \"-c\", \"exit 3\"]\nSuccessExitStatus = 3",
    );
    bench.start("fine").is(ResultKind::Started);
}

#[test]
fn conditions_are_looked_at_when_the_turn_has_come() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let flag = bench.path("flag");
    let unit = format!("ConditionPathExists = \"{}\"", flag.display());
    bench.service("web", &unit, "exec sleep 1000", "Restart = \"always\"");
    let done = bench.start("web");
    let text = format!("skipped, ConditionPathExists={} is not met", flag.display());
    assert_eq!(done.is(ResultKind::Skipped).result().text, text);
    let status = bench.status("web");
    assert_eq!((&*status.active, &*status.cause), ("inactive", &*text));

    // What comes before it makes it true.
    let make = format!("touch {}", flag.display());
    bench.service("make", "Before = \"web\"", &make, "Type = \"oneshot\"");
    bench.service(
        "web",
        &format!("{unit}\nRequires = \"make\""),
        "exec sleep 1000",
        "",
    );
    bench.start("web").is(ResultKind::Started);

    let unit = format!("AssertPathExists = \"!{}\"", flag.display());
    bench.service("sure", &unit, "exec sleep 1000", "Restart = \"always\"");
    let done = bench.start("sure");
    let text = format!("AssertPathExists=!{} is not met", flag.display());
    assert_eq!(done.is(ResultKind::Failed).result().text, text);
    assert_eq!(bench.status("sure").active, "failed");
}

#[test]
fn everything_that_conditions_can_ask_is_asked() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let root = bench.path("units");
    let root = root.display();
    let met = format!(
        "ConditionPathIsDirectory = \"{root}\"\nConditionFileNotEmpty = [\"{root}/all.service\", \
         \"!{root}\"]\nConditionEnvironment = [\"DIAKONOS_HOME\", \"!NO_SUCH_VARIABLE\"]\n\
         ConditionUser = [\"|{}\", \"|nobody-at-all\"]\nConditionHost = [\"*\", \"!nowhere\"]\n\
         AssertPathExists = \"/\"\nAssertUser = {}",
        users::current().unwrap().name,
        users::effective_uid(),
    );
    bench.service("all", &met, "exec sleep 1000", "");
    bench.start("all").is(ResultKind::Started);
    for unmet in [
        "ConditionEnvironment = \"DIAKONOS_HOME=elsewhere\"",
        "ConditionHost = \"nowhere\"",
        "ConditionUser = [\"|nobody-at-all\", \"|4294967294\"]",
    ] {
        bench.service("odd", unmet, "exec sleep 1000", "");
        let done = bench.start("odd");
        assert!(
            done.is(ResultKind::Skipped)
                .result()
                .text
                .contains("not met")
                || done.result().text.contains("none of"),
            "{unmet}"
        );
    }
}
