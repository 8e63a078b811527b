//! `render`: writes a file, or the files of a tree, with `${...}` expanded. The user who writes also reads
//! the templates, so that root never reads a file that the user cannot read.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, statat};
use rustix::io::Errno;

use crate::plan::target::expand;
use crate::setup::state::{Setup, Task};
use crate::setup::steps::mkdir::mkdir;
use crate::setup::steps::progress::{self, Progress};
use crate::sys::{
    Credentials, Entry, Identity, Keep, NONBLOCKING, Refusal, acting_as, entry, errno_of, fill, place, proof,
};
use crate::text::{Failure, Kind, Result, bytes_of, escaped, quoted_path as shown};
use crate::value::{Deferred, Expanded, HINT, Render, Scope, TextError, Variables, expand_text};

pub(crate) const SUFFIX: &str = ".template";
/// The maximum size of a template, which is held in memory.
const LONGEST: u64 = 64 << 20;
const PUBLIC: u32 = 0o644;
/// The mode of a file that contains a secret.
const PRIVATE: u32 = 0o600;

type Outcome<T> = std::result::Result<T, Refusal>;

impl Setup {
    pub(in crate::setup) fn render(&mut self, task: &Task<'_>, render: &Render) -> Result<()> {
        let suffix = render.suffix.as_ref().map(|suffix| self.expand(suffix, task, "suffix")).transpose()?;
        let variables = self.surroundings.variables(task.root);
        let only = |name| expand(name, variables, "`only`").map(|expanded| expanded.bytes);
        let only = render.only.as_ref().map(|names| names.iter().map(only).collect::<Result<_>>());
        let only = only.transpose()?;
        let rendering = Rendering {
            from: self.path(&render.from, task, "render")?,
            to: self.path(&render.to, task, "to")?,
            mode: render.mode.as_ref().and_then(Deferred::known),
            suffix: suffix.map_or(SUFFIX.into(), |suffix| suffix.bytes),
            scope: Scope { only, keep_unset: render.keep_unset },
            roots_step: task.kept_root.then(|| task.who()),
            variables: self.surroundings.variables(task.root),
            writer: task.identity.as_ref(),
        };
        rendering.perform(&mut progress::of(task.step, Instant::now(), &mut self.world))
    }
}

/// The file `from` is rendered to `to`, or all templates of the tree `from` into the tree `to`.
struct Rendering<'r> {
    from: PathBuf,
    to: PathBuf,
    mode: Option<u32>,
    suffix: Vec<u8>,
    scope: Scope,
    /// The label of the step if it runs explicitly as root. Then its templates must be root's, too.
    roots_step: Option<String>,
    variables: &'r Variables,
    writer: Option<&'r Identity>,
}

/// The directories to make, and each template with its destination.
type Sources = (Vec<PathBuf>, Vec<(PathBuf, PathBuf)>);

