//! Which cores running jobs have pinned: one file for each core, locked as long as its job runs.
//!
//! Two jobs that pin the same core take turns there, each half as fast and late by whole slices of
//! the scheduler, and neither can tell why. So a job locks `core-N.lease` in the [`UserFolder`]
//! before it pins core N. The lock belongs to the open file: it ends with the job, or with the
//! process however that ends, and holds between two jobs of one process as between two processes.
//! The files stay; what is in them, the process and its namespace, only names the holder.
//!
//! A [`LeaseDesk`] is open to one job at a time, so that looking, planning and taking are one step.
//! Jobs of different users, or in containers of their own, do not see each other's leases.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::placement::Leased;
use crate::runtime::user_folder::UserFolder;

/// A desk is open for as long as it takes to plan: well below a millisecond.
const DESK_PAUSE: Duration = Duration::from_millis(1);
const DESK_TRIES: usize = 500;
/// More than any holder writes about itself.
const HOLDER_BYTES_MAX: u64 = 256;

/// The cores that a job has leased; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Leases {
    held: Vec<(usize, File)>,
}

/// Where leases are given out, to one job at a time.
#[derive(Debug)]
pub struct LeaseDesk {
    folder: PathBuf,
    /// Locked as long as the desk is open.
    _door: File,
}

impl Leases {
    /// Gives back all cores but these.
    pub fn keep(&mut self, cores: &[usize]) {
        self.held.retain(|(core, _)| cores.contains(core));
    }

    fn has(&self, core: usize) -> bool {
        self.held.iter().any(|(held, _)| *held == core)
    }
}

impl LeaseDesk {
    /// Waits until nobody else is at the desk.
    ///
    /// # Errors
    /// Those of [`UserFolder::make`]; [`ErrorKind::CannotCreate`] if there can be no file;
    /// [`ErrorKind::TryAgain`] if somebody is there for half a second.
    pub fn open(folder: &UserFolder) -> Result<LeaseDesk> {
        folder.make()?;
        let path = folder.path().join("leases.lock");
        let door = open(&path)?;
        for _ in 0..DESK_TRIES {
            match door.try_lock() {
                Ok(()) => {
                    return Ok(LeaseDesk { folder: folder.path().to_owned(), _door: door });
                }
                Err(TryLockError::WouldBlock) => std::thread::park_timeout(DESK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, error)),
            }
        }
        let text = format!("locked by another process at {}", shown(&path.to_string_lossy()));
        Err(Error::new(ErrorKind::TryAgain, text))
    }

    /// The cores that other jobs have, ascending.
    ///
    /// * `own` - what the asking job has.
    pub fn leased(&self, own: &Leases) -> Vec<Leased> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let cores = entries.filter_map(|entry| {
            let name = entry.file_name();
            let core = name.to_str()?.strip_prefix("core-")?.strip_suffix(".lease")?;
            let core = core.parse().ok().filter(|core| !own.has(*core))?;
            // Opening a pipe would block.
            entry.file_type().ok().filter(|kind| kind.is_file())?;
            let file = File::open(entry.path()).ok()?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => Some(leased(core, &file)),
                // Nobody has it, or nobody can: taking it will tell.
                Ok(()) | Err(TryLockError::Error(_)) => None,
            }
        });
        let mut all: Vec<Leased> = cores.collect();
        all.sort_unstable_by_key(|one| one.core);
        all
    }

    /// Leases `cores` as well, but for those that `leases` has already, and those that another job
    /// has.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] if a file cannot be made or locked; `leases` is as before then.
    pub fn take(&self, cores: &[usize], leases: &mut Leases) -> Result<()> {
        let mut taken = Vec::new();
        for &core in cores.iter().filter(|core| !leases.has(**core)) {
            let path = self.folder.join(format!("core-{core}.lease"));
            let mut file = open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, error)),
            }
            // What it says is for people; that it is locked is what counts.
            let _ = file.set_len(0).and_then(|()| file.write_all(identity().as_bytes()));
            taken.push((core, file));
        }
        leases.held.extend(taken);
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(
        |error| {
            let context = format!("cannot create file at {}", shown(&path.to_string_lossy()));
            Error::new(ErrorKind::CannotCreate, context).with_source(error)
        },
    )
}

