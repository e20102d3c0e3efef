//! The folder of one user in which jobs meet that know nothing of each other.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};

/// A folder that nobody but its user may enter: leases of cores, and sockets of running jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFolder {
    path: PathBuf,
}

impl UserFolder {
    /// `$XDG_RUNTIME_DIR/millstream`. Without that variable, or where it is not absolute: a folder
    /// with the user's number in `$TMPDIR` or `/tmp`.
    ///
    /// * `variable` - the value of an environment variable.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> UserFolder {
        let named = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let path = match named("XDG_RUNTIME_DIR") {
            Some(runtime) => runtime.join("millstream"),
            None => {
                let temporary = named("TMPDIR").unwrap_or_else(std::env::temp_dir);
                temporary.join(format!("millstream-{}", user()))
            }
        };
        UserFolder { path }
    }

    /// Where it is, whether it exists or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] if it cannot be made; else those of [`check`](Self::check).
    pub fn make(&self) -> Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let seen = shown(&self.path.to_string_lossy());
                let context = format!("cannot create folder at {seen}");
                return Err(Error::new(ErrorKind::CannotCreate, context).with_source(error));
            }
        }
        self.check()
    }

    /// Refuses a folder that is somebody else's: files in it could be links, and sockets could lie.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] if it is no folder, of another user, or others may enter it.
    pub fn check(&self) -> Result<()> {
        let seen = shown(&self.path.to_string_lossy());
        // Not of what a link points to: a link is no folder.
        let found = fs::symlink_metadata(&self.path).map_err(|error| {
            let context = format!("folder not readable at {seen}");
            Error::new(ErrorKind::Permission, context).with_source(error)
        })?;
        let Some(found) = foreign(&found) else { return Ok(()) };
        let context = format!("unsafe folder at {seen}: {found}; allowed one's own with mode 0700");
        Err(Error::new(ErrorKind::Permission, context))
    }
}

/// What is wrong with what was found, if others may have a say in it.
#[cfg(unix)]
fn foreign(found: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (mode, owner) = (found.mode() & 0o777, found.uid());
    if found.is_dir() && owner == rustix::process::geteuid().as_raw() && mode.trailing_zeros() >= 6
    {
        return None;
    }
    let what = if found.is_dir() { "folder" } else { "no folder" };
    Some(format!("{what} of user {owner} with mode {mode:04o}"))
}

/// Elsewhere temporary files are the user's own.
#[cfg(not(unix))]
fn foreign(found: &Metadata) -> Option<String> {
    (!found.is_dir()).then(|| "no folder".to_owned())
}

/// The user's number.
#[cfg(unix)]
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn folder_in(base: &Path) -> UserFolder {
        UserFolder::of(|name| (name == "XDG_RUNTIME_DIR").then(|| base.into()))
    }

    #[test]
    fn without_a_runtime_folder_it_is_one_of_the_user_among_temporary_files() {
        let of = |pairs: &[(&str, &str)]| {
            let value = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
            UserFolder::of(value).path
        };
        assert_eq!(of(&[("XDG_RUNTIME_DIR", "/run/me")]), Path::new("/run/me/millstream"));
        let fallback = std::env::temp_dir().join(format!("millstream-{}", user()));
        for pairs in [&[][..], &[("XDG_RUNTIME_DIR", "")], &[("XDG_RUNTIME_DIR", "here")]] {
            assert_eq!(of(pairs), fallback);
        }
        let big = PathBuf::from(format!("/big/millstream-{}", user()));
        assert_eq!(of(&[("TMPDIR", "/big")]), big);
    }

    #[test]
    fn it_is_made_once_for_nobody_else() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = folder_in(base.path());
        folder.make().expect("a new folder");
        folder.make().expect("it is there");
        assert_eq!(fs::metadata(folder.path()).expect("it is there").mode() & 0o777, 0o700);
        let nowhere = folder_in(Path::new("/nowhere"));
        assert_eq!(nowhere.make().expect_err("no base").kind(), ErrorKind::CannotCreate);
    }

    #[test]
    fn a_folder_that_others_may_enter_or_a_link_is_refused() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = folder_in(base.path());
        folder.make().expect("a new folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("ours");
        let refused = folder.make().expect_err("others may look in");
        assert_eq!(refused.kind(), ErrorKind::Permission);
        assert!(refused.to_string().contains("with mode 0750; allowed one's own"), "{refused}");

        let elsewhere = tempfile::tempdir().expect("a folder");
        let linked = folder_in(elsewhere.path());
        std::os::unix::fs::symlink(base.path(), linked.path()).expect("a link");
        assert!(linked.make().expect_err("a link").to_string().contains("no folder"));
    }
}