impl Rendering<'_> {
    /// All templates are expanded before the first file is written: if variables are unset, all of them are
    /// reported and no file changes. A link at the destination is replaced, not followed. A file that is
    /// already right is left alone.
    fn perform(&self, progress: &mut Progress<'_>) -> Result<()> {
        let (directories, files) = acting_as(self.writer, || {
            let (directories, sources) = self.sources(progress)?;
            let (mut files, mut failures) = (Vec::new(), Vec::new());
            for (template, to) in sources {
                progress()?;
                if let Some(step) = &self.roots_step
                    && let Err(why) = proof::file(&template)
                {
                    return Err(proof::refused(step, &template, &why));
                }
                match self.expanded(&template, progress) {
                    Ok(content) => files.push((to, content)),
                    Err(mut several) if several.last().is_some_and(Failure::is_stop) => {
                        return Err(several.swap_remove(0));
                    }
                    Err(several) => failures.extend(several),
                }
            }
            // The hint appears once, and not if a template is unreadable.
            if let Some(last) = failures.pop() {
                failures.push(if last.kind() == Kind::System { last } else { last.hint(HINT) });
            }
            Failure::all(failures).map_or(Ok((directories, files)), Err)
        })?;
        mkdir(&directories, None, self.writer, progress)?;
        acting_as(self.writer, || {
            for (to, content) in files {
                progress()?;
                self.write(&to, &content)?;
            }
            Ok(())
        })
    }

    fn sources(&self, progress: &mut Progress<'_>) -> Result<Sources> {
        let Self { from, to, suffix, .. } = self;
        match find(from, to, suffix, self.writer, progress)? {
            Templates::Missing => Ok(Sources::default()),
            Templates::Other => Err(no_file(from, " and not a directory")),
            Templates::File if is_directorys(to) => Err(Failure::new(
                Kind::System,
                format!("cannot write {}: {} is a file", shown(to), shown(from)),
            )
            .hint("`to` ends in a slash, so the template must be a directory")),
            Templates::File => Ok((Vec::new(), vec![(from.clone(), to.clone())])),
            Templates::Tree(below) => {
                let (mut directories, mut sources) = Sources::default();
                for template in below {
                    let name = bytes_of(&template);
                    let file = to.join(OsStr::from_bytes(name.strip_suffix(&suffix[..]).unwrap_or(name)));
                    directories.extend(file.parent().map(Path::to_owned));
                    sources.push((from.join(template), file));
                }
                sort(&mut directories);
                directories.dedup();
                Ok((directories, sources))
            }
        }
    }

    fn expanded(
        &self, template: &Path, progress: &mut Progress<'_>,
    ) -> std::result::Result<Expanded, Vec<Failure>> {
        let refused = |refusal| vec![unreadable(template, &refusal, self.writer)];
        let (file, kind) = open(template).map_err(refused)?;
        if kind != FileType::RegularFile {
            // It is not skipped: a directory with such a name is usually a mistake in a mount.
            return Err(vec![no_file(template, "")]);
        }
        let mut text = Vec::new();
        let read = File::from(file).take(LONGEST + 1).read_to_end(&mut text);
        let length = read.map_err(|error| refused(errno_of(&error).into()))?;
        if length as u64 > LONGEST {
            return Err(refused(Errno::FBIG.into()));
        }
        let name = escaped(bytes_of(template));
        let failure = |kind, sentence: String, line: usize| {
            Failure::new(kind, sentence).field("template", &name).number("line", line as u64)
        };
        let mut ended = Vec::new();
        let expanded = expand_text(&text, self.variables, &self.scope, &mut || {
            ended.extend(progress().err());
            ended.is_empty()
        });
        expanded.map_err(|error| match error {
            TextError::Interrupted => ended,
            TextError::Unset(unset) => {
                let needed = unset.into_iter().map(|(line, unset)| {
                    let sentence = format!("{}: line {line} of template `{name}` needs it", unset.sentence());
                    failure(Kind::Variable, sentence, line).field("variable", unset.name)
                });
                needed.collect()
            }
            TextError::Malformed((line, reason)) => {
                vec![failure(Kind::Table, format!("{name}:{line}: {reason}"), line)]
            }
        })
    }

    fn write(&self, to: &Path, content: &Expanded) -> Result<()> {
        let wanted = Wanted {
            content: &content.bytes,
            mode: self.mode.unwrap_or(if content.secret { PRIVATE } else { PUBLIC }),
            strictly: self.mode.is_some() || content.secret,
        };
        Entry::find(to).and_then(|entry| put(&entry, &wanted)).map_err(|reason| {
            let by =
                self.writer.map(|writer| format!(" as user `{}`", writer.spec.shown())).unwrap_or_default();
            Failure::new(Kind::System, format!("cannot write {}{by}: {reason}", shown(to)))
                .field("file", escaped(bytes_of(to)))
        })
    }
}

fn unreadable(path: &Path, refusal: &Refusal, writer: Option<&Identity>) -> Failure {
    let sentence = format!("cannot read template {}: {refusal}", shown(path));
    let failure = Failure::new(Kind::System, sentence).field("template", escaped(bytes_of(path)));
    let is_denied = *refusal == Refusal::System(Errno::ACCESS);
    let Some(user) = writer.filter(|_| is_denied).map(|writer| writer.spec.shown()) else { return failure };
    failure.hint(format!("the template is read as user `{user}`, because the file is written for that user"))
}

fn no_file(path: &Path, or: &str) -> Failure {
    Failure::new(Kind::System, format!("template {} is not a file{or}", shown(path)))
        .field("template", escaped(bytes_of(path)))
}

pub(crate) enum Templates {
    File,
    /// A directory: the relative paths of its templates, in bytewise order.
    Tree(Vec<PathBuf>),
    Other,
    Missing,
}

fn open(path: &Path) -> Outcome<(OwnedFd, FileType)> {
    let file = entry::open(path, NONBLOCKING)?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    Ok((file, kind))
}

