//! Who gets which signal at the end, and that nothing is left: with cgroups where there are any, and without.

use std::os::fd::AsFd;
use std::process::Command as Program;

use diakonos::daemon::Home;
use diakonos::sys::cgroup::Tree;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::files;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::wire::{ProgressKind, ResultKind};

use crate::harness::{Bench, Daemon, Deadline, PATIENCE_MS, exists, start, stop};

/// A daemon that can make no cgroups, be it because nobody here can.
pub(crate) fn without_cgroups(bench: &Bench) -> Daemon<'_> {
    let hide = "umount -l /sys/fs/cgroup; exec \"$0\" daemon";
    let program = env!("CARGO_BIN_EXE_diakonos");
    let mut unshare = Program::new("unshare");
    match Tree::open(&Home::new(bench.home()).tree_name()) {
        Ok(tree) => {
            let _ = tree.remove();
            bench.daemon_by(unshare.args(["-m", "/bin/sh", "-c", hide, program]))
        }
        Err(_) => bench.daemon(),
    }
}

/// A bench with a FIFO that nobody writes to: a shell that waits there has no child that a signal could slip past.
fn bench_with_hold() -> Bench {
    let bench = Bench::new();
    files::make_fifo(&bench.path("ear.hold"), 0o600, None).unwrap();
    bench
}

/// The same with and without cgroups.
fn both_ways(play: fn(&Bench)) {
    let bench = bench_with_hold();
    let daemon = bench.daemon();
    play(&bench);
    daemon.end();
    let bench = bench_with_hold();
    let daemon = without_cgroups(&bench);
    play(&bench);
    daemon.end();
}

/// A main process and a child that say which signals they get, `M` and `C` before them, until a line comes.
const TELLERS: &str = "\
    for s in TERM HUP USR1 INT; do trap \"echo M$s > $EAR\" $s; done; \
    sh -c 'for s in TERM HUP USR1 INT; do trap \"echo C$s > $EAR\" $s; done; echo up > $EAR; \
           until read line < $EAR.hold; do :; done' & \
    until wait $!; do :; done";

/// The same two, who mind none of these signals.
const DEAF: &str = "\
    trap '' TERM HUP USR1 INT; \
    sh -c 'echo up > $EAR; while :; do read line < $EAR.hold; done' & \
    while :; do wait; done";

/// Limits of a stop, of which one is taken after the other until it was enough.
const LIMITS_S: [u64; 3] = [1, 5, 25];

/// Whether those who were killed have ended in the same time again that a stop may take, which they do only if the
/// machine has a turn for them. Those who have not do so yet.
fn was_enough(bench: &Bench, name: &str, limit_s: u64) -> bool {
    let is_left = bench.status(name).cause.contains("could not be ended");
    if is_left {
        assert!(limit_s < 25, "nobody needs so long");
        for process in bench.processes().into_iter().flat_map(PidFd::open) {
            Deadline::new().wait(process.as_fd(), &|| "the end of all".to_owned());
        }
    }
    !is_left
}

