//! Reads the files of the table: the table itself and its drop-ins.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::excerpt::Excerpts;
use crate::sys::{Signals, errno_of};
use crate::text::{Failure, Kind, Level, Result, bytes_of, path_of, quoted_path, reason};
use crate::value::{Document, Mistake, Sources, Span};

/// The path of the table, unless an option or a variable sets another one.
pub(crate) const DEFAULT: &str = "/etc/preverb/preverb.toml";

/// The maximum size of a file of the table: ten thousand verbs need a hundredth of it.
const LONGEST: usize = 64 << 20;

/// Reads the table and its drop-ins. If a file cannot be read, the exit code is 78 (table) or 71 (system).
pub(crate) fn read(path: &Path, signals: &mut Signals) -> Result<Sources> {
    let mut sources = Sources::default();
    sources.add(path.to_owned(), read_one(path, "table", signals)?);
    for drop_in in drop_ins(path)? {
        let text = read_one(&drop_in, "drop-in", signals)?;
        sources.add(drop_in, text);
    }
    Ok(sources)
}

/// The directory of the drop-ins of a table: `X.d` for `X.toml`.
pub(crate) fn drop_in_directory(table: &Path) -> PathBuf {
    let stem = bytes_of(table);
    let stem = stem.strip_suffix(b".toml").unwrap_or(stem);
    path_of(&[stem, b".d"].concat()).to_owned()
}

fn drop_ins(table: &Path) -> Result<Vec<PathBuf>> {
    let directory = drop_in_directory(table);
    let listed = std::fs::read_dir(&directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>());
    let mut names = match listed {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let (shown, reason) = (quoted_path(&directory), reason(&error));
            return Err(Failure::new(Kind::Table, format!("cannot read the drop-ins in {shown}: {reason}")));
        }
    };
    names.retain(|name| name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b"."));
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

fn read_one(path: &Path, what: &str, signals: &mut Signals) -> Result<String> {
    let shown = quoted_path(path);
    let read = crate::sys::read::read_interruptible(path, LONGEST, signals);
    let read = read.map_err(|stop| stop.failure(&format!("while reading the {what} {shown}")))?;
    let bytes = read.map_err(|error| {
        // A lack of descriptors or memory is not a mistake of the table.
        let wants = matches!(errno_of(&error), Errno::MFILE | Errno::NFILE | Errno::NOMEM);
        let kind = if wants { Kind::System } else { Kind::Table };
        let failure = Failure::new(kind, format!("cannot read the {what} {shown}: {}", reason(&error)));
        if what == "table" && error.kind() == ErrorKind::NotFound {
            failure.hint("put the table there, or name it with `PREVERB_TABLE` or `--table`")
        } else {
            failure
        }
    })?;
    match String::from_utf8(bytes) {
        // Some editors put a byte order mark at the start of a file; TOML does not allow one.
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let mistake = Mistake::new(Span { start, end: start + 1 }, "the table is not UTF-8");
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let sources = Sources::one(path.to_owned(), text);
            Err(Failure::of(Kind::Table, Excerpts::of(&sources).message(&mistake, Level::Error)))
        }
    }
}

pub(crate) fn failing(sources: &Sources, mistakes: &[Mistake]) -> Result<()> {
    if mistakes.is_empty() {
        return Ok(());
    }
    let excerpts = Excerpts::of(sources);
    let failure = |mistake| Failure::of(Kind::Table, excerpts.message(mistake, Level::Error));
    Failure::all(mistakes.iter().map(failure)).map_or(Ok(()), Err)
}

pub(crate) fn parse(sources: &Sources) -> Result<Document<'_>> {
    let (document, mistakes) = super::select::read_on(sources);
    failing(sources, &mistakes)?;
    document.ok_or_else(|| Failure::new(Kind::Table, "cannot read the table"))
}