/// Sorts paths in bytewise order.
fn sort(paths: &mut [PathBuf]) {
    paths.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
}

/// Whether a path requires a directory.
fn is_directorys(path: &Path) -> bool {
    bytes_of(path).ends_with(b"/")
}

/// Finds the templates of `from`, which `writer` reads and renders to `to`.
pub(crate) fn find(
    from: &Path, to: &Path, suffix: &[u8], writer: Option<&Identity>, progress: &mut Progress<'_>,
) -> Result<Templates> {
    let (_, kind) = match open(from) {
        Err(Refusal::System(Errno::NOENT)) if is_directorys(from) || is_directorys(to) => {
            return Ok(Templates::Missing);
        }
        opened => opened.map_err(|refusal| unreadable(from, &refusal, writer))?,
    };
    if kind == FileType::Directory {
        let mut tree = Tree { top: from, suffix, writer, above: Vec::new(), found: Vec::new(), progress };
        tree.walk(Path::new(""))?;
        sort(&mut tree.found);
        return Ok(Templates::Tree(tree.found));
    }
    if is_directorys(from) {
        return Err(unreadable(from, &Errno::NOTDIR.into(), writer));
    }
    Ok(if kind == FileType::RegularFile { Templates::File } else { Templates::Other })
}

struct Tree<'t, 'p> {
    top: &'t Path,
    suffix: &'t [u8],
    writer: Option<&'t Identity>,
    above: Vec<(u64, u64)>,
    found: Vec<PathBuf>,
    progress: &'t mut Progress<'p>,
}

impl Tree<'_, '_> {
    fn walk(&mut self, below: &Path) -> Result<()> {
        (self.progress)()?;
        let path = self.top.join(below);
        // This directory is closed before its subdirectories are entered, so few are open at a time.
        let directories = self.list(below, &path);
        let directories = directories.map_err(|refusal| unreadable(&path, &refusal, self.writer))?;
        directories.iter().try_for_each(|name| self.walk(&below.join(name)))?;
        self.above.pop();
        Ok(())
    }

    fn list(&mut self, below: &Path, path: &Path) -> Outcome<Vec<OsString>> {
        let directory = entry::open(path, NONBLOCKING | OFlags::DIRECTORY)?;
        let id = place(&fstat(&directory)?);
        if self.above.contains(&id) {
            return Err(Errno::LOOP.into());
        }
        self.above.push(id);
        let mut directories: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            // A mounted `ConfigMap` has each file in `..data` as well.
            if name.starts_with(b"..") || name == b"." {
                continue;
            }
            if name.len() > self.suffix.len() && name.ends_with(self.suffix) {
                self.found.push(below.join(OsStr::from_bytes(name)));
                continue;
            }
            let mut kind = entry.file_type();
            if matches!(kind, FileType::Symlink | FileType::Unknown) {
                match statat(&directory, entry.file_name(), AtFlags::empty()) {
                    Err(Errno::NOENT | Errno::LOOP) => {}
                    status => kind = FileType::from_raw_mode(status?.st_mode),
                }
            }
            if kind == FileType::Directory && !name.starts_with(b".") {
                directories.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(directories)
    }
}

struct Wanted<'a> {
    content: &'a [u8],
    mode: u32,
    strictly: bool,
}

fn put(entry: &Entry, wanted: &Wanted<'_>) -> Outcome<()> {
    if let Some(reason) = special(entry) {
        return Err(Refusal::Other(reason.to_owned()));
    }
    if is_already(entry, wanted) {
        return Ok(());
    }
    let Err(errno) = entry.replace(wanted.content, wanted.mode, Keep::UntilCrash) else { return Ok(()) };
    // A mount point cannot be replaced by a rename, and a directory of another user may contain a file of
    // this user.
    if !matches!(errno, Errno::BUSY | Errno::XDEV | Errno::ACCESS | Errno::PERM | Errno::ROFS) {
        return Err(errno.into());
    }
    // If it cannot be written in place because it is missing, the first error is reported.
    write_in_place(entry, wanted, errno)
        .map_err(|refusal| if refusal == Refusal::System(Errno::NOENT) { errno.into() } else { refusal })
}

