//! Limits and scheduling: what the process has of them, and what becomes of those that cannot be had.

use std::fs;
use std::process::Command as Program;

use diakonos::sys::users;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Daemon};

/// What `/proc/PID/NAME` says of a service's main process.
fn of_main(bench: &Bench, name: &str, file: &str) -> String {
    let pid = bench.status(name).pid.unwrap();
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

/// The soft and the hard limit in a line of `/proc/PID/limits`.
fn limits(text: &str, title: &str) -> (String, String) {
    let line = text.lines().find(|line| line.starts_with(title)).unwrap();
    let mut words = line[title.len()..].split_whitespace();
    let mut next = || words.next().unwrap().to_owned();
    (next(), next())
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5).
fn stat_field(bench: &Bench, name: &str, number: usize) -> i64 {
    let text = of_main(bench, name, "stat");
    let (_, after) = text.rsplit_once(')').unwrap();
    let field = after.split_whitespace().nth(number - 3).unwrap();
    field.parse().unwrap()
}

/// A daemon that can do no more than anybody in these matters, and cannot pass beyond 512 descriptors.
fn plain_daemon(bench: &Bench) -> Daemon<'_> {
    let mut command = "ulimit -n 512; exec ".to_owned();
    if users::effective_uid() == 0 {
        command.push_str("setpriv --bounding-set=-sys_resource,-sys_nice ");
    }
    command.push_str("\"$0\" daemon");
    let program = env!("CARGO_BIN_EXE_diakonos");
    bench.daemon_by(Program::new("/bin/sh").args(["-c", &command, program]))
}

#[test]
fn limits_are_the_services() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let keys = "LimitCPU = \"2min:1h\"\nLimitFSIZE = \"1G\"\nLimitCORE = 0\nLimitNOFILE = \"100:200\"\n\
        LimitAS = \"8G\"\nLimitDATA = \"4G\"\nLimitSTACK = \"4M:8M\"\nLimitRSS = \"1G\"\n\
        LimitMEMLOCK = \"0:4K\"\nLimitNPROC = 10000\nLimitSIGPENDING = 64\nLimitMSGQUEUE = 4096\n\
        LimitNICE = 0\nLimitRTPRIO = 0\nLimitRTTIME = 500000\nLimitLOCKS = 5";
    bench.service("web", "", "exec sleep 1000", keys);
    bench.start("web").is(ResultKind::Started);
    let text = of_main(&bench, "web", "limits");
    for (title, soft, hard) in [
        ("Max cpu time", "120", "3600"),
        ("Max file size", "1073741824", "1073741824"),
        ("Max core file size", "0", "0"),
        ("Max open files", "100", "200"),
        ("Max address space", "8589934592", "8589934592"),
        ("Max data size", "4294967296", "4294967296"),
        ("Max stack size", "4194304", "8388608"),
        ("Max resident set", "1073741824", "1073741824"),
        ("Max locked memory", "0", "4096"),
        ("Max processes", "10000", "10000"),
        ("Max pending signals", "64", "64"),
        ("Max msgqueue size", "4096", "4096"),
        ("Max nice priority", "0", "0"),
        ("Max realtime priority", "0", "0"),
        ("Max realtime timeout", "500000", "500000"),
    ] {
        let expected = (soft.to_owned(), hard.to_owned());
        assert_eq!(limits(&text, title), expected, "{title}");
    }
    let expected = ["LimitLOCKS: Linux has no such limit since 2.4.25"];
    assert_eq!(bench.status("web").forgone, expected);
    bench.stop("web").is(ResultKind::Stopped);
}