fn cannot_lock(path: &Path, error: std::io::Error) -> Error {
    let context = format!("cannot lock file at {}", shown(&path.to_string_lossy()));
    Error::new(ErrorKind::CannotCreate, context).with_source(error)
}

/// This process, told apart from those of the same number in other containers.
fn identity() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}\n", std::process::id(), namespace.display())
}

/// What the locked file says about its holder, which may not have written it yet.
fn leased(core: usize, mut file: &File) -> Leased {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    let text = read.map(|_| text).unwrap_or_default();
    let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
    Leased { core, pid, is_ours: text == identity() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, UserFolder) {
        let base = tempfile::tempdir().expect("a folder");
        let folder = UserFolder::of(|name| (name == "XDG_RUNTIME_DIR").then(|| base.path().into()));
        (base, folder)
    }

    fn seen(folder: &UserFolder, own: &Leases) -> Vec<usize> {
        let desk = LeaseDesk::open(folder).expect("nobody is there");
        desk.leased(own).iter().map(|one| one.core).collect()
    }

    fn take(folder: &UserFolder, cores: &[usize], leases: &mut Leases) {
        let desk = LeaseDesk::open(folder).expect("nobody is there");
        desk.take(cores, leases).expect("files can be made");
    }

    #[test]
    fn leased_cores_are_seen_by_others_until_they_are_given_back() {
        let (_base, folder) = folder();
        let (mut one, other) = (Leases::default(), Leases::default());
        assert_eq!(seen(&folder, &other), [0; 0]);
        take(&folder, &[3, 11], &mut one);
        assert_eq!(seen(&folder, &other), [3, 11]);
        assert_eq!(seen(&folder, &one), [0; 0]);
        let desk = LeaseDesk::open(&folder).expect("nobody is there");
        let ours = Leased { core: 3, pid: Some(std::process::id()), is_ours: true };
        assert_eq!(desk.leased(&other)[0], ours);
        drop(desk);
        take(&folder, &[11, 12], &mut one);
        one.keep(&[12]);
        assert_eq!(seen(&folder, &other), [12]);
        drop(one);
        assert_eq!(seen(&folder, &other), [0; 0]);
    }

    #[test]
    fn a_core_that_another_job_has_is_not_taken() {
        let (_base, folder) = folder();
        let (mut one, mut other) = (Leases::default(), Leases::default());
        take(&folder, &[0, 1], &mut one);
        take(&folder, &[1, 2], &mut other);
        assert_eq!((seen(&folder, &one), seen(&folder, &other)), (vec![2], vec![0, 1]));
        drop(one);
        take(&folder, &[1], &mut other);
        assert_eq!(seen(&folder, &Leases::default()), [1, 2]);
    }

    #[test]
    fn the_desk_is_open_to_one_at_a_time_and_says_so() {
        let (_base, folder) = folder();
        let first = LeaseDesk::open(&folder).expect("nobody is there");
        let error = LeaseDesk::open(&folder).expect_err("somebody is there");
        assert_eq!(error.kind(), ErrorKind::TryAgain);
        drop(first);
        LeaseDesk::open(&folder).expect("nobody is there");
    }

    #[test]
    fn files_that_are_absurd_are_no_leases() {
        let (_base, folder) = folder();
        folder.make().expect("a new folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["core-1.lease", "core-.lease", "core-x.lease", "core-99999999999999999999"] {
            fs::write(path(name), "garbage").expect("a file");
        }
        fs::create_dir(path("core-2.lease")).expect("a folder");
        assert_eq!(seen(&folder, &Leases::default()), [0; 0]);
        let held = File::open(path("core-1.lease")).expect("a file");
        held.try_lock().expect("nobody has it");
        let desk = LeaseDesk::open(&folder).expect("nobody is there");
        let nobody = Leased { core: 1, pid: None, is_ours: false };
        assert_eq!(desk.leased(&Leases::default()), [nobody]);
        let mut leases = Leases::default();
        let error = desk.take(&[0, 2], &mut leases).expect_err("2 is a folder");
        assert_eq!(error.kind(), ErrorKind::CannotCreate);
        drop(desk);
        assert_eq!(seen(&folder, &Leases::default()), [1], "0 was given back");
    }
}
