//! The rules, each with texts that break it and texts that keep it.

use super::checks::{self, FILE_LINES, Faults};
use super::source::Source;

/// One rule. `check` gives the line (from 1) and what is wrong there.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) check: fn(&Source) -> Faults,
    /// Path and text of files that break it.
    pub(super) broken: &'static [(&'static str, &'static str)],
    pub(super) kept: &'static [(&'static str, &'static str)],
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "imports point down",
        check: checks::layers,
        broken: &[
            ("src/engine/a.rs", "use crate::wire::Reply;"),
            ("src/unit/a.rs", "use crate::{engine::State, unit::Span};"),
            ("src/daemon/a.rs", "fn f() { crate::cli::main(); }"),
            ("src/engine/a.rs", "use super::super::sys::clock;"),
            ("src/log/mod.rs", "use super::unit::Unit;"),
            ("src/sys/a.rs", "pub fn f() -> crate::unit::Signal {}"),
        ],
        kept: &[
            ("src/engine/a.rs", "use crate::unit::Unit; // crate::wire"),
            (
                "src/wire/a.rs",
                "use crate::{engine::{State, cli}, unit::Span};",
            ),
            ("src/engine/jobs/a.rs", "use super::super::Cause;"),
            ("src/engine/a.rs", "use crate::engine::Cause;"),
            ("src/main.rs", "fn main() { diakonos::cli::main() }"),
        ],
    },
    Rule {
        name: "one machine sorts",
        check: checks::sorting,
        broken: &[
            ("src/cli/a.rs", "fn f() { names.sort_unstable(); }"),
            ("src/log/a.rs", "fn f() { names.sort_by_key(|n| n.1); }"),
            (
                "src/unit/a.rs",
                "fn f() { let all: BTreeSet<u8> = all.collect(); }",
            ),
        ],
        kept: &[
            ("src/sorted.rs", "fn f() { places.sort_by(order); }"),
            ("src/cli/a.rs", "fn f() { sorted::sort(&mut names); }"),
            (
                "src/unit/a.rs",
                "fn f() { let all: Vec<u8> = all.collect(); }",
            ),
            ("tests/a.rs", "fn f() { names.sort(); }"),
        ],
    },
    Rule {
        name: "packages have owners",
        check: checks::packages,
        broken: &[
            ("src/engine/a.rs", "use miniserde::json;"),
            ("src/daemon/a.rs", "fn f() { let a = nix::libc::getpid(); }"),
            ("src/unit/a.rs", "::log::info!(\"\");"),
            ("src/cli/a.rs", "use mio;"),
        ],
        kept: &[
            ("src/wire/a.rs", "use miniserde::json;"),
            ("src/sys/a.rs", "use nix::libc;"),
            (
                "src/daemon/a.rs",
                "use crate::log; fn f() { log::index(); ::log::warn!(\"\"); }",
            ),
            (
                "src/cli/a.rs",
                "fn f(mio: u8) -> Mio { let text = \"nix::\"; }",
            ),
        ],
    },
    Rule {
        name: "unsafe only in sys, with its reason",
        check: checks::unsafe_code,
        broken: &[
            ("src/daemon/a.rs", "fn f() { unsafe { g() } }"),
            ("src/daemon/a.rs", "#![allow(unsafe_code)] // No."),
            ("src/sys/a.rs", "fn f() {\n    g();\n    unsafe { g() }\n}"),
            ("src/sys/a.rs", "// It is fine.\nunsafe impl Send for A {}"),
        ],
        kept: &[
            (
                "src/sys/a.rs",
                "// SAFETY: no pointer\n// is kept.\nunsafe { g() }",
            ),
            (
                "src/sys/a.rs",
                "// SAFETY: a number.\nlet a =\n    unsafe { g() };",
            ),
            ("src/wire/a.rs", "// unsafe\nlet text = \"unsafe\";"),
        ],
    },
    Rule {
        name: "one clock, no thread, no sleep",
        check: checks::clocks,
        broken: &[
            ("src/daemon/a.rs", "let now = Instant::now();"),
            ("src/cli/a.rs", "use std::time::SystemTime;"),
            ("src/cli/a.rs", "std::thread::spawn(f);"),
            (
                "tests/daemon/a.rs",
                "thread::sleep(Duration::from_millis(5));",
            ),
            (
                "src/sys/a.rs",
                "#[cfg(test)]\nmod tests {\n    fn f() { sleep(1); }\n}",
            ),
        ],
        kept: &[
            ("src/sys/clock.rs", "let now = SystemTime::now();"),
            (
                "tests/daemon/a.rs",
                "let limit = Instant::now() + limit; run(\"sleep 5\");",
            ),
            (
                "src/engine/a.rs",
                "/// Threads sleep.\nfn sleeping(thread: u8) {}",
            ),
        ],
    },
    Rule {
        name: "order is defined in pure rooms",
        check: checks::hash_maps,
        broken: &[
            ("src/engine/a.rs", "use std::collections::HashMap;"),
            ("src/log/a.rs", "let a: HashSet<u8> = x;"),
        ],
        kept: &[
            ("src/engine/a.rs", "use std::collections::BTreeMap;"),
            ("src/sys/a.rs", "use std::collections::HashMap;"),
        ],
    },
    Rule {
        name: "one owner",
        check: checks::shared,
        broken: &[
            ("src/cli/a.rs", "use std::rc::Rc;"),
            ("src/daemon/a.rs", "let a: RefCell<u8> = x;"),
            ("src/sys/a.rs", "static mut A: u8 = 0;"),
        ],
        kept: &[("src/cli/a.rs", "let rc = Source::new();")],
    },
    Rule {
        name: "a process is signalled by its handle",
        check: checks::numbers,
        broken: &[
            ("src/daemon/a.rs", "kill_process(pid, signal)?;"),
            ("src/sys/a.rs", "unsafe { libc::kill(pid, signal) };"),
            (
                "src/sys/a.rs",
                "libc::syscall(libc::SYS_tgkill, pid, pid, 9)",
            ),
        ],
        kept: &[
            ("src/sys/a.rs", "pidfd.signal(libc::SIGKILL)"),
            ("src/daemon/a.rs", "self.kill(unit, Round::Main, end);"),
        ],
    },
    Rule {
        name: "every cell is written",
        check: checks::wildcards,
        broken: &[
            ("src/engine/cell.rs", "match a { A => 1, _ => 2 }"),
            (
                "src/wire/codec.rs",
                "match a {\n    A => 1,\n    _ if b => 2,\n}",
            ),
        ],
        kept: &[
            ("src/engine/service.rs", "match a { A => 1, B(_) => 2 }"),
            ("src/unit/a.rs", "match a { A => 1, _ => 2 }"),
            ("src/wire/codec.rs", "let f = |_| 1; let _ = g();"),
        ],
    },
    Rule {
        name: "no boolean state in the engine",
        check: checks::booleans,
        broken: &[
            ("src/engine/a.rs", "struct A {\n    running: bool,\n}"),
            ("src/engine/a.rs", "fn f(now: bool) {}"),
            ("src/engine/a.rs", "struct A { b: Option<bool> }"),
        ],
        kept: &[
            ("src/engine/a.rs", "fn is_up(self) -> bool { true }"),
            ("src/unit/a.rs", "struct A { optional: bool }"),
        ],
    },
    Rule {
        name: "only the command line prints and exits",
        check: checks::printing,
        broken: &[
            ("src/daemon/a.rs", "println!(\"\");"),
            ("src/sys/a.rs", "std::process::exit(1);"),
        ],
        kept: &[
            ("src/cli/a.rs", "eprintln!(\"\");"),
            (
                "src/daemon/a.rs",
                "#[cfg(test)]\nmod tests {\n    fn f() { println!(\"\"); }\n}",
            ),
        ],
    },
    Rule {
        name: "no panics",
        check: checks::panics,
        broken: &[
            ("src/engine/a.rs", "let a = b.unwrap();"),
            ("src/cli/a.rs", "let a = b.expect(\"\");"),
            ("src/sys/a.rs", "let a = b\n    .expect(\"\");"),
            ("src/sys/a.rs", "panic!();"),
            ("src/sys/a.rs", "_ => unreachable!(\"\"),"),
            (
                "src/wire/a.rs",
                "#[cfg(test)]\nuse a::b;\nfn f() { c.unwrap() }",
            ),
        ],
        kept: &[
            ("src/engine/a.rs", "let a = b.unwrap_or(1); assert!(a > 0);"),
            ("src/daemon/a.rs", "log.expect(run);"),
            (
                "src/engine/a.rs",
                "#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap() }\n}",
            ),
        ],
    },
    Rule {
        name: "a file says what it owns",
        check: checks::opening,
        broken: &[
            ("src/a.rs", "use b;\n//! Late."),
            ("fuzz/fuzz_targets/a.rs", ""),
        ],
        kept: &[("src/a.rs", "//! Owns a.\n")],
    },
    Rule {
        name: "files are short",
        check: checks::file_length,
        broken: &[("src/a.rs", LONG_FILE)],
        kept: &[("src/a.rs", "//! Short.")],
    },
    Rule {
        name: "functions are short",
        check: checks::function_length,
        broken: &[
            ("src/a.rs", LONG_FUNCTION),
            (
                "src/a.rs",
                "fn f<A, B>(a: A, b: B, c: (u8, u8), d: u8, e: u8, f: u8) {}",
            ),
            (
                "src/a.rs",
                "fn f(&mut self, a: A, b: B, c: u8, d: u8, e: u8, f: u8) {}",
            ),
        ],
        kept: &[
            (
                "src/a.rs",
                "fn f<A, B>(&self, a: fn(A, B) -> u8, b: B, c: u8, d: u8, e: u8) {}",
            ),
            ("src/a.rs", "fn f(a: u8) -> u8;\nfn g() {}"),
        ],
    },
    Rule {
        name: "lines fit",
        check: checks::columns,
        broken: &[("src/a.rs", LONG_COMMENT), ("src/a.rs", LONG_CODE)],
        kept: &[("src/a.rs", "let a = 1;")],
    },
    Rule {
        name: "an exception has a reason",
        check: checks::exceptions,
        broken: &[
            ("src/a.rs", "\n#[allow(clippy::x)]\nfn f() {}"),
            ("src/a.rs", "// It is used later.\n#[allow(dead_code)]"),
        ],
        kept: &[
            ("src/a.rs", "#[allow(clippy::x)] // The kernel counts so."),
            ("src/a.rs", "// The kernel counts so.\n#[expect(clippy::x)]"),
            ("src/a.rs", "#[expect(clippy::x, reason = \"so\")]"),
            (
                "src/a.rs",
                "#[expect(\n    clippy::x,\n    reason = \"so\"\n)]",
            ),
            (
                "src/a.rs",
                "#[cfg(test)]\nmod tests {\n    #![allow(clippy::unwrap_used)]\n}",
            ),
        ],
    },
    Rule {
        name: "comments do not rot",
        check: checks::comments,
        broken: &[
            ("src/a.rs", "// TODO: more"),
            ("src/a.rs", "// Fixes #12."),
            ("src/a.rs", "// See line 120 of b.rs."),
            ("src/a.rs", "// Since 3f9a2c41d the order is another."),
        ],
        kept: &[
            (
                "src/a.rs",
                "// Offset 0x811c9dc5 of the defaced facade, 1234567890 times.",
            ),
            ("src/a.rs", "// One line for each of the 12 units: #[cfg]."),
        ],
    },
];

const LONG_FILE: &str = match std::str::from_utf8(&[b'\n'; FILE_LINES]) {
    Ok(text) => text,
    Err(_) => "",
};
const LONG_FUNCTION: &str = concat!(
    "fn long() {\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
    "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n}\n"
);
const LONG_COMMENT: &str = concat!(
    "// A comment that goes on, and on, and on, and on, and on, and on, ",
    "and on, and on, and on, and on, and on, and on, and on."
);
const LONG_CODE: &str = concat!(
    "let a = f(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, ",
    "r, s, t, u, v, w, x, y, z, a, b, c, d, e);"
);
