//! The nearest known word to a mistyped one, for "did you mean".
//!
//! Owns the distance (Damerau–Levenshtein with adjacent swaps, letters compared without case) and how far is too far.

/// Longer words than this are not compared: nobody mistypes them, and the cost grows with the square.
const MAX_LENGTH: usize = 64;

/// The hint that names the nearest unit. A template is none that could be meant: only its instances are.
pub fn did_you_mean(near: &str) -> String {
    if near.ends_with('@') {
        format!("`{near}` is a template: `{near}` means its instances, `{near}1` one of them")
    } else {
        format!("did you mean `{near}`?")
    }
}

/// The hint that names the unit that was meant by a name that no unit has. Of an instance it is one of the nearest
/// template, if there is one: what stands behind the `@` is right whatever it is.
pub fn unit_meant<'c>(name: &str, known: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some((prefix, instance)) = name.split_once('@')
        && !instance.is_empty()
    {
        let templates = known.iter().filter_map(|known| known.strip_suffix('@'));
        if let Some(near) = nearest(prefix, templates) {
            return Some(format!("did you mean `{near}@{instance}`?"));
        }
    }
    nearest(name, known).map(did_you_mean)
}

/// The candidate nearest to `word`, if it is near enough to be what was meant: at most a third of its letters away,
/// and not all. Of several equally near the first wins.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = letters(word);
    if word.is_empty() || word.len() > MAX_LENGTH {
        return None;
    }
    let mut best: Option<(usize, &'c str)> = None;
    for candidate in candidates {
        let other = letters(candidate);
        if other.is_empty() || other.len() > MAX_LENGTH {
            continue;
        }
        let longer = word.len().max(other.len());
        let bound = (longer / 3).max(1).min(longer - 1);
        if word.len().abs_diff(other.len()) > bound {
            continue;
        }
        let far = distance(&word, &other);
        if far <= bound && best.is_none_or(|(nearer, _)| far < nearer) {
            best = Some((far, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn letters(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| c.to_ascii_lowercase())
        .take(MAX_LENGTH + 1)
        .collect()
}

/// Inserted, dropped, changed and swapped letters between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_one_of_the_nearest_template() {
        let known = ["worker@", "worker@1", "web", "database"];
        let meant = |name: &str| unit_meant(name, known);
        for (name, hint) in [
            ("wroker@blue-green", "did you mean `worker@blue-green`?"),
            ("wroker@3", "did you mean `worker@3`?"),
            ("wbe", "did you mean `web`?"),
            ("databse", "did you mean `database`?"),
            (
                "wroker",
                "`worker@` is a template: `worker@` means its instances, `worker@1` one of them",
            ),
        ] {
            assert_eq!(meant(name).as_deref(), Some(hint));
        }
        assert_eq!(meant("nothing@1"), None);
        // Of one letter nothing is left where another one stands.
        assert_eq!(nearest("2", ["r"]), None);
        assert_eq!(nearest("R", ["r"]), Some("r"));
    }

    #[test]
    fn a_slip_finds_its_word() {
        let known = ["ExecStart", "ExecStop", "Restart", "RestartSec", "User"];
        for (slip, meant) in [
            ("ExecStrat", "ExecStart"),
            ("execstart", "ExecStart"),
            ("Exec_Stop", "ExecStop"),
            ("RestartSecs", "RestartSec"),
            ("Usr", "User"),
            ("Uesr", "User"),
        ] {
            assert_eq!(nearest(slip, known), Some(meant), "{slip}");
        }
    }

    #[test]
    fn a_stranger_finds_nothing() {
        let known = ["ExecStart", "User"];
        for stranger in ["", "Bananas", "x", "Memory"] {
            assert_eq!(nearest(stranger, known), None, "{stranger}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
