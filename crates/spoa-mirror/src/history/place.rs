//! The file that history is kept in: whether it can be, and whose it is.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};
use rusqlite::ErrorCode;

use super::schema;
use crate::config::HistoryConfig;

/// How a SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The beginning that is read; the version and the application stand at fixed places in it.
const HEADER: usize = 100;
const VERSION: usize = 60;
const APPLICATION: usize = 68;

/// Damaged files that are set aside; a further one takes the place of the last.
const MOST_DAMAGED: u32 = 9;

/// The history file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why a history file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its directory is not there.
    NoDirectory,
    /// It is something else than a database.
    NotADatabase,
    /// It is the database of another program.
    Foreign,
    /// A newer version of this program wrote it: in this version of its tables.
    Newer(u32),
    /// Another process has it.
    Locked,
    /// It is damaged: what SQLite says.
    Damaged(String),
    /// There is no room.
    Full,
    /// It, or its directory, must not be written.
    ReadOnly,
    /// What the operating system or SQLite says.
    Other(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the history cannot be kept in {} (comparison.history.file): ",
            self.file.display()
        )?;
        let directory = directory(&self.file).display();
        match &self.why {
            Why::NoDirectory => write!(
                f,
                "there is no directory {directory}; make it, and let the agent's user write there"
            ),
            Why::NotADatabase => {
                write!(f, "it is not a database; name another file, or move this one away")
            }
            Why::Foreign => write!(
                f,
                "it is the database of another program; name another file, or move this one away"
            ),
            Why::Newer(version) => write!(
                f,
                "a newer version of spoa-mirror wrote it (its tables have version {version}, this \
                 program knows {}); use that version, or name another file",
                schema::STEPS.len()
            ),
            Why::Locked => write!(
                f,
                "another process uses it (`fuser {}` tells which); each agent needs a file of its own",
                self.file.display()
            ),
            Why::Damaged(what) => write!(f, "it is damaged: {what}"),
            Why::Full => write!(f, "there is no room left; make some, or name a file elsewhere"),
            Why::ReadOnly => write!(
                f,
                "it or its directory must not be written; let the agent's user write to {directory} and \
                 to the files there whose names begin with this one's"
            ),
            Why::Other(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Why {
    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other(error.to_string()),
        }
    }

    pub(super) fn of_sqlite(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            // That it once was a database of ours is known before SQLite sees it.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::DiskFull) => Self::Full,
            // The file was opened before: SQLite cannot make those that stand beside it.
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Whether history could be kept as configured. Changes nothing, and does not mind an agent that uses the file.
///
/// # Errors
/// Why not.
pub fn check(config: &HistoryConfig) -> Result<(), Unusable> {
    let Some(file) = &config.file else { return Ok(()) };
    let unusable = |why| Unusable { file: file.clone(), why };
    let directory = directory(file);
    if !directory.is_dir() {
        return Err(unusable(Why::NoDirectory));
    }
    let allowed = |path: &Path, how| {
        access(path, how).map_err(|errno| unusable(Why::of_io(&io::Error::from(errno))))
    };
    allowed(directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
    if file.exists() {
        allowed(file, AccessFlags::R_OK | AccessFlags::W_OK)?;
        let mut opened = File::open(file).map_err(|error| unusable(Why::of_io(&error)))?;
        is_ours(&mut opened).map_err(unusable)?;
    }
    Ok(())
}

/// A file that no other agent uses meanwhile.
pub(super) struct Owned {
    _lock: Flock<File>,
}

/// Takes the file, makes it if need be, for this user's eyes only.
pub(super) fn own(file: &Path) -> Result<Owned, Why> {
    if !directory(file).is_dir() {
        return Err(Why::NoDirectory);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut opened = options.open(file).map_err(|error| Why::of_io(&error))?;
    is_ours(&mut opened)?;
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Owned { _lock: lock }),
        Err((_, Errno::EWOULDBLOCK)) => Err(Why::Locked),
        Err((_, errno)) => Err(Why::Other(format!("it cannot be locked: {errno}"))),
    }
}

/// Whether a file is empty, or a database of this program that this version understands.
fn is_ours(file: &mut File) -> Result<(), Why> {
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Why::NotADatabase);
    }
    let mut header = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut header).map_err(|error| Why::of_io(&error))?;
    if header.is_empty() {
        return Ok(());
    }
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?))
    };
    let (Some(version), Some(application)) = (number(VERSION), number(APPLICATION)) else {
        return Err(Why::NotADatabase);
    };
    if !header.starts_with(MAGIC) {
        return Err(Why::NotADatabase);
    }
    // A crash right after the file was made leaves one that has nothing in it yet.
    if application != schema::APPLICATION && (application, version) != (0, 0) {
        return Err(Why::Foreign);
    }
    if version as usize > schema::STEPS.len() {
        return Err(Why::Newer(version));
    }
    Ok(())
}

/// Moves a damaged database away, so that somebody may look at it; gives its new name.
///
/// # Errors
/// It cannot be moved.
pub(super) fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let free = (1..MOST_DAMAGED).map(|number| beside(file, &format!(".damaged-{number}")));
    let aside = free
        .into_iter()
        .find(|path| !path.exists())
        .unwrap_or_else(|| beside(file, &format!(".damaged-{MOST_DAMAGED}")));
    fs::rename(file, &aside)?;
    // What was not yet brought over into the file belongs to it.
    match fs::rename(beside(file, "-wal"), beside(&aside, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_file(beside(file, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(aside),
    }
}

/// The path with this at its end.
pub(super) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
