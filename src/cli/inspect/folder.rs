//! Where the sockets of running jobs are: one folder per user, which nobody else may enter.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use crate::error::Result;
use crate::runtime::UserFolder;

/// The folder of this user's sockets, each called after its process: `1234.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFolder {
    folder: UserFolder,
}

impl SocketFolder {
    pub(crate) fn of(folder: UserFolder) -> SocketFolder {
        SocketFolder { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The socket of this process.
    pub(crate) fn own_socket(&self) -> PathBuf {
        self.path().join(format!("{}.sock", std::process::id()))
    }

    /// Makes the folder, and removes what dead processes have left in it.
    ///
    /// # Errors
    /// Those of [`UserFolder::make`].
    pub(crate) fn prepare(&self) -> Result<()> {
        self.folder.make()?;
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
        if !self.path().exists() {
            return Ok(Vec::new());
        }
        self.folder.check()?;
        let answers = |(_, path): &(Pid, PathBuf)| UnixStream::connect(path).is_ok();
        Ok(self.sockets().into_iter().filter(answers).map(|(_, path)| path).collect())
    }

    fn sockets(&self) -> Vec<(Pid, PathBuf)> {
        let socket = |path: PathBuf| {
            let pid = path.file_name()?.to_str()?.strip_suffix(".sock")?.parse().ok()?;
            Some((Pid::from_raw(pid)?, path))
        };
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn folder_in(base: &Path) -> SocketFolder {
        SocketFolder::of(UserFolder::of(|name| (name == "XDG_RUNTIME_DIR").then(|| base.into())))
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
        assert!(folder.prepare().is_err() && folder.running().is_err());
    }
}
