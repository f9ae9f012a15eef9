//! What each rule looks for.

use super::source::{Line, Source, is_word, words};

/// Line, from 1, and what is wrong there.
pub(super) type Faults = Vec<(usize, String)>;

/// Which rooms each room may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("sorted.rs", &[]),
    ("unit", &[]),
    ("sys", &[]),
    ("log", &["sys"]),
    ("engine", &["unit"]),
    ("wire", &["unit", "engine"]),
    ("daemon", &["unit", "engine", "wire", "sys", "log"]),
    ("cli", &["unit", "engine", "wire", "sys", "log", "daemon"]),
];

/// Which rooms may use each package, by its name in Rust.
pub(super) const OWNERS: &[(&str, &[&str])] = &[
    ("mio", &["daemon"]),
    ("nix", &["sys"]),
    ("rustix", &["sys"]),
    ("libc", &["sys"]),
    ("seccompiler", &["sys"]),
    ("serde", &["unit"]),
    ("toml", &["unit"]),
    ("miniserde", &["wire"]),
    ("pico_args", &["cli"]),
    ("yansi", &["cli"]),
    ("regex_lite", &["cli"]),
    ("simplelog", &["cli"]),
    ("log", &["daemon", "cli"]),
];

/// Lines of a file, its tests not counted.
pub(super) const FILE_LINES: usize = 500;
/// Lines of a file that is all tests.
pub(super) const TEST_FILE_LINES: usize = 900;
const FUNCTION_LINES: usize = 70;
const PARAMETERS: usize = 5;
const CODE_COLUMNS: usize = 100;
const COMMENT_COLUMNS: usize = 120;

pub(super) fn layers(source: &Source) -> Faults {
    let Some(room) = source.room() else {
        return Vec::new();
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == room) else {
        return Vec::new();
    };
    let code = source.code();
    let mut used = Vec::new();
    for (at, after) in words(&code, "crate") {
        used.extend(first_names(after).map(|name| (at, name)));
    }
    for (at, after) in words(&code, "super") {
        if let Some(path) = beyond_room(source, at, after) {
            used.extend(first_names(path).map(|name| (at, name)));
        }
    }
    used.into_iter()
        .filter(|(_, name)| *name != room && LAYERS.iter().any(|(other, _)| other == name))
        .filter(|(_, name)| !allowed.contains(name))
        .map(|(at, name)| (line_of(&code, at), format!("{room} uses {name}")))
        .collect()
}

/// The names that the code takes from its crate's root.
pub(super) fn root_names(source: &Source) -> Vec<String> {
    let code = source.code();
    words(&code, "crate")
        .filter(|(_, after)| after.starts_with("::"))
        .flat_map(|(_, after)| first_names(after))
        .map(str::to_owned)
        .collect()
}

/// The names that follow `crate`: one, or those of a group.
fn first_names(after: &str) -> impl Iterator<Item = &str> {
    let path = after.strip_prefix("::").unwrap_or_default();
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    let group = path.strip_prefix('{');
    for (at, c) in group.unwrap_or_default().char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                parts.push(&path[1 + start..=at]);
                start = at + 1;
            }
            '}' if depth == 0 => {
                parts.push(&path[1 + start..=at]);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    if group.is_none() {
        parts.push(path);
    }
    parts.into_iter().map(|part| {
        let part = part.trim_start();
        &part[..part.find(|c| !is_word(c)).unwrap_or(part.len())]
    })
}

/// What a chain of `super` that begins here names in the crate's root, if it reaches that far.
fn beyond_room<'c>(source: &Source, at: usize, after: &'c str) -> Option<&'c str> {
    let inside = source
        .path
        .strip_prefix("src/")?
        .trim_end_matches("/mod.rs");
    let in_tests = source.lines[line_of(&source.code(), at) - 1].test;
    let modules = inside.split('/').count() + usize::from(in_tests);
    let mut supers = 1;
    let mut rest = after;
    while let Some(next) = rest.strip_prefix("::super") {
        supers += 1;
        rest = next;
    }
    (supers >= modules).then_some(rest)
}

pub(super) fn packages(source: &Source) -> Faults {
    let Some(room) = source.room() else {
        return Vec::new();
    };
    let code = source.code();
    let mut faults = Vec::new();
    for (package, owners) in OWNERS.iter().filter(|(_, owners)| !owners.contains(&room)) {
        for (at, after) in words(&code, package) {
            let before = &code[..at];
            let rooted =
                before.ends_with("::") && !before.trim_end_matches("::").ends_with(is_word);
            // Our own room has the facade's name: only the rooted path is the facade.
            let named = rooted || (!before.ends_with("::") && *package != "log");
            let used =
                after.starts_with("::") || (before.ends_with("use ") && after.starts_with(';'));
            if named && used {
                let text = format!("{package} belongs to {}", owners.join(" and "));
                faults.push((line_of(&code, at), text));
            }
        }
    }
    faults
}

