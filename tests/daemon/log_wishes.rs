//! Logs that are begun anew at somebody's wish, with a daemon and without one, and the bound on all of them together.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;

use diakonos::engine::{Command, LogWish};
use diakonos::sys::files;
use diakonos::sys::inotify::{Inotify, Watch};
use diakonos::sys::process::PidFd;
use diakonos::wire::{ErrorKind, ResultKind};

use crate::harness::{Bench, Deadline};
use crate::waits::{SIGCONT, stand_still};

fn run(bench: &Bench, words: &[&str]) -> String {
    let output = bench.run(words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn log_files(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.home().join("logs")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".log"))
        .collect();
    names.sort();
    names
}

#[test]
fn logs_are_rotated_and_emptied_while_they_are_written_and_when_nobody_is_there() {
    let bench = Bench::new();
    let said = "echo one; echo up > $EAR; exec sleep 1000";
    bench.service("web", "", said, "");
    bench.service("db", "", said, "");
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    run(&bench, &["start", "web", "db"]);
    ear.next();
    ear.next();
    let told = run(&bench, &["logs", "--rotate", "web"]);
    assert!(told.contains("web: rotated"), "{told}");
    assert_eq!(log_files(&bench), ["db.log", "web.log", "web.log.1"]);
    let told = run(&bench, &["logs", "--rotate", "web"]);
    assert!(told.contains("web: not rotated"), "{told}");
    assert!(run(&bench, &["logs", "web"]).contains("one"));
    let told = run(&bench, &["logs", "--flush"]);
    assert!(
        told.contains("web: emptied") && told.contains("db: emptied"),
        "{told}"
    );
    assert_eq!(log_files(&bench), ["db.log", "web.log"]);
    let shown = run(&bench, &["logs", "web"]);
    assert!(
        shown.contains("the log was emptied") && !shown.contains("one"),
        "{shown}"
    );
    for (words, code) in [
        (&["logs", "--flush", "wbe"][..], 4),
        (&["logs", "--flush", "--rotate"], 2),
        (&["logs", "--rotate", "-n", "3"], 2),
    ] {
        assert_eq!(bench.run(words).status.code(), Some(code), "{words:?}");
    }
    let said = bench.run(&["logs", "--flush", "--rotate"]).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("hint: --flush removes also what"), "{said}");
    // One that has no log.
    bench.service("silent", "", "exec sleep 1000", "");
    let output = bench.run(&["logs", "--rotate", "silent"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let folder = bench.home().join("logs").display().to_string();
    let told = format!("silent: it has no log in {folder}\nhint: a log begins");
    assert!(said.contains(&told), "{said}");
    run(&bench, &["restart", "web"]);
    ear.next();
    run(&bench, &["kill"]);
    daemon.ended();
    assert!(run(&bench, &["logs", "web"]).contains("one"));
    // The files are the client's own now, and it starts no daemon for them.
    let told = run(&bench, &["logs", "--rotate", "web"]);
    assert!(told.contains("web: rotated"), "{told}");
    run(&bench, &["logs", "--flush", "web"]);
    assert_eq!(log_files(&bench), ["db.log", "web.log"]);
    fs::write(bench.home().join("logs/db.log"), "half a line").unwrap();
    let told = run(&bench, &["logs", "--rotate", "db"]);
    assert!(
        told.contains("db: not rotated: its last line has no end"),
        "{told}"
    );
    assert!(!bench.home().join("control.sock").exists());
}

/// Both wishes are there when the daemon looks: whoever wants one log does not wait for a hundred of another.
#[test]
fn many_logs_that_are_begun_anew_keep_nobody_waiting() {
    const MANY: usize = 100;
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let logs = bench.home().join("logs");
    fs::create_dir_all(&logs).unwrap();
    let mut names: Vec<String> = (0..MANY).map(|number| format!("s{number}")).collect();
    for name in names.iter().map(String::as_str).chain(["other"]) {
        fs::write(logs.join(format!("{name}.log")), b"one\n").unwrap();
    }
    names.insert(MANY / 2, "absent".to_owned());
    let (mut many, mut one) = (bench.client(), bench.client());
    let process = stand_still(daemon.pid());
    let wish = LogWish::Clear;
    many.request(Command::Logs {
        names: names.clone(),
        wish,
    });
    one.request(Command::Logs {
        names: vec!["other".to_owned()],
        wish: LogWish::Rotate,
    });
    process.signal(SIGCONT).unwrap();
    one.done().is(ResultKind::LogTended);
    let done = many.done();
    let told: Vec<&str> = done.results().iter().map(|one| one.unit.as_str()).collect();
    assert_eq!(told, names);
    for result in done.results() {
        let kind = match result.unit.as_str() {
            "absent" => ResultKind::Failed,
            _ => ResultKind::LogTended,
        };
        assert_eq!(result.kind, kind, "{result:?}");
    }
    daemon.log.until("s99: its log: emptied");
    let said = daemon.log.all();
    let at = |text: &str| said.find(text).unwrap();
    assert!(at("other: its log: rotated") < at("s99: its log"), "{said}");
}

/// Whoever waits for many logs is told so by a daemon that ends before it has come to all of them.
#[test]
fn a_daemon_that_ends_says_which_wish_it_leaves() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let (mut many, mut one) = (bench.client(), bench.client());
    let process = stand_still(daemon.pid());
    many.request(Command::Logs {
        names: (0..1000).map(|number| format!("s{number}")).collect(),
        wish: LogWish::Rotate,
    });
    one.request(Command::Kill);
    process.signal(SIGCONT).unwrap();
    let done = many.done();
    let error = done.error();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let message = "the daemon ends before all logs are begun anew: ";
    assert!(error.message.starts_with(message), "{error:?}");
    daemon.ended();
}

