//! Our lines in the user's crontab: between two marks, so that everything else in it is left as it is.
//!
//! Goes through crontab(1) alone. A table that cannot be read is never written.

use std::io::{ErrorKind, Write as _};
use std::process::{Command as Program, Stdio};

use super::super::exit::{Exit, Failure};
use super::super::text::clean;
use crate::sys::process::error_text;

const CRONTAB: &str = "crontab";

/// A table, split at our lines. `ours` are those from the first mark to the last, if they are there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) before: String,
    pub(super) ours: Option<String>,
    pub(super) after: String,
}

/// Finds our lines.
pub(super) fn split(table: &str, begin: &str, end: &str) -> Result<Split, Failure> {
    let mut parts = [String::new(), String::new(), String::new()];
    let mut part = 0;
    for line in table.split_inclusive('\n') {
        let text = line.trim_end();
        if part == 0 && text == begin {
            part = 1;
        }
        parts[part].push_str(line);
        if part == 1 && text == end {
            part = 2;
        }
    }
    let [before, ours, after] = parts;
    if part == 1 {
        let message = format!("your crontab has the line `{begin}` but not the one that ends it");
        return Err(Failure::new(Exit::Failed, message)
            .hint("`crontab -e`: remove what is left of it by hand"));
    }
    let ours = (part == 2).then_some(ours);
    Ok(Split {
        before,
        ours,
        after,
    })
}

pub(super) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(CRONTAB).is_file())
}

/// The user's table; empty if there is none.
pub(super) fn read() -> Result<String, Failure> {
    let output = program().arg("-l").stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_run(&error))?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        // The words of Vixie's and cronie's, and of BusyBox's.
        let none = ["no crontab", "No such file"];
        if output.stdout.is_empty() && none.iter().any(|words| complaint.contains(words)) {
            return Ok(String::new());
        }
        return Err(failed("read", &complaint));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("read", "it is not UTF-8"))
}

/// Replaces the user's table; an empty one is removed.
pub(super) fn write(table: &str) -> Result<(), Failure> {
    if table.trim().is_empty() {
        let output = program().arg("-r").stdin(Stdio::null()).output();
        let output = output.map_err(|error| not_run(&error))?;
        return check(output);
    }
    let mut command = program();
    let command = command.arg("-").stdin(Stdio::piped());
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_run(&error))?;
    // When it does not read, it says why and ends.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(table.as_bytes());
    }
    let output = child.wait_with_output();
    check(output.map_err(|error| not_run(&error))?)
}

fn check(output: std::process::Output) -> Result<(), Failure> {
    if output.status.success() {
        return Ok(());
    }
    Err(failed("write", &String::from_utf8_lossy(&output.stderr)))
}

fn program() -> Program {
    let mut program = Program::new(CRONTAB);
    program.env("LC_ALL", "C");
    program
}

fn failed(what: &str, complaint: &str) -> Failure {
    let complaint = clean(complaint.lines().next().unwrap_or("it does not say why"));
    Failure::new(
        Exit::Failed,
        format!("cannot {what} your crontab: {complaint}"),
    )
}

fn not_run(error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return Failure::new(Exit::Failed, "there is no program `crontab`")
            .hint("install cron, or choose another --init");
    }
    let message = format!("cannot run crontab: {}", error_text(error));
    Failure::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn our_lines_are_found_among_others() {
        let table = "MAILTO=x\n# b\n@reboot a\n# e\n5 * * * * y\n";
        let found = split(table, "# b", "# e").unwrap();
        assert_eq!(found.before, "MAILTO=x\n");
        assert_eq!(found.ours.as_deref(), Some("# b\n@reboot a\n# e\n"));
        assert_eq!(found.after, "5 * * * * y\n");
        let none = split("5 * * * * y\n# e", "# b", "# e").unwrap();
        assert_eq!(
            (none.before.as_str(), none.ours),
            ("5 * * * * y\n# e", None)
        );
        assert!(split("# b\n@reboot a\n", "# b", "# e").is_err());
    }
}
