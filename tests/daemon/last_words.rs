//! What `status`, `why` and a failed start show of the log: the words of the run that ended, and of no other.

use diakonos::sys::process::PidFd;
use diakonos::wire::ResultKind;

use crate::harness::Bench;
use crate::waits::until_logged;

/// Both outputs of a command.
fn said(bench: &Bench, words: &[&str]) -> String {
    let done = bench.run(words);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    text(&done.stdout) + &text(&done.stderr)
}

/// What `status` shows below its rows.
fn tail(bench: &Bench, name: &str) -> String {
    let said = said(bench, &["status", name]);
    said.split_once("\n\n").unwrap_or_default().1.to_owned()
}

/// A script that counts its runs in a file, so that each says something else.
fn counting(bench: &Bench, name: &str, then: &str) -> String {
    let count = bench.path(name);
    let count = count.display();
    format!("n=$(cat {count} 2>/dev/null || echo 0); n=$((n+1)); echo $n > {count}; {then}")
}

#[test]
fn a_failed_start_shows_its_own_words_only() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let script = counting(&bench, "count", "echo life $n; exit 3");
    let keys = "Type = \"notify\"\nExecStartPre = \"/bin/echo before\"\nExecStopPost = \"/bin/echo after\"";
    bench.service("web", "", &script, keys);
    for life in 1..4 {
        let text = said(&bench, &["start", "web"]);
        let words: Vec<&str> = text.lines().filter(|line| line.contains('│')).collect();
        let own = format!("       │ life {life}");
        let expected = ["       │ before", &own, "       │ after"];
        assert_eq!(words, expected, "{text}");
        let tail = tail(&bench, "web");
        assert!(
            tail.ends_with(&format!("  before\n  life {life}\n  after\n")),
            "{tail}"
        );
        let why = said(&bench, &["why", "web"]);
        assert!(why.contains(&format!("    life {life}\n")), "{why}");
        assert!(!why.contains(&format!("life {}", life - 1)), "{why}");
    }

    // ExecStartPre= that fails, and one that is silent about it.
    bench.service(
        "web",
        "",
        "echo never",
        "ExecStartPre = [\"/bin/sh\", \"-c\", \"echo no; exit 9\"]",
    );
    let text = said(&bench, &["start", "web"]);
    assert!(
        text.contains("│ no\n") && !text.contains("│ life"),
        "{text}"
    );
    bench.service("web", "", "echo never", "ExecStartPre = \"/bin/false\"");
    let text = said(&bench, &["start", "web"]);
    assert!(text.contains("its last run printed nothing"), "{text}");
    assert_eq!(tail(&bench, "web"), "its last run printed nothing\n");

    // Nobody ran who could have said anything.
    bench.file("web", "[service]\nExecStart = \"/missing/program\"\n");
    let text = said(&bench, &["start", "web"]);
    assert!(
        !text.contains("printed nothing") && !text.contains('│'),
        "{text}"
    );
    daemon.end();
}

#[test]
fn a_run_that_printed_nothing_is_not_given_others_words() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let script = counting(&bench, "count", "test $n = 1 && echo first; exit 3");
    bench.service("web", "", &script, "Type = \"notify\"");
    let text = said(&bench, &["start", "web"]);
    assert!(text.contains("│ first"), "{text}");
    let text = said(&bench, &["start", "web"]);
    assert!(text.contains("its last run printed nothing"), "{text}");
    assert!(!text.contains("│ first"), "{text}");
    assert_eq!(tail(&bench, "web"), "its last run printed nothing\n");

    assert!(bench.run(&["logs", "--flush", "web"]).status.success());
    let emptied = "nothing of its last run is in the log, which was emptied\n";
    assert_eq!(tail(&bench, "web"), emptied);

    let out = bench.path("out");
    let keys = format!(
        "Type = \"notify\"\nStandardOutput = 'append:{}'",
        out.display()
    );
    bench.service(
        "web",
        "",
        "echo elsewhere; exit 3",
        &format!("{keys}\nStandardError = 'null'"),
    );
    let text = said(&bench, &["start", "web"]);
    let expected = format!(
        "nothing of its last run is in the log: StandardOutput=append:{}, StandardError=null",
        out.display()
    );
    assert!(text.contains(&expected), "{text}");
    let status = said(&bench, &["status", "web"]);
    assert!(
        status.contains("output  StandardOutput=append:"),
        "{status}"
    );
    daemon.end();
}