/// Clients come before log bytes, and a wish is about all that was written before it all the same.
#[test]
fn what_was_written_before_the_wish_is_what_it_is_about() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let orders = bench.path("orders");
    files::make_fifo(&orders, 0o600, None).unwrap();
    let mut both = fs::OpenOptions::new();
    let mut orders_in = both.read(true).write(true).open(&orders).unwrap();
    let script = format!(
        "while read word; do echo $word; echo said > $EAR; done < {}",
        orders.display()
    );
    bench.service("web", "", &script, "");
    bench.start("web").is(ResultKind::Started);
    for (wish, word, left) in [
        (
            LogWish::Rotate,
            "one\n",
            &[("web.log", ""), ("web.log.1", "one\n")][..],
        ),
        (LogWish::Clear, "two\n", &[("web.log", "")]),
    ] {
        let process = stand_still(daemon.pid());
        orders_in.write_all(word.as_bytes()).unwrap();
        assert_eq!(ear.next().unwrap(), "said");
        let mut client = bench.knock();
        let names = vec!["web".to_owned()];
        client.request(Command::Logs { names, wish });
        process.signal(SIGCONT).unwrap();
        client.welcomed();
        client.done().is(ResultKind::LogTended);
        let logs = bench.home().join("logs");
        let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
        assert_eq!(log_files(&bench), names);
        for (name, text) in left {
            assert_eq!(
                fs::read_to_string(logs.join(name)).unwrap(),
                *text,
                "{name}"
            );
        }
    }
    bench.stop("web").is(ResultKind::Stopped);
    daemon.end();
}

