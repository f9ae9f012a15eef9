//! How the program is linked: to a fixed address, like most Go programs, and not as a position independent executable.
//!
//! The loader writes every address in a position independent program's tables when it starts. Those are some 60 kB that
//! no process shares with another one that was executed: the guardian, which executes itself when the daemon is
//! upgraded, would be half again as large, and every command would begin with 15 page faults more. What is given up is
//! the random place of the program's own code and tables; stack, heap and libraries keep theirs, and no code outside
//! `src/sys` can go astray in memory.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Other C libraries bring start files of their own, which the linker chooses with the kind of program.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|library| library == "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
