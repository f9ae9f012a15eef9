//! `logs`: several services' logs as one text, once or followed.
//!
//! Owns the text's form and the wait for changes. Does not own the arguments, nor which colours there are: a
//! [`Painter`] has them. The daemon is not asked; the files say all.
//!
//! The service's bytes come out as they are. One service alone has no name before its lines, so what it printed
//! is what is printed. A line that came in pieces is one line here, unless another service's comes between.

use std::fmt;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::log::{
    Content, Ending, Entry, Filter, LineEnd, Mark, Merge, Mode, Reader, Start, Stream,
};
use crate::sys::inotify::{Inotify, Watch};
use crate::sys::poll;
use crate::sys::process::error_text;
use crate::unit::Signal;

/// Changes of the folder that are read at once.
const EVENT_BYTES: usize = 4096;
/// The folder of logs, when it has to be made.
const DIRECTORY_MODE: u32 = 0o700;

/// Which part of the logs is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// For each service.
    pub start: Start,
    pub mode: Mode,
    /// Marks are shown where no single run is asked for.
    pub filter: Filter,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shade {
    /// The name of the n-th service.
    Name(usize),
    /// A run began or ended.
    Mark,
    /// Bytes were lost.
    Notice,
}

/// Gives text its colour, or leaves it as it is.
pub trait Painter {
    fn paint(&self, shade: Shade, text: &str) -> String;
}

/// Waits until logs may have changed.
pub trait Wait {
    /// # Errors
    /// The wait is impossible.
    fn wait(&mut self) -> io::Result<Waited>;
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Changed,
    /// Nobody wants more.
    Ended,
}

/// Why logs cannot be shown.
#[derive(Debug)]
pub enum LogsError {
    Read {
        name: String,
        cause: io::Error,
    },
    Wait(io::Error),
    /// A broken pipe is among these.
    Write(io::Error),
}

impl fmt::Display for LogsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { name, cause } => {
                let reason = error_text(cause);
                write!(f, "the log of {name} cannot be read: {reason}")
            }
            Self::Wait(cause) => write!(f, "the logs cannot be watched: {}", error_text(cause)),
            Self::Write(cause) => write!(f, "the logs cannot be printed: {}", error_text(cause)),
        }
    }
}

impl std::error::Error for LogsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (Self::Read { cause, .. } | Self::Wait(cause) | Self::Write(cause)) = self;
        Some(cause)
    }
}

/// Logs on their way to a reader.
#[derive(Debug)]
pub struct View {
    merge: Merge,
    names: Vec<String>,
    filter: Filter,
    /// The line that a piece was printed of and whose rest did not come yet.
    divided: Option<Divided>,
    marks: Marks,
}

/// Whether it is shown where a run begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    Shown,
    Hidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Divided {
    place: usize,
    run: u64,
    stream: Stream,
}

impl View {
    /// Opens the logs of `names` in `directory`. To miss nothing, the watch of the folder is begun before.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn open(directory: &Path, names: &[String], options: Options) -> Result<View, LogsError> {
        let mut readers = Vec::with_capacity(names.len());
        for name in names {
            let reader = Reader::open(directory, name, options.start, options.mode, options.filter)
                .map_err(|cause| LogsError::Read {
                    name: name.clone(),
                    cause,
                })?;
            readers.push(reader);
        }
        let (merge, names) = (Merge::new(readers), names.to_vec());
        Ok(View {
            merge,
            names,
            filter: options.filter,
            divided: None,
            marks: Marks::Shown,
        })
    }

    /// Only what the services print.
    #[must_use]
    pub fn without_marks(self) -> Self {
        Self {
            marks: Marks::Hidden,
            ..self
        }
    }

    /// The logs may have changed.
    pub fn changed(&mut self) {
        self.merge.changed();
    }

    /// Prints all that there is now, and flushes.
    ///
    /// # Errors
    /// A log cannot be read, or `output` takes no more.
    pub fn print(
        &mut self,
        painter: &dyn Painter,
        output: &mut dyn Write,
    ) -> Result<(), LogsError> {
        loop {
            match self.merge.next_entry() {
                Ok(Some((place, entry))) => {
                    self.entry(place, &entry, painter, output)
                        .map_err(LogsError::Write)?;
                }
                Ok(None) => return output.flush().map_err(LogsError::Write),
                Err((place, cause)) => {
                    let name = self.names.get(place).cloned().unwrap_or_default();
                    return Err(LogsError::Read { name, cause });
                }
            }
        }
    }

    fn entry(
        &mut self,
        place: usize,
        entry: &Entry,
        painter: &dyn Painter,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        let run = entry.run;
        match &entry.content {
            Content::Line { stream, bytes, end } => {
                let this = Divided {
                    place,
                    run,
                    stream: *stream,
                };
                if self.divided != Some(this) {
                    self.begin_line(place, painter, output)?;
                }
                output.write_all(bytes)?;
                self.divided = (*end == LineEnd::Cut).then_some(this);
                if self.divided.is_some() {
                    Ok(())
                } else {
                    output.write_all(b"\n")
                }
            }
            Content::Notice { bytes } => {
                self.begin_line(place, painter, output)?;
                let text = painter.paint(Shade::Notice, &String::from_utf8_lossy(bytes));
                writeln!(output, "{text}")
            }
            Content::Mark(_) if self.filter.run.is_some() || self.marks == Marks::Hidden => Ok(()),
            Content::Mark(mark) => {
                self.begin_line(place, painter, output)?;
                let text = painter.paint(Shade::Mark, &mark_text(run, *mark));
                writeln!(output, "{text}")
            }
        }
    }

    /// Ends a line that is divided, and prints the name where there are several.
    fn begin_line(
        &mut self,
        place: usize,
        painter: &dyn Painter,
        output: &mut dyn Write,
    ) -> io::Result<()> {
        if self.divided.take().is_some() {
            output.write_all(b"\n")?;
        }
        if self.names.len() < 2 {
            return Ok(());
        }
        let width = self
            .names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        let name = self.names.get(place).map_or("", String::as_str);
        let padded = format!("{name:<width$} |");
        write!(output, "{} ", painter.paint(Shade::Name(place), &padded))
    }
}

