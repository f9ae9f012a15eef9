//! The program: everything is in the library, see `lib.rs`.

fn main() -> std::process::ExitCode {
    diakonos::cli::main()
}