#[test]
fn all_logs_together_are_bounded() {
    let bench = Bench::new();
    fs::create_dir_all(bench.home()).unwrap();
    let settings = bench.home().join("daemon.toml");
    fs::write(&settings, "[daemon]\nLogTotalMax = '40K'\n").unwrap();
    let says = |lines| {
        format!(
            "i=0; while [ $i -lt {lines} ]; do echo $i; i=$((i+1)); done; echo up > $EAR; exec sleep 1000"
        )
    };
    let log = "LogMaxSize = '4K'\nLogMaxFiles = 100";
    bench.service("quiet", "", &says(1500), log);
    bench.service("loud", "", &says(20_000), log);
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    run(&bench, &["start", "quiet"]);
    ear.next();
    run(&bench, &["start", "loud"]);
    ear.next();
    // What was written last may lie in the pipe still; with it the number is whole.
    run(&bench, &["stop", "loud"]);
    let total = || -> u64 {
        let entries = fs::read_dir(bench.home().join("logs")).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    };
    assert!(total() <= 40 * 1024 + 8 * 1024, "{}", total());
    let quiet = run(&bench, &["logs", "quiet", "-n", "all"]);
    assert!(
        quiet.contains("\n0\n") && quiet.contains("\n1499\n"),
        "{quiet}"
    );
    let loud = run(&bench, &["logs", "loud", "-n", "all"]);
    assert!(
        loud.contains("\n19999\n") && !loud.contains("\n0\n"),
        "{loud}"
    );
    daemon.log.until("loud: all logs together have LogTotalMax");

    fs::write(&settings, "[daemon]\nLogTotalMax = '10k'\n").unwrap();
    let refused = bench.run(&["daemon-reload"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("daemon.toml:2:15"), "{error}");
    fs::write(&settings, "[daemon]\nLogTotalMax = '12K'\n").unwrap();
    let said = run(&bench, &["daemon-reload"]);
    assert!(!said.contains("daemon.toml"), "{said}");
    run(&bench, &["status", "quiet"]);
    assert!(total() <= 16 * 1024, "{}", total());
    fs::write(&settings, "[daemon]\nLogMaxFiles = 3\n").unwrap();
    let said = run(&bench, &["daemon-reload"]);
    assert!(
        said.contains("daemon.toml: LogMaxSize and LogMaxFiles of daemon.log wait"),
        "{said}"
    );
    run(&bench, &["kill"]);
    daemon.ended();
}

/// Old files are packed while the service runs, a daemon that is killed meanwhile leaves nothing behind, and `logs`
/// shows all of it.
#[test]
fn old_files_are_packed_and_read_over_the_death_of_the_daemon() {
    let bench = Bench::new();
    let script =
        "i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done; echo up > $EAR; exec sleep 1000";
    let log = "LogMaxSize = '4K'\nLogMaxFiles = 100\nLogCompress = 'gzip'";
    bench.service("web", "", script, log);
    let mut daemon = bench.daemon();
    let mut ear = bench.ear();
    run(&bench, &["start", "web"]);
    ear.next();
    let killed = PidFd::open(bench.daemon_pid()).unwrap();
    killed.signal(9).unwrap();
    Deadline::new().wait(killed.as_fd(), &|| "the daemon's end".to_owned());
    daemon.log.until("ready, PID");
    run(&bench, &["logs", "--rotate", "web"]);

    let logs = bench.home().join("logs");
    let news = Inotify::new().unwrap();
    news.watch(&logs, Watch::Created).unwrap();
    let deadline = Deadline::new();
    let is_due = |file: &&String| {
        let number = file
            .strip_prefix("web.log.")
            .and_then(|it| it.parse::<u32>().ok());
        number.is_some_and(|number| number > 1)
    };
    // A packed file takes its name before the plain one goes.
    let left = |files: &[String]| {
        let is_left = |file: &&String| !files.contains(&format!("{file}.gz"));
        files.iter().filter(is_due).filter(is_left).count()
    };
    while left(&log_files(&bench)) > 0 {
        deadline.wait(news.as_fd(), &|| format!("packed: {:?}", log_files(&bench)));
        news.read(&mut [0; 4096]).unwrap();
    }
    assert!(log_files(&bench).contains(&"web.log.2.gz".to_owned()));
    assert!(!log_files(&bench).contains(&"web.log.1.gz".to_owned()));
    let told = run(&bench, &["logs", "-n", "all", "web"]);
    let numbers = told.lines().filter_map(|line| line.parse::<u32>().ok());
    assert_eq!(numbers.collect::<Vec<_>>(), (0..9000).collect::<Vec<_>>());
    run(&bench, &["kill"]);
    daemon.ended();
    assert!(!logs.join("web.log.pack").exists());

    // One that is damaged is left out, the others are shown still, and so is every other service.
    fs::write(logs.join("web.log.4.gz"), b"no gzip").unwrap();
    fs::write(logs.join("db.log"), b"of db\n").unwrap();
    let output = bench.run(&["logs", "-n", "all", "web", "db"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let is_shown = |line: &str| told.lines().any(|shown| shown.ends_with(line));
    assert!(is_shown(" 0") && is_shown(" 8999") && is_shown(" of db"));
    assert!(told.contains("web.log.4.gz: ") && told.contains("; it is left out —\n"));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.starts_with("error: the log of web cannot be read whole: "),
        "{complaint}"
    );
}
