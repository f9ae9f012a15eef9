//! `set`: other limits for services that run.

use super::checked_names;
use super::verbs::if_running;
use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::table::{Count, Group, Row};
use crate::engine::Command;

pub(in crate::cli) const ROW: Row = Row {
    name: "set",
    alias: None,
    group: Group::Services,
    arguments: "NAME… KEY=VALUE…",
    count: Count::AtLeast(2),
    options: &[],
    summary: "change limits of services that run",
    help: &[
        "The keys are MemoryMax, MemoryHigh, MemorySwapMax, MemoryMin, MemoryLow, CPUQuota, CPUWeight, TasksMax, IOWeight, \
         IOReadBandwidthMax and IOWriteBandwidthMax, with values as in a unit file; a new value takes the place of the old \
         one. They hold at once and over automatic restarts and the end of the daemon. The unit file stays as it is, and \
         counts again from the next start by hand.",
        "Needs the kernel's controllers: `diakonos daemon-status` says which there are.",
    ],
    examples: &[
        ("diakonos set web MemoryMax=512M", "web gets no more memory"),
        (
            "diakonos set 'worker@*' CPUQuota=50% TasksMax=100",
            "each worker gets half a processor and 100 tasks",
        ),
    ],
    exits: &[
        (
            Exit::Failed,
            "one of them does not run, or the machine cannot limit that",
        ),
        (Exit::NoSuchUnit, "no such unit; nothing was done"),
    ],
    run: |given: &Given| {
        let (settings, names): (Vec<String>, Vec<String>) = given
            .arguments
            .iter()
            .cloned()
            .partition(|argument| argument.contains('='));
        if names.is_empty() || settings.is_empty() {
            return Err(Failure::usage("`diakonos set` needs NAME… KEY=VALUE…"));
        }
        let names = checked_names(&names)?;
        if_running(given, "set", Command::Set { names, settings }, |_| {
            Err(Failure::new(
                Exit::Failed,
                "no daemon runs, so there is no service to limit",
            ))
        })
    },
};
