//! Where bytes come from: paths, patterns and memory; opened, measured, read by position.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::connector::file::split::Splits;
use crate::error::{Error, ErrorKind, Result};

/// The files of a source: a path, a list of paths, or a pattern whose last component has `*` in it,
/// such as `books/*.txt`.
///
/// A pattern stands for the regular files that it matches, by name; `*` matches any characters, but
/// no leading dot.
#[derive(Clone, Debug)]
pub struct Paths(Vec<PathBuf>);

impl From<&str> for Paths {
    fn from(path: &str) -> Paths {
        Paths(vec![path.into()])
    }
}

impl From<String> for Paths {
    fn from(path: String) -> Paths {
        Paths(vec![path.into()])
    }
}

impl From<&Path> for Paths {
    fn from(path: &Path) -> Paths {
        Paths(vec![path.into()])
    }
}

impl From<&PathBuf> for Paths {
    fn from(path: &PathBuf) -> Paths {
        Paths(vec![path.clone()])
    }
}

impl From<PathBuf> for Paths {
    fn from(path: PathBuf) -> Paths {
        Paths(vec![path])
    }
}

impl<P: Into<PathBuf>> From<Vec<P>> for Paths {
    fn from(paths: Vec<P>) -> Paths {
        Paths(paths.into_iter().map(Into::into).collect())
    }
}

/// What a file connector was told to read.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Paths(Paths),
    Bytes(Arc<[u8]>),
}

impl Origin {
    /// The origin in a few words, for names.
    pub(super) fn describe(&self) -> String {
        match self {
            Origin::Bytes(bytes) => format!("{} bytes in memory", bytes.len()),
            Origin::Paths(Paths(paths)) => match paths.as_slice() {
                [] => "no file".to_string(),
                [path] => path.display().to_string(),
                [path, rest @ ..] => format!("{} and {} more", path.display(), rest.len()),
            },
        }
    }

    /// Finds the files and measures them; cuts them as `split` says.
    ///
    /// # Errors
    /// [`ErrorKind::NoInput`] for what is missing or no regular file, [`ErrorKind::Permission`] for
    /// what may not be read.
    pub(super) fn resolve(&self, split: impl Fn(u64) -> Splits) -> Result<Vec<Input>> {
        match self {
            Origin::Bytes(bytes) => {
                let splits = split(bytes.len() as u64);
                Ok(vec![Input::new("memory".into(), Place::Memory(Arc::clone(bytes)), splits)])
            }
            Origin::Paths(Paths(paths)) => {
                let mut inputs = Vec::new();
                for path in paths {
                    for path in expand(path)? {
                        let splits = split(file_bytes(&path)?);
                        let name = path.to_string_lossy().into();
                        inputs.push(Input::new(name, Place::Path(path), splits));
                    }
                }
                Ok(inputs)
            }
        }
    }
}

/// One file, or bytes in memory.
#[derive(Debug)]
pub(super) struct Input {
    /// How dead letters and errors call it.
    pub(super) name: Arc<str>,
    pub(super) splits: Splits,
    place: Place,
    /// `line_counts[i]` - 1 + lines that begin in split `i`; 0 while nobody has read it.
    line_counts: Box<[AtomicU32]>,
}

#[derive(Debug)]
enum Place {
    Path(PathBuf),
    Memory(Arc<[u8]>),
}

impl Input {
    fn new(name: Arc<str>, place: Place, splits: Splits) -> Input {
        let line_counts = (0..splits.count()).map(|_| AtomicU32::new(0)).collect();
        Input { name, splits, place, line_counts }
    }

    /// Opens it for reading.
    pub(super) fn open(&self) -> Result<Opened> {
        match &self.place {
            Place::Memory(bytes) => Ok(Opened::Memory(Arc::clone(bytes))),
            Place::Path(path) => match File::open(path) {
                Ok(file) => Ok(Opened::File { file, name: Arc::clone(&self.name) }),
                Err(cause) => Err(cannot_open(path, cause)),
            },
        }
    }

    /// Notes how many lines begin in split `index`.
    pub(super) fn note_lines(&self, index: usize, lines: u64) {
        // A split of at most 1 MiB has fewer lines than 2^32; the one split of a whole file may
        // have more, and nothing asks for the lines before a later one. Relaxed: the count is all
        // that is published.
        let noted = u32::try_from(lines + 1).unwrap_or(0);
        self.line_counts[index].store(noted, Ordering::Relaxed);
    }

