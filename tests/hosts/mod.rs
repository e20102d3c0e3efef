//! Lays out a recorded host of `tests/fixtures/hosts` as a folder.

use std::path::Path;

/// The folder of the host called `name`; it lives as long as what is returned.
pub(crate) fn laid_out(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in recorded(name) {
        write(folder.path(), &path, text.as_bytes());
    }
    folder
}

/// The files of the host called `name`: path and content.
pub(crate) fn recorded(name: &str) -> Vec<(String, String)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hosts");
    let text = std::fs::read_to_string(fixtures.join(format!("{name}.txt"))).expect(name);
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (path, content) = line.split_once(':').expect("path:line");
        match files.last_mut().filter(|(last, _)| last == path) {
            Some((_, text)) => *text += &format!("{content}\n"),
            None => files.push((path.to_owned(), format!("{content}\n"))),
        }
    }
    files
}

/// Makes the file at `path` below `root`.
pub(crate) fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, content).expect("a file");
}
