//! The state machine's table, every (phase, input) cell, against the golden file: the state diagram for readers.
//!
//! `DIAKONOS_BLESS=1` writes the file anew.

#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;

use diakonos::engine::{Action, FactPhase, Input, action};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transitions.txt");

const HEAD: &str = "\
# What each happening means in each phase: src/engine/cell.rs, printed.
# Written by the test `the_table_is_the_golden_one` with DIAKONOS_BLESS=1; compared on every run.
# A happening that stands nowhere under a phase cannot come about in it. From those behind Ignore nothing follows.
";

#[test]
fn the_table_is_the_golden_one() {
    let table = print();
    if std::env::var_os("DIAKONOS_BLESS").is_some() {
        std::fs::write(PATH, &table).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(PATH).expect("the golden file can be read");
    assert!(
        golden == table,
        "the table is not the golden one any more; DIAKONOS_BLESS=1 writes it anew:\n{table}"
    );
}

/// An end of a run is heard of wherever a run can be, and a deadline is heeded wherever one can be armed.
#[test]
fn no_phase_is_deaf() {
    for phase in FactPhase::ALL {
        let waits_for_time = !matches!(
            phase,
            FactPhase::Stopped
                | FactPhase::Completed
                | FactPhase::Failed
                | FactPhase::Waiting
                | FactPhase::Examining
                | FactPhase::Running
                | FactPhase::Exited
        );
        let due = action(phase, Input::Due);
        assert_eq!(due != Action::Never, waits_for_time, "{phase:?}: {due:?}");
        assert_ne!(
            action(phase, Input::GroupEmpty),
            Action::Never,
            "{phase:?} may be told late"
        );
    }
}

fn print() -> String {
    let mut text = String::from(HEAD);
    for phase in FactPhase::ALL {
        let _ = writeln!(text, "\n{phase:?} ({})", phase.word());
        let mut ignored = Vec::new();
        for input in Input::ALL {
            match action(phase, input) {
                Action::Never => {}
                Action::Ignore => ignored.push(format!("{input:?}")),
                action => {
                    let _ = writeln!(text, "    {:<14} {action:?}", format!("{input:?}"));
                }
            }
        }
        if !ignored.is_empty() {
            let _ = writeln!(text, "    {:<14} {}", "Ignore", ignored.join(", "));
        }
    }
    text
}
