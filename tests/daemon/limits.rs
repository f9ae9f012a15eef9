//! A daemon that may open few files.

use diakonos::engine::{Command, Wait};
use diakonos::wire::{Final, ResultKind};

use crate::harness::Bench;

#[test]
fn with_few_descriptors_some_fail_and_the_rest_is_untouched() {
    const SERVICES: usize = 40;
    let bench = Bench::new();
    let mut daemon = bench.daemon_after("ulimit -n 64");
    for number in 0..SERVICES {
        bench.service(&format!("s{number}"), "", "exec sleep 1000", "");
    }
    let names: Vec<String> = (0..SERVICES).map(|number| format!("s{number}")).collect();
    let wait = Wait::Finished;
    let done = bench.client().ask(Command::Start {
        names,
        found: Vec::new(),
        wait,
    });
    let started = done
        .results()
        .iter()
        .filter(|one| one.kind == ResultKind::Started)
        .count();
    let failed = done
        .results()
        .iter()
        .find(|one| one.kind == ResultKind::Failed);
    assert!(started > 0, "{done:?}");
    let failed = failed.expect("64 descriptors are not enough for all");
    assert!(failed.text.contains("Too many open files"), "{failed:?}");

    // The daemon still listens, looks and stops.
    match bench.client().ask(Command::List).last {
        Final::Units(units) => {
            let running = units.iter().filter(|unit| unit.state == "running").count();
            assert_eq!(running, started);
        }
        other => panic!("{other:?}"),
    }
    let stopped = bench.stop("*");
    assert_eq!(stopped.results().len(), SERVICES);
    assert_eq!(bench.processes(), []);
    bench.start("s0").is(ResultKind::Started);
    daemon.signal(15);
    assert!(daemon.ended().success());
}
