//! A source file, taken apart just far enough for the rules: code without comments and texts, comments without code,
//! and which lines are tests. It knows no grammar beyond braces.

/// One file.
pub(super) struct Source {
    /// From the top of the repository, such as `src/wire/frame.rs`.
    pub(super) path: String,
    pub(super) lines: Vec<Line>,
}

/// One line.
#[derive(Default)]
pub(super) struct Line {
    pub(super) raw: String,
    /// What is left without comments; texts and characters are empty.
    pub(super) code: String,
    /// The comment's text, slashes included.
    pub(super) comment: String,
    /// It belongs to an item under `#[cfg(test)]`.
    pub(super) test: bool,
}

/// One function of a file.
pub(super) struct Function {
    pub(super) name: String,
    /// Index of its first line.
    pub(super) first: usize,
    /// Lines from `fn` to the closing brace.
    pub(super) length: usize,
    /// Without `self`.
    pub(super) parameters: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut lines = take_apart(text);
        mark_tests(&mut lines);
        Self {
            path: path.to_owned(),
            lines,
        }
    }

    /// The room in `src/` that the file is in; the file's own name for one directly in `src/`.
    pub(super) fn room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split('/').next()
    }

    /// Lines that are no tests, with their index.
    pub(super) fn shipped(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| !line.test)
    }

    /// The paths, without `.rs`, of the modules that this file declares for tests only.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let folder = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let declared = self
            .lines
            .iter()
            .filter(|line| line.test)
            .filter_map(|line| {
                let code = line.code.trim();
                let name = code.split_once("mod ")?.1.strip_suffix(';')?;
                Some(format!("{folder}/{name}"))
            });
        declared.collect()
    }

    /// All code in one text, line by line.
    pub(super) fn code(&self) -> String {
        self.lines
            .iter()
            .flat_map(|line| [&line.code, "\n"])
            .collect()
    }

    /// Every function with a body.
    pub(super) fn functions(&self) -> Vec<Function> {
        let code = self.code();
        let mut functions = Vec::new();
        for (at, _) in words(&code, "fn") {
            let rest = &code[at + 2..];
            let name: String = rest
                .trim_start()
                .chars()
                .take_while(|c| is_word(*c))
                .collect();
            let Some((parameters, open)) = signature(rest) else {
                continue;
            };
            let Some(close) = matching(&rest[open..]) else {
                continue;
            };
            let count = |text: &str| text.matches('\n').count();
            functions.push(Function {
                name,
                first: count(&code[..at]),
                length: count(&rest[..open + close]) + 1,
                parameters,
            });
        }
        functions
    }
}

/// Where `word` stands in `code` as a word of its own, and what follows it.
pub(super) fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = (usize, &'c str)> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + word.len()..];
        let alone = !before.is_some_and(is_word) && !after.chars().next().is_some_and(is_word);
        alone.then_some((at, after))
    })
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many parameters a function has, and where its body opens. Nothing for a function without a body or a function
/// type.
fn signature(rest: &str) -> Option<(usize, usize)> {
    let (mut depth, mut commas, mut filled, mut parameters) = (0_usize, 0, false, None);
    let mut previous = ' ';
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' | '<' => depth += 1,
            '>' if previous == '-' || previous == '=' => {}
            ')' | ']' | '>' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && c == ')' && parameters.is_none() {
                    parameters = Some(commas + usize::from(filled));
                }
            }
            ',' if depth == 1 && parameters.is_none() => {
                commas += 1;
                filled = false;
            }
            '{' if depth == 0 => return Some((without_self(rest, parameters?), at)),
            ';' | '}' if depth == 0 => return None,
            _ if depth > 0 && !c.is_whitespace() => filled = true,
            _ => {}
        }
        if c == '(' && depth == 1 && parameters.is_none() {
            // Commas so far were those of generics.
            (commas, filled) = (0, false);
        }
        previous = c;
    }
    None
}

fn without_self(rest: &str, parameters: usize) -> usize {
    let first = rest.split_once('(').map_or("", |(_, inner)| inner);
    let first = first.split([',', ')', ':']).next().unwrap_or_default();
    parameters - usize::from(words(first, "self").next().is_some())
}

