//! Where the sockets of running jobs are: one folder per user, which nobody else may enter.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, geteuid, test_kill_process};

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};

/// The folder of this user's sockets, each called after its process: `1234.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFolder {
    path: PathBuf,
}

impl SocketFolder {
    /// `$XDG_RUNTIME_DIR/millstream`. Without that variable, or where it is not absolute: a folder
    /// with the user's number in `$TMPDIR` or `/tmp`.
    pub(crate) fn of(variables: &[(OsString, OsString)]) -> SocketFolder {
        let named = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
        };
        let path = match named("XDG_RUNTIME_DIR") {
            Some(runtime) => runtime.join("millstream"),
            None => {
                let temporary = named("TMPDIR").unwrap_or_else(|| "/tmp".into());
                temporary.join(format!("millstream-{}", geteuid().as_raw()))
            }
        };
        SocketFolder { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket of this process.
    pub(crate) fn own_socket(&self) -> PathBuf {
        self.path.join(format!("{}.sock", std::process::id()))
    }

    /// Makes the folder, and removes what dead processes have left in it.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] if others may enter it or it is somebody else's,
    /// [`ErrorKind::CannotCreate`] if it cannot be made.
    pub(crate) fn prepare(&self) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let seen = shown(&self.path.to_string_lossy());
                let context = format!("cannot create folder at {seen}");
                return Err(Error::new(ErrorKind::CannotCreate, context).with_source(error));
            }
        }
        self.check()?;
        for (pid, path) in self.sockets() {
            let is_own = path == self.own_socket();
            // A process of another container may be alive without our knowing it, but then it
            // answers.
            if is_own || (!is_alive(pid) && UnixStream::connect(&path).is_err()) {
                // Another job may have been quicker.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    /// The jobs that answer: their sockets, by process.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) for a folder that is not ours alone. One that is missing has
    /// no jobs.
    pub(crate) fn running(&self) -> Result<Vec<PathBuf>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        self.check()?;
        let answers = |(_, path): &(Pid, PathBuf)| UnixStream::connect(path).is_ok();
        Ok(self.sockets().into_iter().filter(answers).map(|(_, path)| path).collect())
    }

    /// Somebody else's folder could hold a socket that lies.
    fn check(&self) -> Result<()> {
        let seen = shown(&self.path.to_string_lossy());
        let found = fs::symlink_metadata(&self.path).map_err(|error| {
            let context = format!("folder not readable at {seen}");
            Error::new(ErrorKind::Permission, context).with_source(error)
        })?;
        let (mode, owner) = (found.mode() & 0o777, found.uid());
        if found.is_dir() && owner == geteuid().as_raw() && mode.trailing_zeros() >= 6 {
            return Ok(());
        }
        let what = if found.is_dir() { "folder" } else { "no folder" };
        let context = format!(
            "unsafe folder of sockets at {seen}: {what} of user {owner} with mode {mode:04o}; \
             allowed one's own with mode 0700"
        );
        Err(Error::new(ErrorKind::Permission, context))
    }

    fn sockets(&self) -> Vec<(Pid, PathBuf)> {
        let socket = |path: PathBuf| {
            let pid = path.file_name()?.to_str()?.strip_suffix(".sock")?.parse().ok()?;
            Some((Pid::from_raw(pid)?, path))
        };
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut sockets: Vec<_> = entries.filter_map(|entry| socket(entry.path())).collect();
        sockets.sort_by_key(|(pid, _)| pid.as_raw_nonzero());
        sockets
    }
}

fn is_alive(pid: Pid) -> bool {
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn folder_in(base: &Path) -> SocketFolder {
        SocketFolder::of(&[("XDG_RUNTIME_DIR".into(), base.into())])
    }

    #[test]
    fn without_a_runtime_folder_it_is_one_of_the_user_among_temporary_files() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.into(), v.into())).collect();
            SocketFolder::of(&pairs).path
        };
        let user = geteuid().as_raw();
        assert_eq!(of(&[("XDG_RUNTIME_DIR", "/run/me")]), Path::new("/run/me/millstream"));
        let fallback = PathBuf::from(format!("/tmp/millstream-{user}"));
        for pairs in [&[][..], &[("XDG_RUNTIME_DIR", "")], &[("XDG_RUNTIME_DIR", "here")]] {
            assert_eq!(of(pairs), fallback);
        }
        assert_eq!(of(&[("TMPDIR", "/big")]), PathBuf::from(format!("/big/millstream-{user}")));
    }

    #[test]
    fn what_dead_processes_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = folder_in(base.path());
        folder.prepare().expect("a new folder");
        assert_eq!(fs::metadata(folder.path()).expect("it is there").mode() & 0o777, 0o700);
        // No process has the number of the first; the second is this process's own parent.
        let dead = folder.path().join(format!("{}.sock", i32::MAX));
        let living = folder.path().join(format!("{}.sock", std::os::unix::process::parent_id()));
        let other = folder.path().join("notes.txt");
        for path in [&dead, &living] {
            drop(UnixListener::bind(path).expect("a socket"));
        }
        fs::write(&other, "mine").expect("a file");
        folder.prepare().expect("it is ours");
        assert!(!dead.exists() && living.exists() && other.exists());
        assert_eq!(folder.running().expect("it is ours"), Vec::<PathBuf>::new());
        fs::remove_file(&living).expect("ours");
        let _listens = UnixListener::bind(&living).expect("a socket");
        assert_eq!(folder.running().expect("it is ours"), [living]);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = folder_in(base.path());
        folder.prepare().expect("a new folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("ours");
        let refused = folder.prepare().expect_err("others may look in");
        assert_eq!(refused.kind(), ErrorKind::Permission);
        assert!(refused.to_string().contains("with mode 0750; allowed one's own"), "{refused}");
        assert!(folder.running().is_err());

        let elsewhere = tempfile::tempdir().expect("a folder");
        let linked = folder_in(elsewhere.path());
        std::os::unix::fs::symlink(base.path(), linked.path()).expect("a link");
        assert!(linked.prepare().expect_err("a link").to_string().contains("no folder"));
    }
}