/// The library's sorting machine comes anew for each type. A collection whose type stands elsewhere passes unseen.
pub(super) fn sorting(source: &Source) -> Faults {
    if source.room().is_none_or(|room| room == "sorted.rs") {
        return Vec::new();
    }
    let sorts = |code: &str| {
        [".sort(", ".sort_by", ".sort_unstable"]
            .iter()
            .any(|name| code.contains(name) && !code.contains("self.sort("))
    };
    let collects = |code: &str| code.contains("BTree") && code.contains(".collect()");
    source
        .shipped()
        .filter(|(_, line)| sorts(&line.code) || collects(&line.code))
        .map(|(index, _)| (index + 1, "src/sorted.rs does it in less code".to_owned()))
        .collect()
}

pub(super) fn unsafe_code(source: &Source) -> Faults {
    let in_sys = source.room() == Some("sys");
    let mut faults = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let used = words(&line.code, "unsafe").next().is_some();
        if !in_sys && (used || line.code.contains("(unsafe_code")) {
            faults.push((index + 1, "unsafe outside of sys".to_owned()));
        }
        let opens = words(&line.code, "unsafe")
            .any(|(_, after)| after.starts_with(" {") || after.starts_with(" impl"));
        if in_sys && opens && !has_safety(source, index) {
            faults.push((index + 1, "no SAFETY comment".to_owned()));
        }
    }
    faults
}

/// Whether the comment above the statement that line `index` belongs to, or on that line, says SAFETY.
fn has_safety(source: &Source, index: usize) -> bool {
    let is_comment =
        |at: usize| source.lines[at].code.trim().is_empty() && !source.lines[at].comment.is_empty();
    let mut at = index;
    // Up over the statement's own lines, then over its comment.
    while at > 0 && !is_comment(at - 1) && !ends_statement(&source.lines[at - 1].code) {
        at -= 1;
    }
    let mut found = source.lines[index].comment.contains("SAFETY:");
    while at > 0 && is_comment(at - 1) {
        at -= 1;
        found |= source.lines[at].comment.contains("SAFETY:");
    }
    found
}

fn ends_statement(code: &str) -> bool {
    let code = code.trim_end();
    code.is_empty() || code.ends_with([';', '{', '}'])
}

pub(super) fn clocks(source: &Source) -> Faults {
    if source.path == "src/sys/clock.rs" {
        return Vec::new();
    }
    let sleep = |code: &str| {
        words(code, "sleep").any(|(at, after)| {
            after.starts_with('(') && !code[..at].ends_with('.') && !code[..at].ends_with("fn ")
        })
    };
    let mut faults = find(source.lines.iter().enumerate(), "a sleep", sleep);
    if source.room().is_some() {
        faults.extend(find(source.shipped(), "a clock or thread", |code| {
            let threads = words(code, "thread").any(|(_, after)| after.starts_with("::"));
            code.contains("Instant::now") || has_word(code, &["SystemTime"]) || threads
        }));
    }
    faults
}

pub(super) fn hash_maps(source: &Source) -> Faults {
    let pure = ["unit", "engine", "wire", "log"];
    if !source.room().is_some_and(|room| pure.contains(&room)) {
        return Vec::new();
    }
    find(source.shipped(), "a hashed collection", |code| {
        has_word(code, &["HashMap", "HashSet", "RandomState"])
    })
}

pub(super) fn shared(source: &Source) -> Faults {
    if source.room().is_none() {
        return Vec::new();
    }
    find(source.shipped(), "shared or global state", |code| {
        has_word(code, &["Rc", "RefCell", "Arc", "Mutex", "thread_local"])
            || code.contains("static mut")
    })
}

/// By its number, a process is signalled only while it is ours and unreaped: the number is nobody else's then.
pub(super) fn numbers(source: &Source) -> Faults {
    let unreaped = ["src/sys/birth.rs", "src/sys/fork.rs", "src/sys/process.rs"];
    if source.room().is_none() || unreaped.contains(&source.path.as_str()) {
        return Vec::new();
    }
    find(source.shipped(), "a signal to a number", |code| {
        let calls = ["kill_process", "kill_process_group", "killpg", "sigqueue"];
        let raw = ["SYS_kill", "SYS_tkill", "SYS_tgkill", "SYS_rt_sigqueueinfo"];
        has_word(code, &calls) || has_word(code, &raw) || code.contains("libc::kill")
    })
}

pub(super) fn wildcards(source: &Source) -> Faults {
    let places = [
        "src/engine/cell",
        "src/engine/phase",
        "src/engine/service",
        "src/engine/start",
        "src/wire/codec",
        "src/wire/words",
    ];
    if !places.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    find(source.shipped(), "a wildcard arm", |code| {
        words(code, "_").any(|(_, after)| after.starts_with(" =>") || after.starts_with(" if "))
    })
}

