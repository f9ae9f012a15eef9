//! `logs`: several services' logs as one text, once or followed.
//!
//! Owns the text's form: names, times, marks. Does not own the arguments, nor which colours there are: a [`Painter`]
//! has them; nor what becomes of characters that a terminal would obey (`shown`), nor the form of JSON (`logjson`). The
//! daemon is not asked; the files say all.
//!
//! One service alone has no name before its lines. A line that came in pieces is one line here, unless another
//! service's comes between.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

pub(super) use super::logfailure::LogsError;
use super::logjson;
pub(super) use super::loglook::{Extras, Form, Look, Returns, Times};
use super::logwatch::{Changes, Wait, Waited};
use super::missing::loss_text;
use super::shown::{self, Colors};
use super::sift::Sift;
use super::style::Palette;
use super::text;
use super::unbegun::Unbegun;
use crate::log::{
    self, Content, Course, Ending, Entry, Filter, Level, LineEnd, Listing, Mark, Merge, Mode, Part,
    Reader, Sieve, Start, Stream,
};
use crate::unit::Signal;

/// Before what is shown of a line without what comes before it.
const GOES_ON: &str = "…";

/// Which part of the logs is wanted, and how it is shown.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// For each service.
    pub(super) start: Start,
    pub(super) mode: Mode,
    pub(super) filter: Filter,
    /// Which run of each service alone.
    pub(super) run: Option<RunWish>,
    /// What lines have to be beside that.
    pub(super) sift: Option<Sift>,
    pub(super) look: Look,
}

impl Options {
    /// What so many services log from now on, for a command that stays in the foreground. Into a file, another program
    /// or a container's log, what one service prints goes as it is; among names and the lines of others that would be
    /// nothing that a program could take apart.
    pub(super) fn foreground(palette: Palette, services: usize) -> Options {
        let form = match (io::stdout().is_terminal() || services > 1, palette) {
            (true, Palette::Colored) => Form::Text(Colors::Kept),
            (true, Palette::Plain) => Form::Text(Colors::Removed),
            (false, _) => Form::Raw,
        };
        Options {
            start: Start::Last(0),
            mode: Mode::Follow,
            filter: Filter::default(),
            run: None,
            sift: None,
            look: Look {
                form,
                times: Times::Hidden,
                extras: Extras::All,
                returns: Returns::on(io::stdout().is_terminal()),
            },
        }
    }
}

/// A run that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunWish {
    Number(u64),
    /// So many runs before the last one.
    Back(usize),
}

impl RunWish {
    /// The number of that run of this service, if its log knows of it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn find(self, directory: &Path, name: &str) -> io::Result<Option<u64>> {
        match self {
            Self::Number(run) => Ok(log::has_run(directory, name, run)?.then_some(run)),
            Self::Back(back) => {
                let runs = log::last_runs(directory, name, back.saturating_add(1))?;
                Ok(runs.get(back).copied())
            }
        }
    }
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shade {
    /// The name of the n-th service.
    Name(usize),
    Time,
    /// A run began or ended.
    Mark,
    /// Bytes were lost.
    Notice,
}

/// Gives text its colour, or leaves it as it is.
pub(super) trait Painter {
    fn paint(&self, shade: Shade, text: &str) -> String;
}

/// Logs on their way to a reader.
#[derive(Debug)]
pub(super) struct View {
    merge: Merge,
    directory: PathBuf,
    filter: Filter,
    unbegun: Unbegun,
    names: Vec<String>,
    /// Characters of the longest name.
    width: usize,
    look: Look,
    sift: Option<Sift>,
    /// The line that a piece was printed of and whose rest did not come yet.
    divided: Option<Divided>,
    /// What is printed of one entry.
    text: Vec<u8>,
}

