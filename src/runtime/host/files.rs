//! Files below a root, so that a recorded machine is read as this one is; notes what is odd.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::CoreList;
use crate::config::wording::shown;

/// More than any file that is read here has; what follows is left out.
const BYTES_MAX: u64 = 4 << 20;

/// The files of a machine. One that is missing or may not be read tells nothing; one that is cut or
/// absurd tells nothing either, and that is noted.
pub(super) struct Files {
    root: PathBuf,
    oddities: RefCell<Vec<String>>,
}

impl Files {
    pub(super) fn below(root: &Path) -> Files {
        Files { root: root.to_owned(), oddities: RefCell::default() }
    }

    /// What was odd so far, a line each, in the order in which it was met.
    pub(super) fn oddities(&self) -> Vec<String> {
        self.oddities.borrow().clone()
    }

    /// Notes that the file at `path` is cut or absurd.
    ///
    /// * `seen` - its content, or what is wrong with it.
    /// * `instead` - what is taken to be true.
    pub(super) fn odd(&self, path: &str, seen: &str, instead: &str) {
        let seen = shown(seen.trim_end());
        let line = format!("file not as expected at /{path}: {seen}; {instead}");
        let mut oddities = self.oddities.borrow_mut();
        if !oddities.contains(&line) {
            oddities.push(line);
        }
    }

    pub(super) fn read(&self, path: &str) -> Option<String> {
        let path = self.root.join(path);
        // Opening a pipe would block.
        if !std::fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The content without the line's end; `None` if there is nothing else.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        let text = self.read(path)?;
        let line = text.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// The number in the file; `instead` is said if there is something else.
    pub(super) fn number(&self, path: &str, instead: &str) -> Option<u64> {
        let text = self.read(path)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.odd(path, &text, instead);
        }
        number
    }

    /// The cores that the file lists, as in `0-3,8`, ascending; none if it is empty.
    pub(super) fn cores(&self, path: &str, instead: &str) -> Option<Vec<usize>> {
        let text = self.read(path)?;
        let cores = parse_cores(&text);
        if cores.is_none() {
            self.odd(path, &text, instead);
        }
        cores
    }
}

/// Reads `0-3,8` as the kernel writes it, ascending; an empty text is no core.
pub(super) fn parse_cores(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut cores = CoreList::parse(text).ok()?.as_slice().to_vec();
    cores.sort_unstable();
    Some(cores)
}

/// The value of `name: value` in a text of such lines.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pair = |line: &'a str| line.split_once(':').map(|(key, value)| (key.trim(), value.trim()));
    text.lines().filter_map(pair).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine of so many files, for as long as the folder lives.
    pub(in crate::runtime::host) fn files(of: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in of {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let files = Files::below(folder.path());
        (folder, files)
    }

    #[test]
    fn core_lists_of_the_kernel_are_read() {
        assert_eq!(parse_cores("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_cores("5"), Some(vec![5]));
        assert_eq!(parse_cores("\n"), Some(vec![]));
        for absurd in ["3-1", "x", "0-", "0,", "0-99999999999", "-1", "0\u{0}", "4294967296"] {
            assert_eq!(parse_cores(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn what_is_odd_is_noted_once_on_one_line_with_its_place() {
        let (_folder, files) = files(&[("a/list", "0-\n1\n"), ("a/number", "many")]);
        assert_eq!(files.cores("a/list", "it is left out"), None);
        assert_eq!(files.cores("a/list", "it is left out"), None);
        assert_eq!(files.number("a/number", "0 is taken"), None);
        assert_eq!(files.number("a/missing", "0 is taken"), None);
        assert_eq!(
            files.oddities(),
            [
                "file not as expected at /a/list: 0-\\n1; it is left out",
                "file not as expected at /a/number: many; 0 is taken"
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_tells_nothing_and_blocks_nobody() {
        let (folder, files) = files(&[("a/b", "1\n")]);
        assert!(files.read("a").is_none() && files.read("a/b/c").is_none());
        let pipe = std::os::unix::net::UnixListener::bind(folder.path().join("pipe"));
        assert!(pipe.is_ok() && files.read("pipe").is_none());
        assert_eq!(files.oddities(), [""; 0]);
    }
}