/// Prints all there is, and when the view follows, what comes, until the wait is over.
///
/// # Errors
/// A log cannot be read, the wait is impossible, or `output` takes no more (a broken pipe among others).
pub fn follow(
    view: &mut View,
    wait: &mut dyn Wait,
    painter: &dyn Painter,
    output: &mut dyn Write,
) -> Result<(), LogsError> {
    loop {
        view.print(painter, output)?;
        match wait.wait().map_err(LogsError::Wait)? {
            Waited::Changed => view.changed(),
            Waited::Ended => return Ok(()),
        }
    }
}

/// Watches a folder of logs.
#[derive(Debug)]
pub struct LogWatch {
    inotify: Inotify,
    names: Vec<String>,
}

impl LogWatch {
    /// Begins to watch the logs of `names` in `directory`, which is made when it is missing: a service may log for
    /// the first time later.
    ///
    /// # Errors
    /// The folder cannot be made or watched.
    pub fn begin(directory: &Path, names: &[String]) -> io::Result<LogWatch> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)?;
        let inotify = Inotify::new()?;
        // A rotation needs no watch of its own: the first write to the new file tells of it.
        inotify.watch(directory, Watch::Modified)?;
        Ok(LogWatch {
            inotify,
            names: names.to_vec(),
        })
    }

    /// Takes in what the descriptor tells, for callers that wait for other things too; whether a log of theirs may
    /// have changed.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn take_changes(&mut self) -> io::Result<bool> {
        let mut buffer = [0; EVENT_BYTES];
        let mut is_ours = false;
        loop {
            let events = self.inotify.read(&mut buffer)?;
            if events.is_empty() {
                return Ok(is_ours);
            }
            is_ours |= events.iter().any(|event| match &event.name {
                Some(name) => self.is_wanted(name.as_bytes()),
                None => true,
            });
        }
    }

    fn is_wanted(&self, file: &[u8]) -> bool {
        self.names.iter().any(|name| {
            let ending = file.strip_prefix(name.as_bytes());
            ending.is_some_and(|ending| ending.starts_with(b".log") || ending.starts_with(b".idx"))
        })
    }
}

impl AsFd for LogWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Wait for LogWatch {
    fn wait(&mut self) -> io::Result<Waited> {
        loop {
            poll::wait_readable(&[self.inotify.as_fd()], None)?;
            if self.take_changes()? {
                return Ok(Waited::Changed);
            }
        }
    }
}