/// What stands between a service's name and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bar {
    Plain,
    /// Of a line from standard error that is kept apart.
    Error,
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
    pub(super) fn open(
        directory: &Path,
        names: &[String],
        options: Options,
    ) -> Result<View, LogsError> {
        let course = Course {
            start: options.start,
            mode: options.mode,
        };
        let listing = Listing::of(directory, names);
        let mut readers = Vec::with_capacity(names.len());
        for name in names {
            let sieve = sieve(options.sift.as_ref());
            let failed = |cause| LogsError::Read {
                name: name.clone(),
                cause,
            };
            let (mut filter, mut course) = (options.filter, course);
            if let Some(wish) = options.run {
                // A service without that run has nothing to show, and never will have.
                let run = wish.find(directory, name).map_err(failed)?;
                filter.run = Some(run.unwrap_or(u64::MAX));
                course.mode = run.map_or(Mode::Once, |_| course.mode);
            }
            let reader = Reader::sifted(&listing, name, course, filter, sieve);
            readers.push(reader.map_err(failed)?);
        }
        let widths = names.iter().map(|name| name.chars().count());
        Ok(View {
            unbegun: Unbegun::of(listing, &readers, &options),
            merge: Merge::new(readers),
            directory: directory.to_owned(),
            filter: options.filter,
            width: widths.max().unwrap_or(0),
            names: names.to_vec(),
            look: options.look,
            sift: options.sift,
            divided: None,
            text: Vec::new(),
        })
    }

    /// Takes in a service whose log has begun: all of that is new.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn add(&mut self, name: String) -> Result<(), LogsError> {
        let course = Course {
            start: Start::Oldest,
            mode: Mode::Follow,
        };
        let sieve = sieve(self.sift.as_ref());
        let listing = Listing::none(&self.directory);
        let reader = Reader::sifted(&listing, &name, course, self.filter, sieve);
        match reader {
            Ok(reader) => self.merge.add(reader),
            Err(cause) => return Err(LogsError::Read { name, cause }),
        }
        self.width = self.width.max(name.chars().count());
        self.names.push(name);
        Ok(())
    }

    /// The services, those that have begun meanwhile last.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Only what the services print.
    #[must_use]
    pub(super) fn without_marks(mut self) -> Self {
        self.look.extras = Extras::Losses;
        self
    }

    /// Packed files that could not be unpacked and were left out: whose, and what is wrong with each.
    pub(super) fn left_out(&self) -> Vec<(&str, &str)> {
        let name = |place: usize| self.names.get(place).map_or("", String::as_str);
        let damages = self.merge.left_out();
        damages.map(|(place, text)| (name(place), text)).collect()
    }

    /// The logs may have changed.
    pub(super) fn changed(&mut self, changes: &Changes) {
        match changes {
            Changes::Nothing => {}
            Changes::Of(places) => {
                for place in places {
                    self.merge.changed_at(*place);
                }
            }
            Changes::All => self.merge.changed(),
        }
    }

    /// Prints all that there is now, and flushes.
    ///
    /// # Errors
    /// A log cannot be read, or `output` takes no more.
    pub(super) fn print(
        &mut self,
        painter: &dyn Painter,
        output: &mut dyn Write,
    ) -> Result<(), LogsError> {
        loop {
            match self.merge.next_entry() {
                Ok(Some((place, entry))) => {
                    self.text.clear();
                    self.beginning(place, &entry, painter);
                    match self.look.form {
                        Form::Json => self.object(place, &entry),
                        Form::Raw | Form::Text(_) => self.entry(place, &entry, painter),
                    }
                    output.write_all(&self.text).map_err(LogsError::Write)?;
                }
                Ok(None) => return output.flush().map_err(LogsError::Write),
                Err((place, cause)) => {
                    let name = self.names.get(place).cloned().unwrap_or_default();
                    return Err(LogsError::Read { name, cause });
                }
            }
        }
    }

    /// Puts down that what comes before the first entry of a service is gone, if it is.
    fn beginning(&mut self, place: usize, entry: &Entry, painter: &dyn Painter) {
        let name = self.names.get(place).map_or("", String::as_str);
        let is_beheaded = self.unbegun.is_beheaded((place, name), entry);
        if !is_beheaded || self.look.extras == Extras::Nothing || self.sift.is_some() {
            return;
        }
        if self.look.form == Form::Json {
            let object = logjson::rotated_away(name, entry);
            self.text.extend_from_slice(object.line().as_bytes());
            return;
        }
        self.begin_line(place, (entry.time_ms, Bar::Plain), painter);
        let text = format!("— {} —", logjson::ROTATED_AWAY);
        let text = painter.paint(Shade::Notice, &text);
        self.text.extend_from_slice(text.as_bytes());
        self.text.push(b'\n');
    }

    /// Puts an entry into `text`.
    fn entry(&mut self, place: usize, entry: &Entry, painter: &dyn Painter) {
        let run = entry.run;
        match &entry.content {
            Content::Line {
                stream,
                bytes,
                part,
                end,
            } => {
                let this = Divided {
                    place,
                    run,
                    stream: *stream,
                };
                let is_rest = self.divided == Some(this);
                let left = self.look.after_returns(bytes, *end);
                if is_rest && left.is_some() {
                    // What was shown of it is overwritten, which is not possible any more.
                    self.text.push(b'\n');
                }
                if !is_rest || left.is_some() {
                    let bar = match stream {
                        Stream::Out => Bar::Plain,
                        Stream::Err => Bar::Error,
                    };
                    self.begin_line(place, (entry.time_ms, bar), painter);
                }
                match (self.look.form, left) {
                    (Form::Text(colors), Some(left)) => shown::line(left, colors, &mut self.text),
                    (Form::Text(colors), None) => {
                        if !is_rest && *part != Part::Head {
                            self.text.extend_from_slice(GOES_ON.as_bytes());
                        }
                        shown::line(part.split_level(bytes).1, colors, &mut self.text);
                    }
                    (Form::Raw | Form::Json, _) => self.text.extend_from_slice(bytes),
                }
                self.divided = (*end == LineEnd::Cut).then_some(this);
                if self.divided.is_none() {
                    self.text.push(b'\n');
                }
            }
            Content::Notice { bytes } => {
                if self.shows_notice(bytes) {
                    self.begin_line(place, (entry.time_ms, Bar::Plain), painter);
                    let text = text::clean(&String::from_utf8_lossy(bytes));
                    let text = painter.paint(Shade::Notice, &format!("— {text} —"));
                    self.text.extend_from_slice(text.as_bytes());
                    self.text.push(b'\n');
                }
            }
            Content::Mark(mark) => {
                if self.shows_mark(*mark) {
                    self.begin_line(place, (entry.time_ms, Bar::Plain), painter);
                    let shade = match mark {
                        Mark::Lost(_) => Shade::Notice,
                        Mark::Begin { .. } | Mark::End(_) | Mark::Cleared => Shade::Mark,
                    };
                    let text = painter.paint(shade, &mark_text(run, *mark));
                    self.text.extend_from_slice(text.as_bytes());
                    self.text.push(b'\n');
                }
            }
        }
    }

    /// Puts an entry into `text` as an object.
    fn object(&mut self, place: usize, entry: &Entry) {
        let is_shown = match &entry.content {
            Content::Line { .. } => true,
            Content::Notice { bytes } => self.shows_notice(bytes),
            Content::Mark(mark) => self.shows_mark(*mark),
        };
        if !is_shown {
            return;
        }
        let name = self.names.get(place).map_or("", String::as_str);
        let object = logjson::object(name, entry);
        self.text.extend_from_slice(object.line().as_bytes());
    }

    /// Where only some lines are wanted, the beginning or the end of a run is none of them.
    fn shows_mark(&self, mark: Mark) -> bool {
        match mark {
            Mark::Lost(loss) => self.shows_notice(loss_text(loss).as_bytes()),
            Mark::Begin { .. } | Mark::End(_) | Mark::Cleared => {
                self.look.extras == Extras::All && self.sift.is_none()
            }
        }
    }

    fn shows_notice(&self, bytes: &[u8]) -> bool {
        let sift = self.sift.as_ref();
        self.look.extras != Extras::Nothing
            && sift.is_none_or(|sift| sift.wants(Level::Warning, bytes))
    }

    /// Ends a line that is divided, and puts down the time if it is wanted, and the name where there are several.
    fn begin_line(&mut self, place: usize, (time_ms, bar): (u64, Bar), painter: &dyn Painter) {
        if self.divided.take().is_some() {
            self.text.push(b'\n');
        }
        if self.look.times == Times::Shown {
            let time = painter.paint(Shade::Time, &text::local_time(time_ms));
            self.text.extend_from_slice(time.as_bytes());
            self.text.push(b' ');
        }
        if self.names.len() < 2 {
            return;
        }
        let name = self.names.get(place).map_or("", String::as_str);
        let width = self.width;
        let head = match bar {
            Bar::Plain => painter.paint(Shade::Name(place), &format!("{name:<width$} |")),
            Bar::Error => {
                let name = painter.paint(Shade::Name(place), &format!("{name:<width$} "));
                name + &painter.paint(Shade::Notice, "!")
            }
        };
        self.text.extend_from_slice(head.as_bytes());
        self.text.push(b' ');
    }
}