#[test]
fn scheduling_is_the_services() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list:"));
    let own = own.unwrap().split_whitespace().nth(1).unwrap();
    let cpu = own.split(['-', ',']).next().unwrap();
    let keys = format!(
        "Nice = 7\nOOMScoreAdjust = 900\nCPUAffinity = {cpu}\nCPUSchedulingPolicy = \"batch\"\n\
         IOSchedulingClass = \"idle\""
    );
    bench.service("web", "", "exec sleep 1000", &keys);
    bench.start("web").is(ResultKind::Started);
    assert_eq!(stat_field(&bench, "web", 19), 7);
    assert_eq!(stat_field(&bench, "web", 41), 3, "SCHED_BATCH");
    assert_eq!(of_main(&bench, "web", "oom_score_adj").trim(), "900");
    let status = of_main(&bench, "web", "status");
    assert!(status.contains(&format!("\nCpus_allowed_list:\t{cpu}\n")));
    let pid = bench.status("web").pid.unwrap().to_string();
    let told = Program::new("ionice").args(["-p", &pid]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "idle");

    if users::effective_uid() != 0 {
        return;
    }
    let keys = "Nice = -7\nCPUSchedulingPolicy = \"rr\"\n\
        CPUSchedulingPriority = 3\nIOSchedulingClass = \"realtime\"\nIOSchedulingPriority = 2\n\
        User = \"nobody\"";
    bench.service("web", "", "exec sleep 1000", keys);
    bench.restart("web").is(ResultKind::Started);
    assert_eq!(stat_field(&bench, "web", 19), -7);
    assert_eq!(stat_field(&bench, "web", 40), 3);
    assert_eq!(stat_field(&bench, "web", 41), 2, "SCHED_RR");
    let pid = bench.status("web").pid.unwrap().to_string();
    let told = Program::new("ionice").args(["-p", &pid]).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.trim(), "realtime: prio 2");
}

#[test]
fn what_may_not_be_had_fails_by_its_name_or_is_gone_without() {
    let bench = Bench::new();
    let _daemon = plain_daemon(&bench);
    for (key, text) in [
        (
            "LimitNOFILE = 4096",
            "LimitNOFILE=4096: Operation not permitted (the hard limit here is 512",
        ),
        ("Nice = -5", "Nice=-5: Permission denied"),
        (
            "OOMScoreAdjust = -1000",
            "OOMScoreAdjust=-1000: Permission denied",
        ),
        (
            "CPUSchedulingPolicy = \"fifo\"",
            "CPUSchedulingPolicy=fifo: Operation not permitted",
        ),
        (
            "CPUAffinity = 8000",
            "CPUAffinity=8000: Invalid argument (none of these may be used; this machine has 0",
        ),
    ] {
        let name = key.split(' ').next().unwrap();
        bench.service("web", "", "exec sleep 1000", key);
        let done = bench.start("web");
        let result = done.is(ResultKind::Failed).result();
        assert!(result.text.contains(text), "{result:?}");
        assert!(
            result
                .hint
                .as_deref()
                .unwrap()
                .starts_with(&format!("{name}= in "))
        );

        let key = format!("{key}\nIgnoreUnsupported = [\"{name}\"]");
        bench.service("web", "", "exec sleep 1000", &key);
        bench.start("web").is(ResultKind::Started);
        let forgone = bench.status("web").forgone;
        assert!(
            forgone.len() == 1 && forgone[0].starts_with(text),
            "{forgone:?}"
        );
        if name == "LimitNOFILE" {
            let all = of_main(&bench, "web", "limits");
            assert_eq!(limits(&all, "Max open files"), ("512".into(), "512".into()));
        }
        bench.stop("web").is(ResultKind::Stopped);
    }
}

#[test]
fn too_many_processes_of_a_user_are_named() {
    if users::effective_uid() != 0 {
        // Where this user's other processes count as well, nobody knows how many there are.
        return;
    }
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let keys = "User = \"nobody\"\nWorkingDirectory = \"/\"";
    bench.service("other", "", "exec sleep 1000", keys);
    bench.start("other").is(ResultKind::Started);
    let keys = format!("{keys}\nLimitNPROC = 0");
    bench.service("web", "", "exec sleep 1000", &keys);
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(text.contains("as LimitNPROC= allows"), "{text}");
}
