//! Descriptors: few of them, and none that is forgotten.

use diakonos::engine::{Command, Wait};
use diakonos::unit::Signal;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Client, exists};
use crate::tools::{Orders, entries};

#[test]
fn a_hundred_services_with_64_descriptors_stay_in_hand() {
    const SERVICES: usize = 100;
    let bench = Bench::new();
    let daemon = bench.daemon_after("ulimit -n 64");
    let mut ear = bench.ear();
    let mut orders = Orders::new(&bench, "orders");
    let script = format!(
        "trap 'echo usr > $EAR' USR1; echo first > $EAR; read x < {}; exit 1",
        orders.path.display()
    );
    let crash = "Restart = \"always\"\nRestartSec = 0.01";
    bench.service("crash", "", &script, crash);
    bench.start("crash").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "first");
    let names: Vec<String> = (0..SERVICES).map(|count| format!("s{count}")).collect();
    for name in &names {
        let script = "trap 'echo usr > $EAR' USR1; echo listens > $EAR; echo up; \
                      while :; do sleep 1000 & wait $!; kill $!; done";
        bench.service(name, "", script, "");
    }
    let (mut up, mut failed) = (Vec::new(), Vec::new());
    let wait = Wait::Finished;
    let start = Command::Start {
        found: Vec::new(),
        names: names.clone(),
        wait,
    };
    for result in bench.client().ask(start).results() {
        match result.kind {
            ResultKind::Started => up.push(result.unit.clone()),
            ResultKind::Failed => {
                assert!(result.text.contains("Too many open files"), "{result:?}");
                failed.push(result.unit.clone());
            }
            _ => panic!("{result:?}"),
        }
    }
    assert!(
        !up.is_empty() && up.len() + failed.len() == SERVICES,
        "{up:?}"
    );

    // Who is started has begun with its program, which does not yet hear signals.
    let listening = ear.take(up.len());
    assert!(
        listening.iter().all(|line| line == "listens"),
        "{listening:?}"
    );

    // What the births held for a moment is free again: some more start, one by one, then the same is said again.
    let mut tries = failed.iter();
    let refused = loop {
        let name = tries.next().expect("64 descriptors are not enough for all");
        let done = bench.start(name);
        if done.result().kind == ResultKind::Failed {
            let text = done.result().text.clone();
            assert!(text.contains("Too many open files"), "{text}");
            break name;
        }
        assert_eq!(ear.next().unwrap(), "listens");
        up.push(name.clone());
    };
    assert_eq!(bench.status(refused).state, "failed");
    // One that runs already can crash and come back.
    orders.give("crash");
    assert_eq!(ear.next().unwrap(), "first");
    // Each that runs can be looked at, signalled, restarted and stopped.
    for name in &up {
        let pid = bench.status(name).pid.expect("it runs");
        assert!(exists(pid));
        let names = vec![name.clone()];
        let signal = Signal::parse("USR1").unwrap();
        bench
            .client()
            .ask(Command::Signal { names, signal })
            .is(ResultKind::Signaled);
        assert_eq!(ear.next().unwrap(), "usr");
        bench.restart(name).is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "listens");
        assert_ne!(bench.status(name).pid, Some(pid));
        bench.stop(name).is(ResultKind::Stopped);
        assert_eq!(bench.status(name).state, "stopped");
    }
    // There is room again, for those that found none.
    bench.start(refused).is(ResultKind::Started);
    bench.stop("*");
    daemon.end();
}

#[test]
fn two_hundred_lives_leave_no_descriptor_behind() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let pid = daemon.pid();
    bench.service("web", "", "echo hello; exec sleep 1000", "");
    bench.service("fails", "", "exit 3", "Restart = \"no\"");
    bench.file("missing", "[service]\nExecStart = \"/nope/program\"\n");
    let mut client = bench.client();
    let words = [
        crate::harness::start("web"),
        restart("web"),
        crate::harness::stop("web"),
    ];
    let mut life = |client: &mut Client| {
        for command in &words {
            client.ask(command.clone());
        }
        // Its log is a pipe here, which has to be read.
        daemon.until("web", "stopped");
    };
    // What came before this answer is done with.
    let open = |client: &mut Client| {
        client.ask(Command::List);
        entries(pid, "fd")
    };
    life(&mut client);
    bench.start("missing").is(ResultKind::Failed);
    let descriptors = open(&mut client);
    (0..200).for_each(|_| life(&mut client));
    for _ in 0..50 {
        bench.start("missing").is(ResultKind::Failed);
        bench.start("fails");
        daemon.until("fails", "failed");
    }
    bench.stop("fails");
    let now = open(&mut client);
    assert!(
        now <= descriptors,
        "{descriptors} descriptors before, {now} after"
    );
    drop(client);
    daemon.end();
}

fn restart(name: &str) -> Command {
    let names = vec![name.to_owned()];
    let (wait, scope) = (Wait::Finished, diakonos::engine::Scope::All);
    Command::Restart { names, wait, scope }
}