/// The reason why an existing entry must not be replaced. A device or a pipe would be lost for all its users,
/// and writing to it could block. `/dev/stderr` links to one of those, or through `/proc` to any open file.
fn special(entry: &Entry) -> Option<&'static str> {
    let is_special = |there: Stat| {
        let kind = FileType::from_raw_mode(there.st_mode);
        !matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Symlink)
    };
    if entry.status(AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_special) {
        return Some("it is not a regular file");
    }
    let link = rustix::fs::readlinkat(&entry.directory, &entry.name, Vec::new()).ok()?;
    let leads_to_special =
        link.to_bytes().starts_with(b"/proc/") || entry.status(AtFlags::empty()).is_ok_and(is_special);
    leads_to_special.then_some("it is a symbolic link to something that is not a regular file")
}

/// Whether the file is already right and belongs to this user. Then a read-only file system is not a problem,
/// and programs that watch the file see no change.
fn is_already(entry: &Entry, wanted: &Wanted<'_>) -> bool {
    let opened = entry.open(NONBLOCKING | OFlags::NOFOLLOW, Mode::empty());
    let Ok(file) = opened.map(File::from) else { return false };
    let length = wanted.content.len() as u64;
    let fits = |found: Metadata| {
        let (mode, uid) = (found.mode() & 0o7777, Credentials::observe().uid);
        found.is_file() && (mode, found.uid(), found.len()) == (wanted.mode, uid, length)
    };
    let mut content = Vec::new();
    // One more byte is read, in case the file grows meanwhile.
    file.metadata().is_ok_and(fits)
        && file.take(length + 1).read_to_end(&mut content).is_ok()
        && content == wanted.content
}

