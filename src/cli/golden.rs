//! For the tests of this room: texts compared with files in `tests/golden/cli/`. `DIAKONOS_BLESS=1` writes the
//! files anew.
#![allow(clippy::expect_used)]

use std::path::Path;

pub(super) fn check(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("DIAKONOS_BLESS").is_some() {
        std::fs::create_dir_all(&folder).expect("the folder of golden files");
        std::fs::write(&path, text).expect("a golden file");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} differs; DIAKONOS_BLESS=1 accepts this:\n{text}",
        path.display()
    );
}