fn mark_text(run: u64, mark: Mark) -> String {
    match mark {
        Mark::Cleared => "— the log was emptied —".to_owned(),
        Mark::Begin { pid } => format!("— run {run} began, PID {pid} —"),
        Mark::End(Ending::Exited { code }) => format!("— run {run} exited with code {code} —"),
        Mark::End(Ending::Signaled { signal }) => match Signal::from_number(signal) {
            Some(signal) => format!("— run {run} was ended by {signal} —"),
            None => format!("— run {run} was ended by signal {signal} —"),
        },
        Mark::End(Ending::Unknown) => format!("— run {run} ended, nobody saw how —"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::log::{LINE_BYTES_MAX, Limits, Writer};

    const LIMITS: Limits = Limits {
        max_size: 200,
        max_files: 5,
    };
    const ALL: Options = Options {
        start: Start::Oldest,
        mode: Mode::Once,
        filter: Filter {
            stream: None,
            run: None,
            since_ms: None,
            until_ms: None,
        },
    };

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("diakonos-logs-{}-{name}", std::process::id());
            Folder(std::env::temp_dir().join(name))
        }

        fn writer(&self, name: &str) -> Writer {
            Writer::open(&self.0, name, LIMITS).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    struct Tags;

    impl Painter for Tags {
        fn paint(&self, shade: Shade, text: &str) -> String {
            match shade {
                Shade::Name(place) => format!("<{place}>{text}</>"),
                Shade::Mark => format!("<mark>{text}</>"),
                Shade::Notice => format!("<notice>{text}</>"),
            }
        }
    }

    struct Plain;

    impl Painter for Plain {
        fn paint(&self, _: Shade, text: &str) -> String {
            text.to_owned()
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn several_services_stand_under_their_names() {
        let folder = Folder::new("several");
        let (mut web, mut db) = (folder.writer("web"), folder.writer("database"));
        web.mark(1, 1, Mark::Begin { pid: 40 });
        db.append(2, Stream::Out, 4, b"ready\n");
        web.append(3, Stream::Out, 1, b"hello\nhalf");
        web.mark(5, 1, Mark::End(Ending::Signaled { signal: 9 }));
        let mut view = View::open(&folder.0, &names(&["web", "database"]), ALL).unwrap();
        let mut output = Vec::new();
        view.print(&Tags, &mut output).unwrap();
        let expected = "<0>web      |</> <mark>— run 1 began, PID 40 —</>\n\
                        <1>database |</> ready\n\
                        <0>web      |</> hello\n\
                        <0>web      |</> half\n\
                        <0>web      |</> <mark>— run 1 was ended by SIGKILL —</>\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    #[test]
    fn one_service_is_printed_as_it_is() {
        let folder = Folder::new("one");
        let mut long = vec![b'x'; LINE_BYTES_MAX + 10];
        long.extend(b"\n\xff\x1b[0m\n");
        folder.writer("web").append(3, Stream::Out, 1, &long);
        let mut view = View::open(&folder.0, &names(&["web"]), ALL).unwrap();
        let mut output = Vec::new();
        view.print(&Plain, &mut output).unwrap();
        assert!(output == long);
    }

    #[test]
    fn one_run_alone_has_no_marks() {
        let folder = Folder::new("run");
        let mut web = folder.writer("web");
        for run in 1..4 {
            web.mark(run * 100, run, Mark::Begin { pid: 40 });
            web.append(
                run * 100,
                Stream::Out,
                run,
                format!("in {run}\n").as_bytes(),
            );
        }
        let filter = Filter {
            run: Some(2),
            ..Filter::default()
        };
        let options = Options { filter, ..ALL };
        let mut view = View::open(&folder.0, &names(&["web"]), options).unwrap();
        let mut output = Vec::new();
        view.print(&Plain, &mut output).unwrap();
        assert_eq!(output, b"in 2\n");
    }

    /// Writes between waits, on the kernel's word that something changed.
    struct Script {
        watch: LogWatch,
        writer: Writer,
        left: u64,
    }

    impl Wait for Script {
        fn wait(&mut self) -> io::Result<Waited> {
            if self.left == 0 {
                return Ok(Waited::Ended);
            }
            self.left -= 1;
            let line = format!("number {} {}\n", self.left, "y".repeat(90));
            self.writer
                .append(self.left, Stream::Out, 1, line.as_bytes());
            self.watch.wait()
        }
    }

    #[test]
    fn what_comes_is_followed_over_rotations() {
        let folder = Folder::new("follow");
        let list = names(&["web"]);
        let watch = LogWatch::begin(&folder.0, &list).unwrap();
        let writer = folder.writer("web");
        let options = Options {
            start: Start::Last(0),
            mode: Mode::Follow,
            ..ALL
        };
        let mut view = View::open(&folder.0, &list, options).unwrap();
        let mut script = Script {
            watch,
            writer,
            left: 20,
        };
        let mut output = Vec::new();
        follow(&mut view, &mut script, &Plain, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let told: Vec<_> = text
            .lines()
            .map(|line| line[7..9].trim().to_owned())
            .collect();
        let expected: Vec<_> = (0..20)
            .rev()
            .map(|number: u32| number.to_string())
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn only_changes_of_these_services_count() {
        let folder = Folder::new("watch");
        let mut watch = LogWatch::begin(&folder.0, &names(&["web"])).unwrap();
        let mut other = folder.writer("web2");
        other.append(1, Stream::Out, 1, b"other\n");
        assert!(!watch.take_changes().unwrap());
        folder.writer("web").append(1, Stream::Out, 1, b"ours\n");
        assert!(watch.take_changes().unwrap());
        assert!(!watch.take_changes().unwrap());
    }
}