    /// How many lines begin in split `index`: what its reader noted, else counted now.
    pub(super) fn lines_in(&self, index: usize, opened: &Opened) -> Result<u64> {
        let noted = self.line_counts[index].load(Ordering::Relaxed);
        if noted > 0 {
            return Ok(u64::from(noted - 1));
        }
        // A line begins at byte 0 and behind every newline.
        let range = self.splits.range(index);
        let mut bytes = vec![0; (range.end - 1 - range.start.saturating_sub(1)) as usize];
        opened.read(&mut bytes, range.start.saturating_sub(1))?;
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lines = newlines + u64::from(range.start == 0);
        self.note_lines(index, lines);
        Ok(lines)
    }
}

/// A file or bytes, open for reading by position.
#[derive(Debug)]
pub(super) enum Opened {
    File { file: File, name: Arc<str> },
    Memory(Arc<[u8]>),
}

impl Opened {
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where reading fails, [`ErrorKind::BadData`] where the file has become
    /// shorter than it was when the job started.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self {
            Opened::Memory(bytes) => {
                let start = offset as usize;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
            Opened::File { file, name } => file.read_exact_at(buffer, offset).map_err(|cause| {
                if cause.kind() == io::ErrorKind::UnexpectedEof {
                    let text = format!("{name} became shorter while it was read");
                    return Error::new(ErrorKind::BadData, text);
                }
                let text = format!("cannot read {name} at byte {offset}");
                Error::new(ErrorKind::Io, text).with_source(cause)
            }),
        }
    }
}

/// The files that `path` stands for: itself, or what it matches.
fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let pattern = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.contains('*') => name,
        _ => return Ok(vec![path.to_path_buf()]),
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|cause| cannot_open(folder, cause))? {
        let name = entry.map_err(|cause| cannot_open(folder, cause))?.file_name();
        let Some(text) = name.to_str() else { continue };
        let hidden = text.starts_with('.') && !pattern.starts_with('.');
        let file = path.with_file_name(&name);
        if !hidden && matches(pattern.as_bytes(), text.as_bytes()) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        let text =
            format!("no file matches {}; allowed: a pattern of regular files", path.display());
        return Err(Error::new(ErrorKind::NoInput, text));
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether `pattern`, in which `*` stands for any bytes, matches all of `name`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one byte further than last time.
    let mut retry: Option<(usize, usize)> = None;
    while read < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, read));
        } else if pattern.get(at) == Some(&name[read]) {
            at += 1;
            read += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            (at, read) = (star, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

fn file_bytes(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).map_err(|cause| cannot_open(path, cause))?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a folder" } else { "no regular file" };
        let text = format!("{} is {kind}; allowed: a regular file", path.display());
        return Err(Error::new(ErrorKind::NoInput, text));
    }
    // Opened once, so that a missing right shows before any thread starts.
    File::open(path).map_err(|cause| cannot_open(path, cause))?;
    Ok(metadata.len())
}

fn cannot_open(path: &Path, cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        _ => ErrorKind::NoInput,
    };
    Error::new(kind, format!("cannot open {}", path.display())).with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_bytes() {
        for (pattern, name, matched) in [
            ("*.txt", "a.txt", true),
            ("*.txt", ".txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("**a", "ba", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), matched, "{pattern} {name}");
        }
    }

    #[test]
    fn pattern_stands_for_its_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.txt", "c.csv", ".d.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("e.txt")).unwrap();
        let files = expand(&folder.path().join("*.txt")).unwrap();
        assert_eq!(files, [folder.path().join("a.txt"), folder.path().join("b.txt")]);
        let error = expand(&folder.path().join("*.json")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoInput);
    }

    #[test]
    fn what_is_no_file_is_refused_with_exit_code_66() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("no"), "/dev/null".into()] {
            let error = Origin::Paths(path.into()).resolve(Splits::of).unwrap_err();
            assert_eq!(error.kind().exit_code(), 66, "{error}");
        }
    }

    #[test]
    fn lines_are_counted_alike_by_readers_and_by_bytes() {
        let bytes: Arc<[u8]> = b"a\n\nbb\nc".as_slice().into();
        for split_bytes in 1..9 {
            let inputs = Origin::Bytes(Arc::clone(&bytes))
                .resolve(|len| Splits::with_bytes(len, split_bytes))
                .unwrap();
            let opened = inputs[0].open().unwrap();
            let lines: u64 = (0..inputs[0].splits.count())
                .map(|index| inputs[0].lines_in(index, &opened).unwrap())
                .sum();
            assert_eq!(lines, 4, "split_bytes {split_bytes}");
        }
    }

    #[test]
    fn file_that_became_shorter_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        fs::write(&path, "12345").unwrap();
        let inputs = Origin::Paths(path.as_path().into()).resolve(Splits::of).unwrap();
        let opened = inputs[0].open().unwrap();
        fs::write(&path, "1").unwrap();
        let error = opened.read(&mut [0; 5], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData);
    }
}