pub(super) fn booleans(source: &Source) -> Faults {
    if source.room() != Some("engine") {
        return Vec::new();
    }
    let what = "a boolean that is kept or passed";
    find(source.shipped(), what, |code| {
        // Returning one is fine, in a tuple too.
        words(code, "bool").any(|(at, _)| code[..at].ends_with(": ") || code[..at].ends_with('<'))
    })
}

pub(super) fn printing(source: &Source) -> Faults {
    if source.room().is_none_or(|room| room == "cli") {
        return Vec::new();
    }
    find(source.shipped(), "printing or exiting", |code| {
        let prints = ["print", "println", "eprint", "eprintln"];
        has_macro(code, &prints) || code.contains("process::exit")
    })
}

pub(super) fn panics(source: &Source) -> Faults {
    let macros = ["panic", "todo", "unimplemented", "unreachable", "dbg"];
    find(source.shipped(), "a panic", |code| {
        code.contains(".unwrap()") || code.contains(".expect(\"") || has_macro(code, &macros)
    })
}

pub(super) fn opening(source: &Source) -> Faults {
    if source.lines[0].comment.starts_with("//!") {
        return Vec::new();
    }
    vec![(1, "it does not begin with //!".to_owned())]
}

pub(super) fn file_length(source: &Source) -> Faults {
    let (lines, limit) = match source.shipped().count() {
        0 => (source.lines.len(), TEST_FILE_LINES),
        shipped => (shipped, FILE_LINES),
    };
    if lines <= limit {
        return Vec::new();
    }
    vec![(limit, format!("{lines} lines, at most {limit}"))]
}

pub(super) fn function_length(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for function in source.functions() {
        let (name, length, parameters) = (function.name, function.length, function.parameters);
        if length > FUNCTION_LINES && !source.lines[function.first].test {
            faults.push((function.first + 1, format!("{name} has {length} lines")));
        }
        if parameters > PARAMETERS {
            faults.push((
                function.first + 1,
                format!("{name} has {parameters} parameters"),
            ));
        }
    }
    faults
}

pub(super) fn columns(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let columns = line.raw.chars().count();
        let comment = line.code.trim().is_empty() && !line.comment.is_empty();
        // A table's row cannot be broken, nor can a text: of code lines, only the code counts.
        let comment = comment && !line.comment.contains("! | ");
        let code = line.code.chars().count();
        if comment && columns > COMMENT_COLUMNS || code > CODE_COLUMNS {
            faults.push((index + 1, format!("{columns} columns")));
        }
    }
    faults
}

pub(super) fn exceptions(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let code = line.code.trim_start();
        let marks = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
        if !marks.iter().any(|mark| code.starts_with(mark)) {
            continue;
        }
        let above = index.checked_sub(1).map(|above| &source.lines[above]);
        // One that is long goes over several lines.
        let mut whole = source.lines[index..].iter().map(|line| &line.code);
        let mut attribute = whole.by_ref().take_while(|code| !code.contains(']'));
        let explained = code.contains("reason =")
            || attribute.any(|code| code.contains("reason ="))
            || !line.comment.is_empty()
            || above.is_some_and(|above| above.comment.starts_with("// "));
        if code.contains("dead_code") && !source.path.starts_with("fuzz/") {
            faults.push((index + 1, "dead code is kept".to_owned()));
        } else if !explained && !line.test {
            faults.push((index + 1, "no reason is given".to_owned()));
        }
    }
    faults
}

pub(super) fn comments(source: &Source) -> Faults {
    let mut faults = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let comment = &line.comment;
        let open = has_word(comment, &["TODO", "FIXME", "XXX", "HACK"]);
        let numbered = |c: char| c.is_ascii_digit();
        let issue = comment
            .match_indices('#')
            .any(|(at, _)| comment[at + 1..].starts_with(numbered));
        let place =
            words(comment, "line").any(|(_, after)| after.trim_start().starts_with(numbered));
        let commit = comment.split(|c| !is_word(c)).any(is_hash);
        if open || issue || place || commit {
            faults.push((index + 1, comment.clone()));
        }
    }
    faults
}

/// Whether a word looks like a commit's: hexadecimal, seven digits or more, of both kinds.
fn is_hash(word: &str) -> bool {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (7..=40).contains(&word.len())
        && word.chars().all(hexadecimal)
        && word.contains(|c: char| c.is_ascii_digit())
        && word.contains(|c: char| c.is_ascii_alphabetic())
}

fn find<'s>(
    lines: impl Iterator<Item = (usize, &'s Line)>,
    what: &str,
    test: impl Fn(&str) -> bool,
) -> Faults {
    lines
        .filter(|(_, line)| test(&line.code))
        .map(|(index, line)| (index + 1, format!("{what}: {}", line.raw.trim())))
        .collect()
}

fn has_word(code: &str, all: &[&str]) -> bool {
    all.iter().any(|word| words(code, word).next().is_some())
}

fn has_macro(code: &str, all: &[&str]) -> bool {
    all.iter()
        .any(|word| words(code, word).any(|(_, after)| after.starts_with('!')))
}

/// The line that a place in the code is in, from 1.
fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}
