//! nginx: a master that puts itself into the background, and workers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use diakonos::sys::proc;
use diakonos::sys::process::Pid;

use crate::follow::Lines;
use crate::house::{House, program};

/// A client's connection is answered within this, or the test fails.
const ANSWER: Duration = Duration::from_secs(60);
const WORKERS: usize = 2;

fn configure(house: &House, answer: &str) {
    let configuration = format!(
        "pid ROOT/nginx.pid;
error_log ROOT/error.log notice;
worker_processes {WORKERS};
events {{ }}
http {{
    access_log off;
    client_body_temp_path ROOT/body;
    proxy_temp_path ROOT/proxy;
    fastcgi_temp_path ROOT/fastcgi;
    uwsgi_temp_path ROOT/uwsgi;
    scgi_temp_path ROOT/scgi;
    server {{
        listen unix:ROOT/http.sock;
        location / {{ return 200 \"{answer}\"; }}
    }}
}}
"
    );
    house.file("nginx.conf", &configuration);
}

fn install(house: &House) {
    let nginx = program("nginx", "nginx-light").display().to_string();
    configure(house, "one");
    // A killed nginx leaves its socket, and the next one would not begin.
    let unit = format!(
        r#"
[unit]
Description = "nginx"
[service]
Type = "forking"
PIDFile = "ROOT/nginx.pid"
ExecStartPre = [
    ["/bin/rm", "-f", "ROOT/http.sock"],
    ["{nginx}", "-p", "ROOT", "-e", "ROOT/error.log", "-c", "ROOT/nginx.conf", "-t", "-q"],
]
ExecStart = "{nginx} -p ROOT -e ROOT/error.log -c ROOT/nginx.conf"
ExecReload = [
    ["{nginx}", "-p", "ROOT", "-e", "ROOT/error.log", "-c", "ROOT/nginx.conf", "-t", "-q"],
    ["/bin/sh", "-c", "kill -HUP $MAINPID"],
]
KillSignal = "SIGQUIT"
KillMode = "mixed"
Restart = "on-failure"
"#
    );
    house.unit("nginx", &unit);
}

/// The body of `GET /`.
fn get(house: &House) -> String {
    let mut stream = UnixStream::connect(house.path("http.sock")).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The children of the service's main process.
fn workers(house: &House) -> Vec<Pid> {
    let master = Pid::from_raw(house.pid("nginx")).unwrap();
    let mut workers = proc::children(master).unwrap();
    workers.retain(|worker| !proc::stat(*worker).unwrap().is_dead());
    assert_eq!(workers.len(), WORKERS);
    workers
}

/// Waits until a new master's workers are there.
fn up(log: &mut Lines) {
    (0..WORKERS).for_each(|_| drop(log.until(&["start worker process "])));
}

#[test]
fn master_and_workers() {
    let house = House::new();
    install(&house);
    house.ok(&["start", "nginx"]);
    let mut story = house.story();
    story.until("nginx", "running");
    let mut log = Lines::of_file(&house.path("error.log"));
    up(&mut log);
    assert_eq!(get(&house), "one");
    let named = std::fs::read_to_string(house.path("nginx.pid")).unwrap();
    assert_eq!(house.pid("nginx").to_string(), named.trim());

    let (master, old) = (house.pid("nginx"), workers(&house));
    configure(&house, "two");
    house.ok(&["reload", "nginx"]);
    log.until(&["reconfiguring"]);
    for _ in &old {
        log.until(&["worker process ", "exited with code 0"]);
    }
    assert_eq!(get(&house), "two");
    assert_eq!(house.pid("nginx"), master);
    let old = workers(&house);

    // A wrong configuration is not taken over, and said.
    house.file("nginx.conf", "nonsense;\n");
    let refused = house.run(&["reload", "nginx"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert_eq!(get(&house), "two");
    configure(&house, "three");

    house.kill("nginx");
    story.until("nginx", "restarting");
    // The workers outlive their master by themselves; the manager sees them off before it starts the next one.
    let left = house.processes();
    assert!(
        old.iter().all(|worker| !left.contains(&worker.as_raw())),
        "{old:?} {left:?}"
    );
    story.until("nginx", "running");
    up(&mut log);
    assert_eq!(get(&house), "three");
    assert_ne!(house.pid("nginx"), master);
    assert_eq!(house.listed("nginx").number("restarts"), 1);

    house.ok(&["restart", "nginx"]);
    log.until(&["(SIGQUIT) received"]);
    up(&mut log);
    assert_eq!(get(&house), "three");

    assert_eq!(
        house.ok(&["stop", "nginx"]),
        "nginx: stopped, nothing is left\n"
    );
    log.until(&["(SIGQUIT) received"]);
    log.until(&["exit"]);
    assert!(!house.path("nginx.pid").exists());
    house.end();
}

#[test]
fn a_wrong_configuration_is_a_failed_start() {
    let house = House::new();
    install(&house);
    house.file("nginx.conf", "events { }\nnonsense;\n");
    let failed = house.run(&["start", "nginx"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    // What nginx says of it is shown without being asked for.
    assert!(
        failed.err.contains("unknown directive \"nonsense\""),
        "{failed:#?}"
    );
    assert_eq!(house.run(&["is-active", "nginx"]).code, Some(3));
    // It goes on trying, so the mended file needs no further command.
    let mut story = house.story();
    story.until("nginx", "restarting");
    configure(&house, "mended");
    story.until("nginx", "running");
    let mut log = Lines::of_file(&house.path("error.log"));
    up(&mut log);
    assert_eq!(get(&house), "mended");
    house.end();
}
