//! The examples of `services/`, run as they lie there, but for what two runs at once would share.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diakonos::sys::users;
use diakonos::unit::Span;

use crate::house::{Answer, House, program};

/// A client's connection is answered within this, or the test fails.
const ANSWER: Duration = Duration::from_secs(60);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("services")
}

/// Copies an example, with some words replaced; each has to be there.
fn copy(house: &House, name: &str, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(folder().join(format!("{name}.service"))).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from} any more");
        text = text.replace(from, to);
    }
    house.unit(name, &text);
}

/// A house with all examples. The web server takes whichever port is free.
fn furnished() -> House {
    program("python3", "python3");
    let house = House::new();
    for name in ["counter@", "database", "prepare", "shop", "worker"] {
        copy(&house, name, &[]);
    }
    copy(&house, "example-web", &[(" 8080 ", " 0 ")]);
    copy(&house, "crash", &[("sleep 2; ", "")]);
    copy(
        &house,
        "forking",
        &[("diakonos-example-forking", &own_pid_file())],
    );
    house
}

/// The forking example's PID file for this test alone, without its ending.
fn own_pid_file() -> String {
    format!("diakonos-example-forking-{}", std::process::id())
}

/// Gets `/` of the web server, at the port that it names in its log.
fn browse(house: &House) {
    let line = house
        .logs("example-web")
        .until(&["Serving HTTP on 127.0.0.1 port "]);
    let port = line
        .split(" port ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.set_read_timeout(Some(ANSWER)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
}

#[test]
fn every_file_passes_check() {
    let house = House::new();
    let entries = fs::read_dir(folder()).unwrap().flatten();
    let files: Vec<String> = entries
        .map(|entry| entry.path().display().to_string())
        .collect();
    let mut words = vec!["check"];
    words.extend(files.iter().map(String::as_str));
    let checked = house.run(&words);
    let count = files.len();
    let verdict = format!("{count} unit files: 0 errors, 0 warnings\n");
    assert!(checked.ok().ends_with(&verdict), "{checked:#?}");
    // Nothing of this needs a daemon.
    assert!(!house.path("home/control.sock").exists());
}

#[test]
fn the_web_server() {
    let house = furnished();
    assert_eq!(
        house.ok(&["start", "example-web"]),
        "example-web: started\n"
    );
    browse(&house);
    let table = house.ok(&["list"]);
    let row = table
        .lines()
        .find(|line| line.starts_with("example-web"))
        .unwrap();
    assert!(
        row.contains("running") && row.contains("Example web server"),
        "{table}"
    );
    let pid = house.pid("example-web");
    assert!(
        house
            .ok(&["status", "example-web"])
            .contains(&pid.to_string())
    );
    house.ok(&["restart", "example-web"]);
    assert_ne!(house.pid("example-web"), pid);
    let stopped = house.ok(&["stop", "example-web"]);
    assert_eq!(stopped, "example-web: stopped, nothing is left\n");
    assert_eq!(house.run(&["status", "example-web"]).code, Some(3));
    assert!(house.ok(&["daemon-status"]).contains("the daemon runs"));
    house.end();
}

#[test]
fn the_chain_comes_up_and_goes_down_in_order() {
    let house = furnished();
    house.ok(&["start", "worker"]);
    let mut story = house.story();
    story.until("prepare", "exited");
    story.until("database", "starting");
    story.until("database", "running");
    story.until("worker", "starting");
    story.until("worker", "running");
    house.logs("database").until(&["ready for connections"]);
    house.logs("worker").until(&["worker 1: job 1 done"]);
    let prepared = house.ok(&["logs", "prepare"]);
    let lines: Vec<&str> = prepared
        .lines()
        .filter(|line| !line.starts_with('—'))
        .collect();
    assert_eq!(lines, ["preparing", "done"]);

    let Answer { code, out, err } = house.run(&["stop", "database"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        format!("{out}{err}").contains("worker"),
        "what goes along is named: {out}{err}"
    );
    story.until("worker", "stopped");
    story.until("database", "stopped");
    house.logs("database").until(&["closing the files"]);
    assert_eq!(house.listed("prepare").text("state"), "exited");
    house.end();
}

#[test]
fn a_failed_requirement_is_the_reason_told() {
    let house = furnished();
    copy(&house, "prepare", &[("echo done", "echo no luck; exit 4")]);
    let failed = house.run(&["start", "worker"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(
        failed.err.contains("it requires prepare: exit code 4"),
        "{failed:#?}"
    );
    let shown = "the last log lines of prepare:\n       │ preparing\n       │ no luck\n";
    assert!(failed.err.contains(shown), "{failed:#?}");
    for name in ["database", "worker"] {
        assert_ne!(house.listed(name).text("state"), "running");
    }
    house.end();
}

#[test]
fn the_forking_one() {
    let house = furnished();
    house.ok(&["start", "forking"]);
    let mut story = house.story();
    story.until("forking", "running");
    let first = house.pid("forking");
    let status = house.ok(&["status", "forking"]);
    assert!(status.contains("sleep 1000000"), "{status}");
    // %t: root's is the machine's, an ordinary user's comes from his session.
    let runtime = match users::effective_uid() {
        0 => PathBuf::from("/run"),
        _ => house.path(""),
    };
    let file = runtime.join(format!("{}.pid", own_pid_file()));
    assert!(file.exists());
    house.kill("forking");
    story.until("forking", "restarting");
    story.until("forking", "running");
    assert_ne!(house.pid("forking"), first);
    house.ok(&["stop", "forking"]);
    assert!(!file.exists(), "a PID file outlives its service");
    house.end();
}

/// The delay that the daemon states for this automatic restart, in milliseconds.
fn stated_delay_ms(line: &str, attempt: u32) -> u64 {
    let statement = format!("exit code 3; automatic restart {attempt} in ");
    let stated = line.split(&statement).nth(1);
    let span = stated.and_then(|text| Span::parse(text).ok());
    span.and_then(Span::as_millis)
        .unwrap_or_else(|| panic!("no `{statement}…`: {line}"))
}

#[test]
fn a_crash_loop_slows_down() {
    let house = furnished();
    house.run(&["start", "crash"]);
    let mut story = house.story();
    // 100 ms, doubled each time, and a tenth less or more.
    for attempt in 1..=5 {
        let died = story.until("crash", "restarting");
        let exact = 100_u64 << (attempt - 1);
        let stated = stated_delay_ms(&died, attempt);
        assert!(stated.abs_diff(exact) <= exact / 10, "{died}");
        let again = story.until("crash", "starting");
        let named = format!("automatic restart {attempt}");
        assert!(again.ends_with(&named), "{again}");
    }
    // It is never abandoned, and a stop ends it whatever it waits for.
    assert!(house.listed("crash").number("restarts") >= 5);
    house.ok(&["stop", "crash"]);
    assert_eq!(house.listed("crash").text("state"), "stopped");
    house.end();
}

#[test]
fn instances_of_the_template() {
    let house = furnished();
    house.ok(&["start", "counter@1", "counter@7"]);
    house.logs("counter@7").until(&["7"]);
    house.logs("counter@1").until(&["1"]);
    assert_eq!(house.listed("counter@7").text("description"), "Counter 7");
    assert_eq!(house.run(&["start", "counter@"]).code, Some(2));
    house.ok(&["stop", "counter@*"]);
    for name in ["counter@1", "counter@7"] {
        assert_eq!(house.run(&["is-active", name]).code, Some(3));
    }
    house.end();
}

#[test]
fn the_shop() {
    let house = furnished();
    house.ok(&["start", "shop"]);
    for name in ["shop", "example-web", "worker", "database"] {
        assert_eq!(house.listed(name).text("state"), "running", "{name}");
    }
    assert_eq!(house.listed("prepare").text("state"), "exited");
    browse(&house);
    house.ok(&["stop", "--all"]);
    for name in ["shop", "example-web", "worker", "database", "prepare"] {
        assert_eq!(house.listed(name).text("state"), "stopped", "{name}");
    }
    house.end();
}
