//! Shell patterns over names: `*`, `?` and `[a-z]`, as glob(7) has them.
//!
//! Owns matching one pattern against one text; which names are looked at is the caller's.

/// Whether the whole `text` matches `pattern`: `*` is any run of characters, `?` one character, `[…]` one of a set
/// with ranges (`[!…]` or `[^…]`: none of it), `\` takes the next character as it is. A `[` that is never closed
/// stands for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands and how far the text had been read then: the only place worth going back to.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            p += 1;
            retry = Some((p, t));
        } else if let Some(next) = step(&pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            p = after_star;
            t = from + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a text is a pattern rather than a plain name.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Where the pattern goes on if its element at `p` takes `c`.
fn step(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        '[' => match set(&pattern[p + 1..], c) {
            Some((taken, length)) => taken.then_some(p + 1 + length),
            None => (c == '[').then_some(p + 1),
        },
        literal => (literal == c).then_some(p + 1),
    }
}

/// Reads a set after its `[`: whether it takes `c`, and its length with the closing bracket. `None` if it is not
/// closed.
fn set(rest: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(rest.first(), Some('!' | '^'));
    let first = usize::from(negated);
    let mut i = first;
    let mut found = false;
    loop {
        let low = *rest.get(i)?;
        // A bracket right at the start belongs to the set.
        if low == ']' && i > first {
            return Some((found != negated, i + 1));
        }
        match (rest.get(i + 1), rest.get(i + 2)) {
            (Some('-'), Some(&high)) if high != ']' => {
                found |= (low..=high).contains(&c);
                i += 3;
            }
            _ => {
                found |= low == c;
                i += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text) in [
            ("web", "web"),
            ("*", ""),
            ("*", "anything"),
            ("worker@*", "worker@12"),
            ("worker@?", "worker@1"),
            ("*a*b*", "xxaxxbxx"),
            ("a*b*c", "abbbbc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[^a-c]x", "dx"),
            ("[]x]", "]"),
            ("[a-]", "-"),
            ("[", "["),
            ("[ab", "[ab"),
            ("\\*", "*"),
            ("é?", "éü"),
        ] {
            assert!(matches(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in [
            ("web", "webs"),
            ("", "a"),
            ("worker@?", "worker@12"),
            ("[a-c]x", "dx"),
            ("[!a-c]x", "ax"),
            ("a*b", "ac"),
            ("\\*", "a"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "*a".repeat(40);
        assert!(!matches(&pattern, &"a".repeat(39)));
        assert!(!matches(&(pattern + "b"), &"a".repeat(4000)));
    }

    #[test]
    fn plain_names_are_no_patterns() {
        assert!(is_pattern("a*") && is_pattern("a?") && is_pattern("[a]"));
        assert!(!is_pattern("worker@1"));
    }
}
