//! What these tests share beside the harness: looks into `/proc`, windows of time, numbers that come again with a seed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use diakonos::log::index::{What, decode};
use diakonos::log::{Loss, Mark};
use diakonos::sys::cgroup::Tree;
use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::files;
use diakonos::sys::poll::wait_readable;
use diakonos::sys::process::Pid;

use crate::harness::{Bench, PATIENCE_MS};

/// Lets so many milliseconds pass: a window in which something is measured, or the moment at which a fault comes.
pub(crate) fn window(length_ms: u64) {
    let (never, _writer) = files::pipe().unwrap();
    assert_eq!(
        wait_readable(&[never.as_fd()], Some(length_ms)).unwrap(),
        [false]
    );
}

/// A number from a file of `/proc/PID` with one `name: number` in a line.
pub(crate) fn number(pid: Pid, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let words = found.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    words.split_whitespace().next().unwrap().parse().unwrap()
}

/// How many entries a folder such as `/proc/PID/fd` has.
pub(crate) fn entries(pid: Pid, folder: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{folder}"))
        .unwrap()
        .count()
}

/// How often the process went to sleep of its own will.
pub(crate) fn switches(pid: Pid) -> u64 {
    number(pid, "status", "voluntary_ctxt_switches")
}

/// Whether it sleeps. One that waits for a processor does not sleep either, but it has something to do.
fn is_asleep(pid: Pid) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.contains("\nState:\tS ")
}

/// Waits until the process has slept through a whole window.
pub(crate) fn await_quiet(pid: Pid) {
    const WINDOW_MS: u64 = 2_000;
    let is_quiet = || {
        let before = switches(pid);
        let sleeps = is_asleep(pid);
        window(WINDOW_MS);
        sleeps && is_asleep(pid) && switches(pid) == before
    };
    await_that("it is quiet", is_quiet);
}

/// How long one has waited for a processor that others used, in milliseconds; 0 where the kernel does not say.
/// `who` is its folder's name in `/proc`.
pub(crate) fn waited_ms(who: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{who}/schedstat")).unwrap_or_default();
    let waited_ns = text.split_whitespace().nth(1).map(str::parse::<u64>);
    waited_ns.map_or(0, |waited_ns| waited_ns.unwrap() / 1_000_000)
}

/// Looks until it is so.
pub(crate) fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline_ms = monotonic_ms() + PATIENCE_MS;
    while !is_so() {
        assert!(monotonic_ms() < deadline_ms, "never: {what}");
        window(5);
    }
}

/// A FIFO that is read by a service, and that no service finds closed.
pub(crate) struct Orders {
    pub(crate) path: PathBuf,
    file: File,
}

impl Orders {
    pub(crate) fn new(bench: &Bench, name: &str) -> Self {
        let path = bench.path(name);
        files::make_fifo(&path, 0o600, None).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        Self { path, file }
    }

    pub(crate) fn give(&mut self, order: &str) {
        writeln!(self.file, "{order}").unwrap();
    }
}

/// The folder as a process sees it that may have mounted something there.
pub(crate) fn seen_by(pid: Pid, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{}", path.display()))
}

/// What an index tells of output that is missing in its log.
pub(crate) fn losses(index: &Path) -> Vec<Loss> {
    let records = decode(&fs::read(index).unwrap()).unwrap().records;
    let lost = records.iter().filter_map(|record| match record.what {
        What::Mark(Mark::Lost(loss)) => Some(loss),
        What::Mark(_) | What::Bytes { .. } | What::Notice { .. } => None,
    });
    lost.collect()
}

/// Numbers that look random and come again with the seed: splitmix64.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }
}

/// The number in this environment variable, if there is one.
pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

/// So many services as this user's daemon can stop in seconds: without cgroups their processes are looked for in
/// `/proc`.
pub(crate) fn crowd(with_cgroups: usize) -> usize {
    const WITHOUT: usize = 400;
    match Tree::open("diakonos-tests-look") {
        Ok(tree) => {
            tree.remove().unwrap();
            with_cgroups
        }
        Err(_) => with_cgroups.min(WITHOUT),
    }
}
