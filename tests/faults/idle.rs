//! What running services cost while nothing happens.

use diakonos::engine::{Command, Wait};
use diakonos::wire::ResultKind;

use crate::harness::Bench;
use crate::tools::{await_quiet, entries, number, switches, window};

const SERVICES: usize = 100;
const WINDOW_MS: u64 = 20_000;
/// Generous, and for a build without optimization: the exact figures are the benchmark's.
const SERVICE_KIB: u64 = 10;
/// The process, its cgroup, its output, and the two files of its log.
const SERVICE_DESCRIPTORS: usize = 5;

#[test]
fn a_hundred_services_cost_no_wakeup_no_thread_and_little_memory() {
    let bench = Bench::new();
    let daemon = bench.daemon();
    let pid = daemon.pid();
    let names: Vec<String> = (0..SERVICES).map(|count| format!("s{count}")).collect();
    for name in &names {
        bench.service(name, "", "exec sleep 1000", "");
    }
    // The first service brings along what all share.
    bench.start("s0").is(ResultKind::Started);
    await_quiet(pid);
    let memory_kib = number(pid, "smaps_rollup", "Anonymous");
    let descriptors = entries(pid, "fd");

    let wait = Wait::Finished;
    let done = bench.client().ask(Command::Start {
        names,
        found: Vec::new(),
        wait,
    });
    let up = done
        .results()
        .iter()
        .filter(|one| one.kind == ResultKind::Started);
    assert_eq!(up.count(), SERVICES - 1, "{done:?}");
    let both = [pid, daemon.started()];
    both.into_iter().for_each(await_quiet);
    let before = both.map(switches);
    window(WINDOW_MS);
    assert_eq!(
        both.map(switches),
        before,
        "woken up while nothing happened"
    );
    assert_eq!(both.map(|pid| entries(pid, "task")), [1, 1], "threads");

    let more = SERVICES - 1;
    let grown_kib = number(pid, "smaps_rollup", "Anonymous").saturating_sub(memory_kib);
    let grown = entries(pid, "fd") - descriptors;
    eprintln!("{more} more services: {grown_kib} KiB, {grown} descriptors");
    assert!(
        grown_kib < more as u64 * SERVICE_KIB,
        "{grown_kib} KiB for {more} services"
    );
    assert!(
        grown <= more * SERVICE_DESCRIPTORS,
        "{grown} descriptors for {more} services"
    );
    bench.stop("*");
    daemon.end();
}