fn sieve(sift: Option<&Sift>) -> Option<Box<dyn Sieve>> {
    sift.map(|sift| Box::new(sift.clone()) as Box<dyn Sieve>)
}

/// Why nothing more is printed of what is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// As [`Waited::Due`]: whoever has looked goes on following.
    Due,
    Over,
}

/// Prints all there is, and when the view follows, what comes, until the wait is over or interrupted.
///
/// # Errors
/// A log cannot be read, the wait is impossible, or `output` takes no more (a broken pipe among others).
pub(super) fn follow(
    view: &mut View,
    wait: &mut dyn Wait,
    painter: &dyn Painter,
    output: &mut dyn Write,
) -> Result<Pause, LogsError> {
    loop {
        for name in wait.take_begun() {
            view.add(name)?;
        }
        view.print(painter, output)?;
        // Where there is no service yet, one is waited for.
        if view.merge.is_over() && !view.names.is_empty() {
            return Ok(Pause::Over);
        }
        match wait.wait().map_err(LogsError::Wait)? {
            Waited::Changed(changes) => view.changed(&changes),
            Waited::Due => return Ok(Pause::Due),
            Waited::Ended => {
                // What came last has not been told of by the kernel, or not been taken in yet.
                view.changed(&Changes::All);
                return view.print(painter, output).map(|()| Pause::Over);
            }
        }
    }
}

