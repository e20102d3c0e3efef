//! The file of a page: nothing of it is seen before all of it is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};

/// A file that a page is written to.
#[derive(Debug)]
pub(crate) struct PageFile {
    /// As it was named.
    named: PathBuf,
    /// Where it really is, behind links.
    path: PathBuf,
}

impl PageFile {
    /// Says whether the file can be written, before anything runs for minutes to fail at its end.
    /// Nothing is left behind.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] if it is there and is no regular file or may not be changed, or
    /// if its folder takes no file.
    pub(crate) fn check(named: &Path) -> Result<PageFile> {
        let file = PageFile { named: named.to_owned(), path: real(named) };
        if named.to_string_lossy().ends_with('/') {
            return Err(file.refused("no regular file", "a new file, or one to replace"));
        }
        if let Ok(known) = fs::metadata(&file.path) {
            if !known.is_file() {
                return Err(file.refused("no regular file", "a new file, or one to replace"));
            }
            if known.permissions().readonly() {
                return Err(file.refused("read-only file", "one that may be changed"));
            }
            OpenOptions::new().write(true).open(&file.path).map_err(|e| file.cannot_create(e))?;
        }
        let draft = file.draft();
        File::create(&draft)
            .and_then(|_| fs::remove_file(&draft))
            .map_err(|error| file.cannot_create(error))?;
        Ok(file)
    }

    /// Writes `page` in place of what there was.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; what there was is still there then.
    pub(crate) fn write(&self, page: &str) -> Result<()> {
        let draft = self.draft();
        let written = File::create(&draft)
            .and_then(|mut file| file.write_all(page.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &self.path));
        written.map_err(|error| {
            // It may never have been made.
            let _ = fs::remove_file(&draft);
            Error::new(ErrorKind::Io, format!("write failed at {}", self.place()))
                .with_source(error)
        })
    }

    /// In the same folder, so that it can be renamed.
    fn draft(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{}.draft", std::process::id()))
    }

    fn refused(&self, what: &str, allowed: &str) -> Error {
        let place = self.place();
        Error::new(
            ErrorKind::CannotCreate,
            format!("{what} at --report: {place}; allowed {allowed}"),
        )
    }

    fn cannot_create(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::CannotCreate, format!("cannot create file at {}", self.place()))
            .with_source(error)
    }

    fn place(&self) -> String {
        shown(&self.named.to_string_lossy())
    }
}

/// The file that `named` leads to, if it is a link; a link is not replaced by the page.
fn real(named: &Path) -> PathBuf {
    fs::canonicalize(named).unwrap_or_else(|_| named.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_replaces_what_there_was_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.html");
        fs::write(&path, "old and longer").expect("written");
        let file = PageFile::check(&path).expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old and longer");
        file.write("new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, link] = ["a.html", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "old").expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        PageFile::check(&link).and_then(|file| file.write("new")).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_once_and_untouched() {
        let folder = tempfile::tempdir().expect("a folder");
        let read_only = folder.path().join("r.html");
        fs::write(&read_only, "kept").expect("written");
        let mut permissions = fs::metadata(&read_only).expect("there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&read_only, permissions).expect("set");
        for (path, wanted) in [
            (folder.path().to_owned(), "no regular file at --report: "),
            (PathBuf::from("/dev/null"), "no regular file at --report: "),
            (read_only.clone(), "read-only file at --report: "),
            (folder.path().join("no/a.html"), "cannot create file at "),
            (read_only.join("a.html"), "cannot create file at "),
        ] {
            let error = PageFile::check(&path).expect_err(wanted);
            assert_eq!(error.kind(), ErrorKind::CannotCreate);
            assert!(error.to_string().starts_with(wanted), "{error}");
        }
        assert_eq!(fs::read_to_string(&read_only).expect("read"), "kept");
    }

    #[test]
    fn a_page_that_cannot_be_written_in_the_end_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.html");
        let file = PageFile::check(&path).expect("writable");
        fs::create_dir(&path).expect("a folder");
        assert_eq!(file.write("page").expect_err("in the way").kind(), ErrorKind::Io);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
