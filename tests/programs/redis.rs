//! Redis in the foreground, and in the background with a PID file.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::follow::Lines;
use crate::house::{House, program};

/// A client's connection is answered within this, or the test fails.
const ANSWER: Duration = Duration::from_secs(60);

/// Says one line to the server and returns the lines of its answer.
fn ask(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream
        .write_all(format!("{line}\r\nQUIT\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let own = answer.strip_suffix("\r\n+OK\r\n").unwrap_or(&answer);
    own.replace("\r\n", " ")
}

fn redis() -> (String, String) {
    let server = program("redis-server", "redis-server");
    let client = program("redis-cli", "redis-tools");
    (server.display().to_string(), client.display().to_string())
}

#[test]
fn in_the_foreground() {
    let house = House::new();
    let (server, client) = redis();
    let unit = format!(
        r#"
[unit]
Description = "Redis"
[service]
ExecStart = "{server} --port 0 --unixsocket ROOT/redis.sock --dir ROOT --save ''"
ExecReload = "{client} -s ROOT/redis.sock config set maxmemory 64mb"
Restart = "on-failure"
"#
    );
    house.unit("redis", &unit);
    let socket = house.path("redis.sock");
    house.ok(&["start", "redis"]);
    let mut logs = house.logs("redis");
    let mut story = house.story();
    story.until("redis", "running");
    logs.until(&["ready to accept connections at"]);
    assert_eq!(ask(&socket, "PING"), "+PONG");
    assert!(house.ok(&["status", "redis"]).contains("redis-server"));

    assert_eq!(ask(&socket, "SET colour blue"), "+OK");
    house.ok(&["reload", "redis"]);
    logs.until(&["OK"]);
    let answer = ask(&socket, "CONFIG GET maxmemory");
    assert_eq!(answer, "*2 $9 maxmemory $8 67108864");
    assert_eq!(
        ask(&socket, "GET colour"),
        "$4 blue",
        "a reload is no restart"
    );

    let first = house.kill("redis");
    story.until("redis", "restarting");
    story.until("redis", "running");
    logs.until(&["run 1 was ended by SIGKILL"]);
    logs.until(&["began, PID "]);
    logs.until(&["ready to accept connections at"]);
    assert_eq!(ask(&socket, "PING"), "+PONG");
    let second = house.pid("redis");
    assert_ne!(first, second);
    assert_eq!(house.listed("redis").number("restarts"), 1);

    house.ok(&["restart", "redis"]);
    logs.until(&["User requested shutdown"]);
    logs.until(&["ready to accept connections at"]);
    assert_ne!(house.pid("redis"), second);
    assert_eq!(house.listed("redis").number("restarts"), 0);

    let stopped = house.ok(&["stop", "redis"]);
    assert_eq!(stopped, "redis: stopped, nothing is left\n");
    logs.until(&["exited with code 0"]);
    assert!(!socket.exists());
    drop(logs);
    house.end();
}

#[test]
fn in_the_background() {
    let house = House::new();
    let (server, _) = redis();
    house.file(
        "redis.conf",
        "port 0\nunixsocket ROOT/redis.sock\ndir ROOT\nsave \"\"\ndaemonize yes\n\
         pidfile ROOT/redis.pid\nlogfile ROOT/redis.log\n",
    );
    let unit = format!(
        r#"
[service]
Type = "forking"
PIDFile = "ROOT/redis.pid"
ExecStart = "{server} ROOT/redis.conf"
Restart = "on-failure"
"#
    );
    house.unit("redis", &unit);
    let socket = house.path("redis.sock");
    let named = || -> u32 {
        let text = std::fs::read_to_string(house.path("redis.pid")).unwrap();
        text.trim().parse().unwrap()
    };
    house.ok(&["start", "redis"]);
    let mut story = house.story();
    story.until("redis", "running");
    let mut log = Lines::of_file(&house.path("redis.log"));
    log.until(&["ready to accept connections at"]);
    assert_eq!(ask(&socket, "PING"), "+PONG");
    assert_eq!(house.pid("redis"), named());

    // The PID file of the dead stays, and must not be believed.
    let first = house.kill("redis");
    story.until("redis", "restarting");
    story.until("redis", "running");
    log.until(&["ready to accept connections at"]);
    assert_eq!(ask(&socket, "PING"), "+PONG");
    let second = house.pid("redis");
    assert_eq!(second, named());
    assert_ne!(first, second);
    assert_eq!(house.listed("redis").number("restarts"), 1);

    house.ok(&["restart", "redis"]);
    log.until(&["User requested shutdown"]);
    log.until(&["ready to accept connections at"]);
    assert_eq!(house.pid("redis"), named());
    assert_ne!(house.pid("redis"), second);

    house.ok(&["stop", "redis"]);
    log.until(&["User requested shutdown"]);
    assert!(!socket.exists());
    assert!(!house.path("redis.pid").exists());
    house.end();
}

#[test]
fn a_pid_file_elsewhere_is_the_reason_told() {
    let house = House::new();
    let (server, _) = redis();
    // Its title overwrites its environment, and it leaves its session: without cgroups it is known by its limit alone.
    house.file(
        "redis.conf",
        "port 0\nunixsocket ROOT/redis.sock\ndir ROOT\nsave \"\"\ndaemonize yes\n\
         pidfile ROOT/elsewhere.pid\nlogfile ROOT/redis.log\n",
    );
    let log = house.path("redis.log");
    // Who is still on the way into the background when the time is over is killed there.
    for limit_s in [3, 15, 75] {
        let unit = format!(
            r#"
[service]
Type = "forking"
PIDFile = "ROOT/redis.pid"
ExecStart = "{server} ROOT/redis.conf"
TimeoutStartSec = {limit_s}
"#
        );
        house.unit("redis", &unit);
        let failed = house.run(&["start", "redis"]);
        assert_eq!(failed.code, Some(1), "{failed:#?}");
        assert!(
            failed
                .err
                .contains("PID file named no process of it within"),
            "{failed:#?}"
        );
        assert_eq!(house.listed("redis").text("state"), "failed");
        // The daemon that was looked for is not left behind.
        house.ok(&["stop", "redis"]);
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains("User requested shutdown") {
            assert!(!house.path("redis.sock").exists());
            return house.end();
        }
    }
    panic!("it was not asked to end, but only killed");
}

#[test]
fn as_it_says_itself() {
    let house = House::new();
    let (server, _) = redis();
    let unit = format!(
        r#"
[service]
Type = "notify"
ExecStart = "{server} --port 0 --unixsocket ROOT/redis.sock --dir ROOT --save '' --supervised systemd"
Restart = "on-failure"
"#
    );
    house.unit("redis", &unit);
    let socket = house.path("redis.sock");
    house.ok(&["start", "redis"]);
    // It is ready when it says so: nothing is to be waited for after that.
    assert_eq!(ask(&socket, "PING"), "+PONG");
    let status = house.ok(&["status", "redis"]);
    assert!(
        status.contains("says  Ready to accept connections"),
        "{status}"
    );
    let mut story = house.story();
    story.until("redis", "running");
    house.kill("redis");
    story.until("redis", "restarting");
    story.until("redis", "running");
    assert_eq!(ask(&socket, "PING"), "+PONG");
    let stopped = house.ok(&["stop", "redis"]);
    assert_eq!(stopped, "redis: stopped, nothing is left\n");
    house.end();
}