/// Where a run began or ended, in words.
pub(super) fn mark_text(run: u64, mark: Mark) -> String {
    match mark {
        Mark::Cleared => "— the log was emptied —".to_owned(),
        Mark::Begin { pid } => format!("— run {run} began, PID {pid} —"),
        Mark::End(Ending::Exited { code }) => format!("— run {run} exited with code {code} —"),
        Mark::End(Ending::Signaled { signal }) => match Signal::from_number(signal) {
            Some(signal) => format!("— run {run} was ended by {signal} —"),
            None => format!("— run {run} was ended by signal {signal} —"),
        },
        Mark::End(Ending::Unknown) => format!("— run {run} ended, nobody saw how —"),
        Mark::Lost(loss) => format!("— {} —", loss_text(loss)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::path::PathBuf;

    use super::super::logwatch::LogWatch;
    use super::super::unbegun::is_cut_after;
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
        run: None,
        sift: None,
        look: Look {
            form: Form::Text(Colors::Removed),
            times: Times::Hidden,
            extras: Extras::All,
            returns: Returns::Shown,
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
                Shade::Time => format!("<time>{text}</>"),
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
        db.append(2, Stream::Err, 4, b"oops\n");
        web.append(3, Stream::Out, 1, b"hello\nhalf");
        web.mark(5, 1, Mark::End(Ending::Signaled { signal: 9 }));
        let mut view = View::open(&folder.0, &names(&["web", "database"]), ALL).unwrap();
        let mut output = Vec::new();
        view.print(&Tags, &mut output).unwrap();
        let expected = "<0>web      |</> <mark>— run 1 began, PID 40 —</>\n\
                        <1>database |</> ready\n\
                        <1>database </><notice>!</> oops\n\
                        <0>web      |</> hello\n\
                        <0>web      |</> half\n\
                        <0>web      |</> <mark>— run 1 was ended by SIGKILL —</>\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    fn printed(folder: &Folder, options: Options) -> Vec<u8> {
        let mut view = View::open(&folder.0, &names(&["web"]), options).unwrap();
        let mut output = Vec::new();
        view.print(&Plain, &mut output).unwrap();
        output
    }

    fn looking(form: Form) -> Options {
        let look = Look { form, ..ALL.look };
        Options { look, ..ALL }
    }

    #[test]
    fn raw_is_as_it_is_and_anything_else_is_fit_to_be_seen() {
        let folder = Folder::new("one");
        let mut long = b"<3>".to_vec();
        long.extend(vec![b'x'; LINE_BYTES_MAX + 10]);
        long.extend(b"\n<4>\xff\x1b[31mred\r\n");
        // As an earlier version wrote it, whose runs had no marks.
        folder.writer("web").append(3, Stream::Out, 0, &long);
        assert!(printed(&folder, looking(Form::Raw)) == long);
        let text = printed(&folder, ALL);
        assert!(text.ends_with(b"x\n\\xffred\n"));
        assert_eq!(text.len(), LINE_BYTES_MAX + 10 + 1 + 8);
        let text = printed(&folder, looking(Form::Text(Colors::Kept)));
        assert!(text.ends_with(b"\n\\xff\x1b[31mred\x1b[0m\n"));
        let objects = String::from_utf8(printed(&folder, looking(Form::Json))).unwrap();
        let levels: Vec<_> = objects
            .lines()
            .map(|line| line.contains("\"priority\":3"))
            .collect();
        // The pieces of a line are of one level.
        assert_eq!(levels, [true, true, false]);
        assert!(objects.contains("\"bytes\":"), "{objects}");
    }

    #[test]
    fn what_was_overwritten_is_not_shown_on_a_terminal() {
        let folder = Folder::new("returns");
        let mut web = folder.writer("web");
        let said = b"<4>10%\r\x1b[2K20%\r100%\r\nwindows\r\n\r\rnone\r\r\n";
        web.append(3, Stream::Out, 0, said);
        let obeyed = Options {
            look: Look {
                returns: Returns::Obeyed,
                ..ALL.look
            },
            ..ALL
        };
        let text = printed(&folder, obeyed.clone());
        assert_eq!(text.escape_ascii().to_string(), "100%\\nwindows\\nnone\\n");
        let text = String::from_utf8(printed(&folder, ALL)).unwrap();
        assert!(text.starts_with("10%\\r20%\\r100%\nwindows\n"), "{text}");
        // Of one that is so long that it comes in pieces, what a piece has shown stays.
        let bar = b"done: 1234567\r".repeat(2 * LINE_BYTES_MAX / 14);
        web.append(4, Stream::Out, 0, &bar);
        web.append(4, Stream::Out, 0, b"all\n");
        let text = String::from_utf8(printed(&folder, obeyed)).unwrap();
        assert!(text.ends_with("all\n") && text.len() < 100, "{text}");
    }

    #[test]
    fn a_line_that_is_in_pieces_is_of_one_level() {
        let folder = Folder::new("pieces");
        let mut long = b"<3>".to_vec();
        long.extend(vec![b'x'; LINE_BYTES_MAX * 3]);
        long.extend(b"\nplain\n");
        folder.writer("web").append(3, Stream::Out, 1, &long);
        let levels = Some(super::super::sift::Levels::parse("--priority", "err").unwrap());
        let sift = Some(Sift {
            levels,
            pattern: None,
        });
        let text = printed(&folder, Options { sift, ..ALL });
        assert_eq!(text.len(), LINE_BYTES_MAX * 3 + 1);
        // A piece alone does not look like a line.
        folder.writer("web").append(
            4,
            Stream::Out,
            1,
            &[&long[..LINE_BYTES_MAX], b"needle\n"].concat(),
        );
        let pattern = Some(super::super::pattern::Pattern::parse("--grep", "needle").unwrap());
        let sift = Some(Sift {
            levels: None,
            pattern,
        });
        let text = printed(&folder, Options { sift, ..ALL });
        assert_eq!(String::from_utf8(text).unwrap(), "…needle\n");
    }

    #[test]
    fn what_was_rotated_away_is_said() {
        let folder = Folder::new("beheaded");
        let mut web = folder.writer("web");
        let cut = "— earlier lines were rotated away —\n";
        // What is run before the main process has no mark of its own.
        web.append(100, Stream::Out, 1, b"before\n");
        web.mark(200, 2, Mark::Begin { pid: 40 });
        let text = || String::from_utf8(printed(&folder, ALL)).unwrap();
        assert!(text().starts_with("before\n"), "{}", text());
        for number in 0..200 {
            let line = format!("line {number}\n");
            web.append(200 + number, Stream::Out, 2, line.as_bytes());
        }
        assert!(text().starts_with(cut), "{}", text());
        web.mark(500, 2, Mark::End(Ending::Exited { code: 0 }));
        assert!(text().starts_with(cut), "{}", text());
        web.mark(600, 3, Mark::Begin { pid: 41 });
        web.append(600, Stream::Out, 3, b"again\n");
        assert!(text().starts_with(cut), "{}", text());
        for (run, is_cut) in [(2, true), (3, false)] {
            let run = Some(RunWish::Number(run));
            let output = printed(&folder, Options { run, ..ALL });
            let text = String::from_utf8(output).unwrap();
            assert_eq!(text.starts_with(cut), is_cut, "{text}");
        }
        let objects = String::from_utf8(printed(&folder, looking(Form::Json))).unwrap();
        assert!(objects.contains("\"event\":\"rotated-away\""), "{objects}");
        for (run, since_ms, is_cut) in [
            (None, 150, true),
            (Some(2), 150, true),
            (Some(3), 150, false),
            (None, 399, false),
            (None, 600, false),
        ] {
            let filter = Filter {
                since_ms: Some(since_ms),
                ..ALL.filter
            };
            let run = run.map(RunWish::Number);
            let wanted = Options { filter, run, ..ALL };
            let text = String::from_utf8(printed(&folder, wanted)).unwrap();
            assert_eq!(text.starts_with(cut), is_cut, "{since_ms}: {text}");
        }
        assert!(is_cut_after(&folder.0, "web", 150) && !is_cut_after(&folder.0, "web", 399));
        let sift = Some(Sift::default());
        let output = printed(&folder, Options { sift, ..ALL });
        assert!(output.starts_with(b"line "));
    }

    #[test]
    fn one_run_is_found_from_the_end() {
        let folder = Folder::new("run");
        let mut web = folder.writer("web");
        for run in [2, 5, 7] {
            web.mark(run * 100, run, Mark::Begin { pid: 40 });
            web.append(
                run * 100,
                Stream::Out,
                run,
                format!("in {run}\n").as_bytes(),
            );
        }
        let look = Look {
            extras: Extras::Losses,
            ..ALL.look
        };
        for (wish, text) in [
            (RunWish::Number(2), "in 2\n"),
            (RunWish::Number(3), ""),
            (RunWish::Back(0), "in 7\n"),
            (RunWish::Back(1), "in 5\n"),
            (RunWish::Back(3), ""),
        ] {
            let run = Some(wish);
            let output = printed(&folder, Options { run, look, ..ALL });
            assert_eq!(String::from_utf8(output).unwrap(), text, "{wish:?}");
        }
    }

    /// Writes between waits, on the kernel's word that something changed.
    struct Script {
        watch: LogWatch,
        writer: Writer,
        left: u64,
    }

    impl Wait for Script {
        fn wait(&mut self) -> io::Result<Waited> {
            self.left -= 1;
            let line = format!("number {} {}\n", self.left, "y".repeat(90));
            self.writer
                .append(self.left, Stream::Out, 1, line.as_bytes());
            match self.left {
                // The time is up before the kernel has told of it.
                0 => Ok(Waited::Ended),
                _ => self.watch.wait(),
            }
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
        let pause = follow(&mut view, &mut script, &Plain, &mut output).unwrap();
        assert_eq!(pause, Pause::Over);
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
}
