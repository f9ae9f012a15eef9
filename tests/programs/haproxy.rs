//! HAProxy, master and workers: it says when it is ready, and is reloaded by a signal without losing its master.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use diakonos::sys::proc;
use diakonos::sys::process::{Pid, PidFd};

use crate::follow::Deadline;
use crate::house::{House, program};

/// A client's connection is answered within this, or the test fails.
const ANSWER: Duration = Duration::from_secs(60);

fn configure(house: &House, answer: &str) {
    let configuration = format!(
        "global
    stats socket ROOT/stats.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 60s
frontend front
    bind unix@ROOT/http.sock
    http-request return status 200 content-type text/plain string {answer}
"
    );
    house.file("haproxy.cfg", &configuration);
}

/// The body of `GET /`.
fn get(house: &House) -> String {
    let mut stream = UnixStream::connect(house.path("http.sock")).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn ready_and_reloaded_by_its_own_word() {
    let house = House::new();
    let haproxy = program("haproxy", "haproxy").display().to_string();
    configure(&house, "one");
    let unit = format!(
        r#"
[unit]
Description = "HAProxy"
[service]
Type = "notify-reload"
ReloadSignal = "SIGUSR2"
ExecStartPre = "{haproxy} -f ROOT/haproxy.cfg -c -q"
ExecStart = "{haproxy} -Ws -f ROOT/haproxy.cfg -p ROOT/haproxy.pid -S ROOT/master.sock"
SuccessExitStatus = 143
KillMode = "mixed"
Restart = "always"
"#
    );
    house.unit("haproxy", &unit);
    // It is ready when it says so: nothing is to be waited for after that.
    house.ok(&["start", "haproxy"]);
    assert_eq!(get(&house), "one");
    let mut story = house.story();
    story.until("haproxy", "running");
    let master = house.pid("haproxy");
    let old = proc::children(Pid::from_raw(master).unwrap()).unwrap();
    let old = old.into_iter().map(|worker| PidFd::open(worker).unwrap());
    let old: Vec<PidFd> = old.collect();
    assert!(!old.is_empty());

    configure(&house, "two");
    house.ok(&["reload", "haproxy"]);
    // The workers before are told to end, and take what comes until they have heard it.
    let is_over = |worker: PidFd| Deadline::new().wait(worker.as_fd());
    assert!(old.into_iter().all(is_over), "an old worker stays");
    assert_eq!(get(&house), "two");
    assert_eq!(house.pid("haproxy"), master);
    story.until("haproxy", "reloading");
    story.until("haproxy", "running");

    house.kill("haproxy");
    story.until("haproxy", "restarting");
    story.until("haproxy", "running");
    assert_eq!(get(&house), "two");
    let stopped = house.ok(&["stop", "haproxy"]);
    assert_eq!(stopped, "haproxy: stopped, nothing is left\n");
    house.end();
}
