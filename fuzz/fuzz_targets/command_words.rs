//! Command words: splitting never panics, a quoted word splits back to itself, and expansion loses nothing but
//! variables. A NUL can stand in no word; who reads the text sees to that.

#![no_main]

use diakonos::unit::words::{expand, quote, split_commands};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let commands = split_commands(text);
    if text.contains('\0') {
        return;
    }
    for words in commands.iter().flatten() {
        assert!(!words.is_empty());
        check_words(words);
    }
    let pieces: Vec<String> = text.split('|').map(str::to_owned).collect();
    check_words(&pieces);
});

fn check_words(words: &[String]) {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    assert_eq!(split_commands(&quoted.join(" ")), Ok(vec![words.to_vec()]));

    let value = words.first().map(String::as_str);
    let expanded = expand(words, |name| (name.len() < 3).then_some(value).flatten());
    if !words.iter().any(|word| word.contains('$')) {
        assert_eq!(expanded, words);
    }
}