/// Overwrites a file that could not be replaced because of `refused`. Readers can see a half-written file.
fn write_in_place(entry: &Entry, wanted: &Wanted<'_>, refused: Errno) -> Outcome<()> {
    let is = |what: &str| Err(Refusal::Other(what.to_owned()));
    let root = Credentials::observe().is_root();
    let no_link = if root { OFlags::NOFOLLOW } else { OFlags::empty() };
    let file = match entry.open(NONBLOCKING | OFlags::WRONLY | no_link, Mode::empty()) {
        Err(Errno::LOOP) if root => {
            return is("it is a symbolic link, and root does not write through links");
        }
        opened => opened?,
    };
    let status = fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return is("it is not a regular file");
    }
    // Only root can make a mount point. Any other name can be made by a user who can write to the directory.
    let is_mount = !matches!(refused, Errno::ACCESS | Errno::PERM);
    if root && !is_mount && status.st_nlink > 1 {
        return is("it has other hard links, and root does not write to such a file");
    }
    if status.st_mode & 0o7777 != wanted.mode
        && let Err(errno) = rustix::fs::fchmod(&file, Mode::from_raw_mode(wanted.mode))
        && wanted.strictly
        && status.st_mode & 0o7777 & !wanted.mode != 0
    {
        // A secret is not written to a file that more users can read than the mode allows.
        return Err(errno.into());
    }
    fill(&file, wanted.content)?;
    Ok(rustix::fs::ftruncate(&file, wanted.content.len() as u64)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

    use super::*;
    use crate::sys::entry::testing::{Needs, alone, directory, give, names, someone};
    use crate::value::variables::Origin;

    fn render(
        from: &Path, to: &Path, mode: Option<u32>, variables: &Variables, writer: Option<&Identity>,
    ) -> Result<()> {
        let suffix = SUFFIX.into();
        let (from, to, scope) = (from.into(), to.into(), Scope::default());
        let what = Rendering { from, to, mode, suffix, scope, roots_step: None, variables, writer };
        what.perform(&mut || Ok(()))
    }

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.set(b"NAME", b"world", Origin::Inherited, false);
        variables.set(b"BYTES", b"\xff\n", Origin::Inherited, false);
        variables.set(b"SECRET", b"hunter2", Origin::Inherited, true);
        variables
    }

    fn put(path: &Path, content: &[u8]) {
        std::fs::write(path, content).expect("written");
    }

    fn read(path: &Path) -> Vec<u8> {
        std::fs::read(path).expect("it is there")
    }

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_template_is_expanded_and_its_other_bytes_are_unchanged() {
        let place = directory();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        put(&from, b"hello ${NAME} $host $1 $${NAME} ${NONE:-d}\xfe${BYTES}\r\n\0");
        render(&from, &to, None, &variables(), None).expect("rendered");
        assert_eq!(read(&to), b"hello world $host $1 ${NAME} d\xfe\xff\n\r\n\0");
        assert_eq!(mode(&to), 0o644);
        assert_eq!(names(place.path()), ["from", "to"]);
    }

    #[test]
    fn only_the_owner_can_read_a_file_with_a_secret() {
        alone(module_path!(), "only_the_owner_can_read_a_file_with_a_secret", Needs::Process, || {
            let place = directory();
            let (from, to) = (place.path().join("from"), place.path().join("to"));
            put(&from, b"${SECRET}");
            rustix::process::umask(Mode::empty());
            render(&from, &to, None, &variables(), None).expect("rendered");
            assert_eq!(mode(&to), 0o600);
            rustix::process::umask(Mode::from_raw_mode(0o077));
            render(&from, &to, Some(0o640), &variables(), None).expect("rendered");
            assert_eq!((mode(&to), read(&to)), (0o640, b"hunter2".to_vec()));
            put(&from, b"nothing secret");
            render(&from, &to, None, &variables(), None).expect("rendered");
            assert_eq!(mode(&to), 0o644);
        });
    }

    #[test]
    fn an_unset_variable_is_reported_with_file_and_line_and_the_old_file_stays() {
        let place = directory();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        put(&from, b"one\n${NAME}\n${NONE?give it}\n");
        put(&to, b"old");
        let failure = render(&from, &to, None, &variables(), None).expect_err("unset");
        assert_eq!(failure.kind(), Kind::Variable);
        let template = from.display();
        let sentence =
            format!("variable `NONE` is not set: give it: line 3 of template `{template}` needs it");
        assert_eq!(failure.sentence(), sentence);
        assert!(failure.has_field("variable", "NONE") && failure.has_field("line", 3));
        assert_eq!(read(&to), b"old");
        put(&from, b"\n${NAME");
        let failure = render(&from, &to, None, &variables(), None).expect_err("malformed");
        assert_eq!(failure.kind(), Kind::Table);
        assert_eq!(failure.sentence(), format!("{template}:2: `${{NAME` is not closed by a `}}`"));
        assert_eq!(read(&to), b"old");
    }

    #[test]
    fn a_directory_of_templates_is_rendered_into_a_directory() {
        let place = directory();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        for path in [&from, &to, &from.join("nested")] {
            std::fs::create_dir(path).expect("made");
        }
        put(&from.join("b.conf.template"), b"b ${NAME}");
        put(&from.join("nested/c.template"), b"c");
        put(&from.join("a.conf"), b"no template");
        // A mounted ConfigMap keeps its files behind names with two dots.
        put(&from.join("..data.template"), b"${NONE}");
        put(&from.join(".env.template"), b"${NAME}");
        // In a mounted ConfigMap, the file is a link.
        put(&from.join("nested/real"), b"linked");
        symlink("nested/real", from.join("l.template")).expect("made");
        render(&from, &to, None, &variables(), None).expect("rendered");
        assert_eq!(names(&to), [".env", "b.conf", "l", "nested"]);
        assert_eq!(read(&to.join(".env")), b"world");
        assert_eq!(read(&to.join("nested/c")), b"c");
        assert_eq!(
            (read(&to.join("b.conf")), read(&to.join("l"))),
            (b"b world".to_vec(), b"linked".to_vec())
        );
    }

    #[test]
    fn all_templates_with_missing_variables_are_reported_and_none_is_written() {
        let place = directory();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        std::fs::create_dir(&from).expect("made");
        std::fs::create_dir(&to).expect("made");
        put(&from.join("a.template"), b"fine");
        put(&from.join("b.template"), b"${ONE}");
        put(&from.join("c.template"), b"${TWO}");
        let failure = render(&from, &to, None, &variables(), None).expect_err("unset");
        assert_eq!(failure.messages().len(), 2);
        assert_eq!(names(&to), [""; 0]);
    }

    #[test]
    fn a_source_that_is_not_a_template_is_refused() {
        let place = directory();
        let to = place.path().join("to");
        let refused = |from: &Path, reason: &str| {
            let failure = render(from, &to, None, &variables(), None).expect_err("refused");
            assert_eq!((failure.kind(), failure.sentence()), (Kind::System, reason.to_owned()));
        };
        let missing = place.path().join("missing");
        let reason = "it does not exist";
        refused(&missing, &format!("cannot read template `{}`: {reason}", missing.display()));
        let pipe = place.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        refused(&pipe, &format!("template `{}` is not a file and not a directory", pipe.display()));
        let mistyped = place.path().join("templates");
        std::fs::create_dir_all(mistyped.join("x.template")).expect("made");
        let template = mistyped.join("x.template");
        refused(&mistyped, &format!("template `{}` is not a file", template.display()));
    }

    #[test]
    fn a_destination_that_cannot_be_written_is_refused() {
        let place = directory();
        let from = place.path().join("from");
        put(&from, b"x");
        let refused = |to: &Path, reason: &str| {
            let failure = render(&from, to, None, &variables(), None).expect_err("refused");
            assert_eq!(failure.kind(), Kind::System);
            assert_eq!(failure.sentence(), format!("cannot write `{}`: {reason}", to.display()));
        };
        let missing = place.path().join("missing");
        refused(&missing.join("to"), &format!("its directory `{}` does not exist", missing.display()));
        refused(place.path(), "it is a directory");
        refused(&from.join("to"), "a part of its path is not a directory");
        assert_eq!(names(place.path()), ["from"]);
    }

    #[test]
    fn a_link_at_the_destination_is_replaced_and_its_target_is_unchanged() {
        let place = directory();
        let (from, to, other) =
            (place.path().join("from"), place.path().join("to"), place.path().join("other"));
        put(&from, b"new");
        put(&other, b"precious");
        symlink(&other, &to).expect("made");
        render(&from, &to, None, &variables(), None).expect("rendered");
        assert!(std::fs::symlink_metadata(&to).expect("there").is_file());
        assert_eq!((read(&to), read(&other)), (b"new".to_vec(), b"precious".to_vec()));
    }

    #[test]
    fn a_file_that_is_already_right_is_left_alone() {
        let place = directory();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        put(&from, b"${NAME}");
        let inode = || std::fs::metadata(&to).expect("there").ino();
        render(&from, &to, None, &variables(), None).expect("rendered");
        let first = inode();
        render(&from, &to, None, &variables(), None).expect("rendered");
        assert_eq!(inode(), first);
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o666)).expect("changed");
        render(&from, &to, None, &variables(), None).expect("rendered");
        assert_eq!(mode(&to), 0o644);
        assert_ne!(inode(), first);
    }

    #[test]
    fn a_file_is_written_for_its_user_and_as_that_user() {
        alone(module_path!(), "a_file_is_written_for_its_user_and_as_that_user", Needs::Root, || {
            let place = directory();
            let from = place.path().join("from");
            let theirs = place.path().join("theirs");
            put(&from, b"new");
            std::fs::create_dir(&theirs).expect("made");
            give(&theirs, 1000);
            let to = theirs.join("to");
            render(&from, &to, None, &variables(), Some(&someone(1000))).expect("rendered");
            let status = std::fs::metadata(&to).expect("there");
            assert_eq!((status.uid(), status.gid(), mode(&to)), (1000, 1000, 0o644));

            // A file that the user cannot write is not written for them.
            let roots = place.path().join("roots");
            put(&roots, b"precious");
            symlink(place.path(), theirs.join("out")).expect("made");
            let failure = render(&from, &theirs.join("out/roots"), None, &variables(), Some(&someone(1000)))
                .expect_err("root's");
            assert_eq!(failure.kind(), Kind::System);
            // A template that the user cannot read is not read for them.
            let private = place.path().join("private");
            put(&private, b"root's own");
            std::fs::set_permissions(&private, PermissionsExt::from_mode(0o600)).expect("changed");
            render(&private, &to, None, &variables(), Some(&someone(1000))).expect_err("root's");
            assert_eq!((read(&to), read(&roots)), (b"new".to_vec(), b"precious".to_vec()));
            assert_eq!(names(&theirs), ["out", "to"]);
        });
    }

    #[test]
    fn a_file_in_a_directory_that_is_not_the_users_is_written_in_place() {
        alone(
            module_path!(),
            "a_file_in_a_directory_that_is_not_the_users_is_written_in_place",
            Needs::Root,
            || {
                let place = directory();
                let (from, to) = (place.path().join("from"), place.path().join("to"));
                put(&from, b"new");
                put(&to, b"old, and longer");
                give(&to, 1000);
                let inode = std::fs::metadata(&to).expect("there").ino();
                render(&from, &to, None, &variables(), Some(&someone(1000))).expect("rendered");
                assert_eq!(
                    (read(&to), std::fs::metadata(&to).expect("there").ino()),
                    (b"new".to_vec(), inode)
                );

                // The mode of another user's file cannot be changed, so it gets no secret.
                give(&to, 1001);
                std::fs::set_permissions(&to, PermissionsExt::from_mode(0o666)).expect("changed");
                put(&from, b"newer");
                render(&from, &to, None, &variables(), Some(&someone(1000))).expect("rendered");
                assert_eq!((read(&to), mode(&to)), (b"newer".to_vec(), 0o666));
                put(&from, b"${SECRET}");
                render(&from, &to, None, &variables(), Some(&someone(1000))).expect_err("all can read it");
                assert_eq!((read(&to), mode(&to)), (b"newer".to_vec(), 0o666));
            },
        );
    }

    #[test]
    fn root_does_not_follow_a_planted_link() {
        alone(module_path!(), "root_does_not_follow_a_planted_link", Needs::Root, || {
            let place = directory();
            let (from, theirs) = (place.path().join("from"), place.path().join("theirs"));
            let precious = place.path().join("precious");
            put(&from, b"new");
            std::fs::create_dir(&theirs).expect("made");
            std::fs::create_dir(&precious).expect("made");
            put(&precious.join("to"), b"precious");
            symlink(&precious, theirs.join("link")).expect("made");
            give(&theirs.join("link"), 1000);
            give(&theirs, 1000);
            let failure =
                render(&from, &theirs.join("link/to"), None, &variables(), None).expect_err("planted");
            assert_eq!(failure.kind(), Kind::System);
            assert!(failure.sentence().contains("symbolic link"), "{}", failure.sentence());
            assert_eq!(read(&precious.join("to")), b"precious");
        });
    }

    #[test]
    fn root_reads_through_links_that_only_root_can_have_made() {
        let test = "root_reads_through_links_that_only_root_can_have_made";
        alone(module_path!(), test, Needs::Mounts, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            std::fs::create_dir_all(at("map/..1")).expect("made");
            std::fs::create_dir(at("to")).expect("made");
            put(&at("map/..1/a.template"), b"${NAME}");
            symlink("..1", at("map/..data")).expect("made");
            symlink("..data/a.template", at("map/a.template")).expect("made");
            let rendered = || render(&at("map"), &at("to"), None, &variables(), None);
            // A mounted `ConfigMap` has this mode, and is read-only.
            std::fs::set_permissions(at("map"), PermissionsExt::from_mode(0o777)).expect("changed");
            rendered().expect_err("any user can have moved a link there");
            mount(&["--bind".as_ref(), at("map").as_ref(), at("map").as_ref()]);
            mount(&["-o".as_ref(), "remount,bind,ro".as_ref(), at("map").as_ref()]);
            rendered().expect("root's links, where no other user can write");
            assert_eq!(read(&at("to/a")), b"world");
        });
    }

    #[test]
    fn a_bind_mounted_file_is_written_in_place() {
        alone(module_path!(), "a_bind_mounted_file_is_written_in_place", Needs::Mounts, || {
            let place = directory();
            let at = |name: &str| place.path().join(name);
            put(&at("from"), b"new ${SECRET}");
            put(&at("outside"), b"old, and much longer than that");
            put(&at("to"), b"");
            mount(&["--bind".as_ref(), at("outside").as_ref(), at("to").as_ref()]);
            render(&at("from"), &at("to"), None, &variables(), None).expect("rendered");
            assert_eq!((read(&at("outside")), mode(&at("outside"))), (b"new hunter2".to_vec(), 0o600));
            assert_eq!(names(place.path()), ["from", "outside", "to"]);

            // On a read-only file system it fails, unless there is nothing to do.
            mount(&["-o".as_ref(), "remount,bind,ro".as_ref(), at("to").as_ref()]);
            render(&at("from"), &at("to"), None, &variables(), None).expect("nothing to do");
            put(&at("from"), b"newer");
            let failure = render(&at("from"), &at("to"), None, &variables(), None).expect_err("read-only");
            assert_eq!(failure.kind(), Kind::System);
            assert!(failure.sentence().ends_with(": the file system is read-only"), "{}", failure.sentence());
        });
    }

    fn mount(arguments: &[&OsStr]) {
        #![allow(clippy::disallowed_methods, reason = "mounts are made by mount(8)")]
        let status = std::process::Command::new("mount").args(arguments).status();
        assert!(status.expect("mount(8) is there").success());
    }
}