/// The next run has begun when the client asks: its words are not those of the one that failed.
#[test]
fn a_service_that_came_back_at_once_is_told_apart() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    let script = counting(
        &bench,
        "count",
        "echo \"life $n\"; test $n = 1 && exit 3; yes \"of $n\" | head -n 30000; echo up > $EAR; exec sleep 1000",
    );
    bench.service("web", "", &script, "Restart = \"always\"\nRestartSec = 0");
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    let why = said(&bench, &["why", "web"]);
    assert!(
        why.contains("    life 1\n") && !why.contains("life 2"),
        "{why}"
    );
    let shown = tail(&bench, "web");
    assert!(shown.contains("of 2") && !shown.contains("life"), "{shown}");

    // The same after the daemon was killed.
    PidFd::open(daemon.pid()).unwrap().signal(9).unwrap();
    daemon.log.until("ready, PID");
    let why = said(&bench, &["why", "web"]);
    assert!(
        why.contains("    life 1\n") && !why.contains("life 2"),
        "{why}"
    );
    bench.stop("web").is(ResultKind::Stopped);
    let shown = tail(&bench, "web");
    assert!(shown.contains("of 2") && !shown.contains("life"), "{shown}");

    let script = "echo \"life $n\"; test $n = 1 && exit 3; echo up > $EAR; exec sleep 1000";
    let script = counting(&bench, "calm", script);
    let keys = "Restart = \"always\"\nRestartSec = 0";
    bench.service("calm", "", &script, keys);
    bench.start("calm").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "up");
    until_logged(&bench, "calm", "life 2\n");
    let shown = tail(&bench, "calm");
    let (before, after) = shown.split_once("exited with code 3").unwrap();
    assert!(
        before.contains("life 1") && after.contains("life 2"),
        "{shown}"
    );
    bench.stop("calm").is(ResultKind::Stopped);
    let shown = tail(&bench, "calm");
    assert!(
        shown.contains("life 2") && !shown.contains("life 1"),
        "{shown}"
    );
    daemon.end();
}

#[test]
fn long_and_odd_lines_and_a_rotation_within_the_run_do_no_harm() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let script = "yes filling | head -c 30000; printf 'a\\033[31mred\\a\\377\\r\\n'; \
                  head -c 20000 /dev/zero | tr '\\0' x; exit 3";
    bench.service(
        "web",
        "",
        script,
        "Type = \"notify\"\nLogMaxSize = 4096\nLogMaxFiles = 9",
    );
    let text = said(&bench, &["start", "web"]);
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{7}'),
        "{text:?}"
    );
    let words: Vec<&str> = text.lines().filter(|line| line.contains('│')).collect();
    assert_eq!(words.len(), 10, "{text}");
    assert!(
        words[9].contains("xxxx") && words[9].chars().count() < 500,
        "{text}"
    );
    assert!(
        words[8].contains("red") && words[7].ends_with("filling"),
        "{text}"
    );
    daemon.end();
}

#[test]
fn what_is_over_the_rate_limit_is_told() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let keys = "Type = \"notify\"\nLogRateLimitIntervalSec = 100\nLogRateLimitBurst = 3";
    bench.service("web", "", "seq 1000; exit 3", keys);
    let text = said(&bench, &["start", "web"]);
    let words: Vec<&str> = text.lines().filter(|line| line.contains('│')).collect();
    assert_eq!(words.len(), 4, "{text}");
    assert!(words[2].ends_with("│ 3"), "{text}");
    assert!(words[3].contains("997 lines"), "{text}");
    daemon.end();
}

/// `logs` knows from the file of a service why there is nothing, and from the log's marks.
#[test]
fn a_log_without_words_says_why() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service(
        "null",
        "",
        "echo gone",
        "StandardOutput = 'null'\nStandardError = 'null'\nType = 'oneshot'",
    );
    bench.start("null");
    let text = said(&bench, &["logs", "null"]);
    assert!(
        text.contains("its output goes elsewhere, StandardOutput=null"),
        "{text}"
    );

    bench.service("plain", "", "echo one", "Type = 'oneshot'");
    bench.start("plain");
    let text = said(&bench, &["logs", "--err", "plain"]);
    assert!(
        text.contains("StandardError = \"log:err\" does that"),
        "{text}"
    );

    assert!(bench.run(&["logs", "--flush", "plain"]).status.success());
    let done = bench.run(&["logs", "--run", "last", "plain"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{text}");
    assert_eq!(text, "plain: nothing in the log since it was emptied\n");
    daemon.end();
}

#[test]
fn a_log_that_was_removed_is_not_silence() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    bench.service("web", "", "echo one; exit 3", "Type = \"notify\"");
    said(&bench, &["start", "web"]);
    assert!(tail(&bench, "web").ends_with("  one\n"));
    std::fs::remove_dir_all(bench.home().join("logs")).unwrap();
    let expected = "nothing of its last run is in a log: there is none\n";
    assert_eq!(tail(&bench, "web"), expected);
    // Nobody ran who could have said anything.
    bench.file("none", "[service]\nExecStart = \"/missing/program\"\n");
    said(&bench, &["start", "none"]);
    assert_eq!(tail(&bench, "none"), "");
    let why = said(&bench, &["why", "none"]);
    assert!(!why.contains("diakonos logs none"), "{why}");
    daemon.end();
}
