//! The real binary in a virtual machine: Debian's cloud kernel 6.1, which lacks the newest calls, and a system of its
//! own, in which the program may do everything, PID 1 is ours, and the power may fail.
//!
//! The scripts in `guest/` are the cases: each runs in the first process of a machine and reports `CHECK name ok` or
//! `CHECK name failed: why` on its console. Software emulation is enough, and nothing here needs root, but it needs
//! programs and a kernel that few machines have, so these tests are run on demand only:
//!
//! ```text
//! apt-get install qemu-system-x86 busybox-static cpio e2fsprogs
//! tests/vm/kernel target/tmp/vm-kernel
//! cargo test --test vm -- --ignored
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then says what the machine said"
)]

mod machine;

use machine::Machine;

/// A kernel on which a process is told from others by its start time, and how a stranger ended is soon forgotten.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn a_successor_on_an_older_kernel() {
    Machine::new("takeover").boot("takeover");
}

/// The same kernel, and a guardian: it keeps what a dead daemon had not read, output and how a process ended.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn a_guardian_on_an_older_kernel() {
    Machine::new("guardian").boot("guardian");
}

/// The power fails while services run. The next boot starts what is enabled and trusts no number of the old one.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn a_reboot() {
    let machine = Machine::new("reboot").with_disk();
    machine.boot("power-fails");
    machine.boot("power-returns");
}

#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn groups_where_the_controllers_are() {
    Machine::new("groups").boot("groups");
}

/// Memory, processor time and tasks are limited, and an end for want of memory is known by its name.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn limits_that_hold() {
    Machine::new("limits").boot("limits");
}

/// What is read from and written to a disk is limited.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn bandwidth_of_a_disk() {
    Machine::new("bandwidth").with_disk().boot("bandwidth");
}

/// Limits for an ordinary user in a part of the tree that is his own, where the daemon itself is in the way.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn limits_in_a_delegated_part_of_the_tree() {
    Machine::new("delegated").boot("delegated");
}

#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn the_guardian_as_the_first_process() {
    Machine::new("first").boot("first");
}

/// SIGTERM to the first process: everything stops in order, and the machine is switched off with its disk in order.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn the_first_process_is_told_to_end() {
    let machine = Machine::new("shut-down").with_disk();
    machine.boot("shut-down");
    machine.boot("was-shut-down");
}

/// `up` as the first process of a container on the older kernel.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn a_container_on_an_older_kernel() {
    Machine::new("container").boot("container");
}

/// So few numbers for processes that each is somebody else's soon.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn numbers_of_processes_come_again() {
    Machine::new("numbers").boot("numbers");
}

#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn an_ordinary_user_without_groups() {
    Machine::new("user").boot("user");
}

/// Namespaces and filters of the older kernel, and what its Landlock is too old for.
#[test]
#[ignore = "needs qemu and a kernel, see tests/vm/main.rs"]
fn a_sandbox_on_an_older_kernel() {
    Machine::new("sandbox").boot("sandbox");
}