/// The distance from the brace that `text` begins with to its partner.
fn matching(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Marks what stands under `#[cfg(test)]`, up to the end of the item.
fn mark_tests(lines: &mut [Line]) {
    let mut index = 0;
    while index < lines.len() {
        if lines[index].code.trim() != "#[cfg(test)]" {
            index += 1;
            continue;
        }
        let mut depth = 0_i32;
        while let Some(line) = lines.get_mut(index) {
            line.test = true;
            index += 1;
            let before = depth;
            for c in line.code.chars() {
                depth += i32::from(c == '{') - i32::from(c == '}');
            }
            let closed = depth == 0 && (before > 0 || line.code.contains('}'));
            if closed || (depth == 0 && line.code.trim_end().ends_with(';')) {
                break;
            }
        }
    }
}

fn take_apart(text: &str) -> Vec<Line> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        inside: Inside::Code,
        lines: vec![Line::default()],
    };
    while lexer.step() {}
    for (line, raw) in lexer.lines.iter_mut().zip(text.split('\n')) {
        raw.clone_into(&mut line.raw);
    }
    lexer.lines
}

#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    LineComment,
    /// With how many are open.
    BlockComment(usize),
    Text,
    /// With how many `#` it ends.
    RawText(usize),
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    inside: Inside,
    lines: Vec<Line>,
}

impl Lexer {
    /// Takes one character, or one token that must not be cut.
    fn step(&mut self) -> bool {
        let Some(&c) = self.chars.get(self.at) else {
            return false;
        };
        if c == '\n' {
            if self.inside == Inside::LineComment {
                self.inside = Inside::Code;
            }
            self.lines.push(Line::default());
            self.at += 1;
            return true;
        }
        self.at += match self.inside {
            Inside::Code => self.code(c),
            Inside::LineComment => self.comment(c),
            Inside::BlockComment(open) => self.block_comment(c, open),
            Inside::Text => self.text(c),
            Inside::RawText(hashes) => self.raw_text(c, hashes),
        };
        true
    }

    fn code(&mut self, c: char) -> usize {
        let behind = self.at.checked_sub(1).map(|before| self.chars[before]);
        let rest = &self.chars[self.at..];
        let (inside, code, taken) = if self.starts("//") {
            (Inside::LineComment, "", 0)
        } else if self.starts("/*") {
            (Inside::BlockComment(1), "", 2)
        } else if let Some((hashes, length)) =
            raw_text(rest).filter(|_| !behind.is_some_and(is_word))
        {
            (Inside::RawText(hashes), "\"", length)
        } else if c == '"' {
            (Inside::Text, "\"", 1)
        } else if let Some(length) = character(rest) {
            (Inside::Code, "''", length)
        } else {
            self.line().code.push(c);
            return 1;
        };
        self.inside = inside;
        self.line().code.push_str(code);
        taken
    }

    fn comment(&mut self, c: char) -> usize {
        self.line().comment.push(c);
        1
    }

    fn block_comment(&mut self, c: char, open: usize) -> usize {
        if self.starts("/*") {
            self.inside = Inside::BlockComment(open + 1);
            return 2;
        }
        if self.starts("*/") {
            self.inside = match open {
                1 => Inside::Code,
                more => Inside::BlockComment(more - 1),
            };
            return 2;
        }
        self.comment(c)
    }

    fn text(&mut self, c: char) -> usize {
        if c == '"' {
            self.inside = Inside::Code;
            self.line().code.push(c);
        }
        let escapes = c == '\\' && self.chars.get(self.at + 1) != Some(&'\n');
        1 + usize::from(escapes)
    }

    fn raw_text(&mut self, c: char, hashes: usize) -> usize {
        let ends = c == '"' && (1..=hashes).all(|i| self.chars.get(self.at + i) == Some(&'#'));
        if !ends {
            return 1;
        }
        self.inside = Inside::Code;
        self.line().code.push(c);
        hashes + 1
    }

    fn line(&mut self) -> &mut Line {
        self.lines.last_mut().unwrap()
    }

    fn starts(&self, what: &str) -> bool {
        let mut rest = self.chars[self.at..].iter();
        what.chars().all(|c| rest.next() == Some(&c))
    }
}

/// Whether a raw text begins here: with how many `#`, and how long its opening is.
fn raw_text(chars: &[char]) -> Option<(usize, usize)> {
    let (prefix, rest) = match chars {
        ['r', rest @ ..] => (1, rest),
        ['b' | 'c', 'r', rest @ ..] => (2, rest),
        _ => return None,
    };
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some((hashes, prefix + hashes + 1))
}

/// The length of a character literal that begins here; a lifetime is none.
fn character(chars: &[char]) -> Option<usize> {
    match chars {
        ['\'', '\\', _, rest @ ..] => Some(4 + rest.iter().position(|c| *c == '\'')?),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}
