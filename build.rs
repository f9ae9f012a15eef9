//! How the program is linked: to a fixed address, like most Go programs, and not as a position independent executable.
//!
//! The loader writes every address in a position independent program's tables when it starts. Those are some 60 kB that
//! no process shares with another one that was executed: the guardian, which executes itself when the daemon is
//! upgraded, would be half again as large, and every command would begin with 15 page faults more. What is given up is
//! the random place of the program's own code and tables; stack, heap and libraries keep theirs, and no code outside
//! `src/sys` can go astray in memory.

//!
//! A release ends at a panic and never unwinds, and the tables for that are an eighth of the program: they are left out.

use std::env;
use std::path::Path;

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
}