/// Whether it has, be it reaped or not.
fn has_ended(process: &PidFd) -> bool {
    wait_readable(&[process.as_fd()], Some(0)).unwrap()[0]
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Wherever its processes have gone, what is shown of a service are all of them.
#[test]
fn who_has_left_its_session_is_still_shown() {
    both_ways(|bench| {
        let script = "\
            (setsid env -i EAR=$EAR sh -c 'echo away > $EAR; exec sleep 7781' &); \
            (setsid sh -c 'echo far > $EAR; exec sleep 7791' &); exec sleep 7801";
        bench.service("web", "", script, "");
        bench.service("other", "", "exec sleep 1000", "");
        let mut ear = bench.ear();
        bench.start("other").is(ResultKind::Started);
        bench.start("web").is(ResultKind::Started);
        assert_eq!(sorted(ear.take(2)), ["away", "far"]);
        let deadline = monotonic_ms() + PATIENCE_MS;
        loop {
            let page = String::from_utf8(bench.run(&["status", "web"]).stdout).unwrap();
            // The shells say so before they are what they become.
            let all = ["sleep 7781", "sleep 7791", "sleep 7801"];
            if all.iter().all(|command| page.contains(command)) {
                assert!(!page.contains("sleep 1000"), "{page}");
                let mut words = page.lines().map(|line| line.split_whitespace());
                let tasks = words.find_map(|mut line| {
                    line.find(|word| word.starts_with("tasks"))?;
                    line.next()
                });
                assert_eq!(tasks, Some("3"), "{page}");
                break;
            }
            assert!(monotonic_ms() < deadline, "{page}");
        }
        bench.stop("web").is(ResultKind::Stopped);
    });
}

#[test]
fn a_sighup_follows_and_the_last_signal_is_the_units_own() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        // The last signal is one that nobody here catches or, as what runs in the background does SIGQUIT, ignores.
        let service = "SendSIGHUP = true\nFinalKillSignal = \"SIGUSR2\"\n\
                       ExecStopPost = [\"/bin/sh\", \"-c\", \"echo $SERVICE_RESULT $EXIT_STATUS > $EAR\"]\n\
                       TimeoutStopSec = ";
        // Whoever tells of signals needs as long as it takes; who does not wants a limit.
        bench.service("web", "", TELLERS, &format!("{service}'infinity'"));
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "up");
        let mut client = bench.client();
        client.request(stop("web"));
        let said = sorted(ear.take(4));
        assert_eq!(said, ["CHUP", "CTERM", "MHUP", "MTERM"]);
        std::fs::write(bench.path("ear.hold"), "\n").unwrap();
        let done = client.done();
        done.is(ResultKind::Stopped);
        assert_eq!(done.progress[0].kind, ProgressKind::Stopping);
        assert_eq!(ear.next().unwrap(), "success 0");

        for limit_s in LIMITS_S {
            bench.service("web", "", DEAF, &format!("{service}{limit_s}"));
            bench.start("web").is(ResultKind::Started);
            assert_eq!(ear.next().unwrap(), "up");
            let done = bench.stop("web");
            let kinds: Vec<ProgressKind> = done.progress.iter().map(|step| step.kind).collect();
            assert_eq!(kinds[..2], [ProgressKind::Stopping, ProgressKind::Killing]);
            let end = ear.next().unwrap();
            if was_enough(bench, "web", limit_s) {
                assert_eq!(end, "timeout USR2");
                break;
            }
        }
    });
}

#[test]
fn a_restart_has_its_own_signal() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let script = "trap 'echo USR1 > $EAR; exit' USR1; trap 'echo TERM > $EAR; exit' TERM; \
                      echo up > $EAR; while :; do read line < $EAR.hold; done";
        bench.service("web", "", script, "RestartKillSignal = \"SIGUSR1\"");
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "up");
        bench.restart("web").is(ResultKind::Started);
        assert_eq!(ear.take(2), ["USR1", "up"]);
        bench.stop("web").is(ResultKind::Stopped);
        assert_eq!(ear.next().unwrap(), "TERM");
    });
}

#[test]
fn mixed_tells_the_main_process_and_kills_the_rest() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let script = "trap 'echo main > $EAR; exit' TERM; \
                      sh -c 'trap \"echo child > $EAR\" TERM; echo up > $EAR; \
                             while :; do read line < $EAR.hold; done' & \
                      while :; do wait; done";
        let service = "KillMode = \"mixed\"\nTimeoutStopSec = \"infinity\"\n\
                       ExecStopPost = [\"/bin/sh\", \"-c\", \"echo over > $EAR\"]";
        bench.service("web", "", script, service);
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "up");
        bench.stop("web").is(ResultKind::Stopped);
        assert_eq!(ear.take(2), ["main", "over"]);
    });
}

/// `process` and `none` leave alone whom they leave alone, and the daemon can end beside them.
#[test]
fn whom_kill_mode_spares_lives_on() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let script = "sleep 1000 & echo $! > $EAR; exec sleep 1000";
        for mode in ["process", "none"] {
            bench.service(mode, "", script, &format!("KillMode = \"{mode}\""));
            bench.start(mode).is(ResultKind::Started);
            let child: u32 = ear.next().unwrap().parse().unwrap();
            let main = bench.status(mode).pid.and_then(Pid::from_raw).unwrap();
            let process = PidFd::open(main).unwrap();
            bench.stop(mode).is(ResultKind::Stopped);
            assert!(exists(child), "{mode}");
            // Held by a descriptor, since the number of one that has ended is soon somebody else's.
            assert_eq!(!has_ended(&process), mode == "none");
            for process in [PidFd::open(Pid::from_raw(child).unwrap()).unwrap(), process] {
                let _ = process.signal(9);
                Deadline::new().wait(process.as_fd(), &|| "the end of both".to_owned());
            }
        }
    });
}

