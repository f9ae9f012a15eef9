//! How the program is linked: to a fixed address, like most Go programs, and not as a position independent executable.
//!
//! The loader writes every address in a position independent program's tables when it starts. Those are some 60 kB that
//! no process shares with another one that was executed: the guardian, which executes itself when the daemon is
//! upgraded, would be half again as large, and every command would begin with 15 page faults more. What is given up is
//! the random place of the program's own code and tables; stack, heap and libraries keep theirs, and no code outside
//! `src/sys` can go astray in memory.

//!
//! A release ends at a panic and never unwinds, and the tables for that are an eighth of the program: they are left out.
//!
//! Many functions that the compiler makes for different types come out as the same machine code. Where the linker can
//! keep one of them for all (rustc's own does since 1.90), it is told to: nothing here compares functions by address.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// To keep one of all functions that are the same.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/no_unwinding.ld");
    // Other C libraries bring start files of their own, which the linker chooses with the kind of program.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|library| library == "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let (true, Ok(root)) = (is_release, env::var("CARGO_MANIFEST_DIR")) {
        let script = Path::new(&root).join("src/no_unwinding.ld");
        println!(
            "cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}",
            script.display()
        );
    }
    if is_release && linker_folds().unwrap_or(false) {
        println!("cargo:rustc-link-arg-bins={FOLD}");
    }
}

/// Whether the linker that will be used knows the wish: it is asked to link the smallest program.
fn linker_folds() -> Option<bool> {
    let folder = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = folder.join("probe.rs");
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg(&source).arg("--out-dir").arg(&folder);
    rustc.arg("--target").arg(env::var_os("TARGET")?);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    rustc.arg("-C").arg(format!("link-arg={FOLD}"));
    rustc.stdout(Stdio::null()).stderr(Stdio::null());
    Some(rustc.status().ok()?.success())
}