#[test]
fn exec_stop_knows_the_main_process_and_is_not_cut_short() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let service = "ExecStop = [\"/bin/sh\", \"-c\", '''\
                       kill -s USR1 $MAINPID; echo told > $EAR; read line < $EAR.go; echo $line > $EAR''']\n\
                       ExecStopPost = [\"/bin/sh\", \"-c\", '''\
                       echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS ${MAINPID-none} > $EAR''']";
        let go = bench.path("ear.go");
        files::make_fifo(&go, 0o600, None).unwrap();
        bench.service(
            "web",
            "",
            "trap 'exit 0' USR1; echo up > $EAR; while :; do read line < $EAR.hold; done",
            service,
        );
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "up");
        let pid = bench.status("web").pid.and_then(Pid::from_raw).unwrap();
        let main = PidFd::open(pid).unwrap();
        let mut client = bench.client();
        client.request(stop("web"));
        assert_eq!(ear.next().unwrap(), "told");
        Deadline::new().wait(main.as_fd(), &|| "the main process's end".to_owned());
        assert_eq!(bench.status("web").phase, "stop");
        std::fs::write(&go, "on\n").unwrap();
        client.done().is(ResultKind::Stopped);
        assert_eq!(ear.take(2), ["on", "success exited 0 none"]);
    });
}

/// The main process has ended long before `ExecStartPost=` has.
#[test]
fn exec_start_post_is_not_cut_short() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let mut ear = bench.ear();
    let go = bench.path("ear.go");
    files::make_fifo(&go, 0o600, None).unwrap();
    let service = "ExecStartPost = [\"/bin/sh\", \"-c\", '''\
                   echo post > $EAR; read line < $EAR.go; echo $line > $EAR''']\n\
                   ExecStopPost = [\"/bin/sh\", \"-c\", '''\
                   echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS > $EAR''']";
    bench.service("web", "", "read line < $EAR.go; exit 7", service);
    let mut client = bench.client();
    client.request(start("web"));
    assert_eq!(ear.next().unwrap(), "post");
    let pid = bench.status("web").pid.unwrap();
    // One line for each: whoever reads first gets both, unless it is opened anew for the other.
    let process = Pid::from_raw(pid).unwrap();
    let main = PidFd::open(process).unwrap();
    main.signal(9).unwrap();
    Deadline::new().wait(main.as_fd(), &|| "the main process's end".to_owned());
    assert_eq!(bench.status("web").phase, "start-post");
    std::fs::write(&go, "on\n").unwrap();
    client.done().is(ResultKind::Failed);
    assert_eq!(ear.take(2), ["on", "signal killed KILL"]);
    daemon.end();
}

/// Forks off, forks off again, leaves the session and the environment behind, and does not want to end.
#[test]
fn a_grandchild_that_has_left_everything_behind_is_stopped() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let script = "(setsid sh -c 'setsid env -i EAR=$EAR sh -c \"trap : TERM HUP; echo \\$\\$ > $EAR; \
                      while :; do sleep 1000; done\" &' &); exec sleep 1000";
        let process = LIMITS_S.into_iter().find_map(|limit_s| {
            let limit = format!("TimeoutStopSec = {limit_s}");
            bench.service("web", "", script, &limit);
            bench.start("web").is(ResultKind::Started);
            let pid: u32 = ear.next().unwrap().parse().unwrap();
            let process = PidFd::open(Pid::from_raw(pid).unwrap()).unwrap();
            let done = bench.stop("web");
            let was_enough = was_enough(bench, "web", limit_s);
            was_enough.then(|| {
                done.is(ResultKind::Stopped);
                process
            })
        });
        let process = process.unwrap();
        // Whether its new parent has reaped it already is not the service's affair.
        assert!(has_ended(&process));
        assert_eq!(bench.processes(), []);
    });
}

/// Makes processes as fast as it can, until there are many, and each one that ends is replaced.
#[test]
fn a_fork_bomb_is_stopped() {
    both_ways(|bench| {
        let mut ear = bench.ear();
        let script = "trap '' TERM; b() { [ $1 -gt 6 ] && exec sleep 1000; b $(($1 + 1)) & b $(($1 + 1)) & \
                      while :; do sh -c : & wait $!; done; }; echo up > $EAR; b 0";
        for limit_s in LIMITS_S {
            // As long is given to it before it is killed, and after that: there are many to be killed.
            let limit = format!("TimeoutStopSec = {limit_s}");
            bench.service("bomb", "", script, &limit);
            bench.start("bomb").is(ResultKind::Started);
            assert_eq!(ear.next().unwrap(), "up");
            let done = bench.stop("bomb");
            if was_enough(bench, "bomb", limit_s) {
                done.is(ResultKind::Stopped);
                break;
            }
        }
        assert_eq!(bench.processes(), []);
    });
}
