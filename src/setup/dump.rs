//! The results of a hook: the environment of the shell that sourced it, and its text on descriptor 3.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;

use crate::setup::surroundings::{Changes, current_umask};
use crate::sys::{read, working_directory};
use crate::text::{bytes_of, is_shell_name, path_of, quoted};
use crate::value::{Document, Shape, Sources, Variables};

/// `--preverb-dump SOCKET`: sends this process's environment back. The receiver reports missing data.
pub(crate) fn dump(words: &[OsString]) -> u8 {
    let name = words.first().map(|word| word.as_bytes()).unwrap_or_default();
    let variables = read::environment();
    let entries = variables.to_envp();
    let mut dump = bytes_of(&working_directory().unwrap_or_default()).to_vec();
    dump.extend(format!("\0{:o}\0{}\0", current_umask(), entries.len()).bytes());
    for entry in entries {
        dump.extend_from_slice(entry.to_bytes_with_nul());
    }
    let send = || -> std::io::Result<usize> {
        let mut socket = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        socket.write_all(&dump)?;
        socket.shutdown(Shutdown::Write)?;
        // The process stays alive until the receiver closes the socket, so that its group can be looked up.
        socket.read_to_end(&mut Vec::new())
    };
    u8::from(send().is_err())
}

/// The changes of the shell that sent this dump; `None` if it is incomplete. If `is_bash`, exported functions
/// (`BASH_FUNC_name%%`) count, too. The directory is empty if it is unreachable or no longer exists.
pub(super) fn changes(dump: &[u8], before: &Variables, is_bash: impl Fn() -> bool) -> Option<Changes> {
    let mut fields = dump.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    let directory = path_of(fields.next()?).to_owned();
    let umask = u32::from_str_radix(str::from_utf8(fields.next()?).ok()?, 8).ok()?;
    let count: usize = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let entries: Vec<Vec<u8>> = fields.map(<[u8]>::to_vec).collect();
    if entries.len() != count {
        return None;
    }
    let after = Variables::inherited(entries);
    let (had, has) = (values(before), values(&after));
    let unset = before.named().filter(|(name, _)| {
        // A shell drops names that it does not support; that is not an unset.
        let is_function = name.starts_with(b"BASH_FUNC_") && name.ends_with(b"%%");
        !has.contains_key(name) && (is_shell_name(name) || (is_function && is_bash()))
    });
    let names = after.named().chain(unset).map(|(name, _)| (name, has.get(name).copied()));
    let variables = names
        .filter(|(name, after)| had.get(name).copied() != *after && !is_the_shells_own(name, *after))
        .map(|(name, after)| (name.to_vec(), after.map(<[u8]>::to_vec)))
        .collect();
    let has_moved = working_directory().unwrap_or_default() != directory;
    Some(Changes { variables, directory: has_moved.then_some(directory), umask: Some(umask) })
}

/// An index for lookups, because there can be very many. For duplicate names a shell takes the last.
fn values(variables: &Variables) -> HashMap<&[u8], &[u8]> {
    variables.named().map(|(name, found)| (name, found.value)).collect()
}

/// Variables about the shell itself, or with bash's options: if they were exported, a hook's `set -e` would
/// apply to every later bash (bash(1), Shell Variables; XCU 2.5.3).
const SHELLS_OWN: &str = "SHLVL _ OLDPWD PWD SHELLOPTS BASHOPTS PPID LINENO RANDOM SRANDOM SECONDS \
                          EPOCHSECONDS EPOCHREALTIME HISTCMD FUNCNAME DIRSTACK GROUPS COMP_WORDBREAKS BASH \
                          BASHPID BASH_VERSION BASH_VERSINFO BASH_SUBSHELL BASH_COMMAND BASH_ARGC BASH_ARGV \
                          BASH_ARGV0 BASH_EXECUTION_STRING BASH_LINENO BASH_SOURCE";

/// Whether the shell itself makes this change: every shell resets some variables when it starts.
fn is_the_shells_own(name: &[u8], after: Option<&[u8]>) -> bool {
    match name {
        b"IFS" => after == Some(b" \t\n"),
        b"OPTIND" | b"OPTERR" => after == Some(b"1"),
        b"PS4" => after == Some(b"+ "),
        b"PS1" | b"PS2" => after.is_none(),
        _ => SHELLS_OWN.split(' ').any(|own| own.as_bytes() == name),
    }
}

type Written = (Vec<u8>, Vec<u8>);

/// Parses the variables that a hook wrote to descriptor 3: a flat TOML table of strings (the `exec.d`
/// protocol of the Cloud Native Buildpacks' launch specification). The error completes a sentence.
pub(crate) fn written_variables(text: &[u8]) -> Result<Vec<Written>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "something that is not UTF-8".to_owned())?;
    let sources = Sources::one(PathBuf::from("descriptor 3"), text.to_owned());
    let document = Document::read(&sources, |_| false).map_err(|mistakes| {
        let mistake = mistakes.first();
        let place = mistake.and_then(|mistake| sources.place(mistake.span.start));
        let line = place.map_or(1, |place| place.line);
        let message = mistake.map(|mistake| mistake.message.clone()).unwrap_or_default();
        format!("something that is not TOML: line {line}: {message}")
    })?;
    let mut variables = Vec::new();
    for child in document.root().children() {
        let name = quoted(child.key());
        let Some(value) = child.as_str() else {
            let is_nested = matches!(child.shape(), Shape::Table | Shape::Array);
            let wanted = if is_nested { "not a flat table of strings" } else { "not a string" };
            return Err(format!("a value for {name} that is {}, {wanted}", child.shape().name()));
        };
        if child.key().is_empty() || child.key().contains(['=', '\0']) {
            return Err(format!("the name {name}, which is not a valid variable name"));
        }
        if value.contains('\0') {
            return Err(format!("a value for {name} with a NUL character"));
        }
        variables.push((child.key().as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flat_table_of_strings_is_accepted_on_descriptor_three() {
        let good = written_variables(b"A = \"1\"\n\"my.var\" = '''x\ny'''\n").expect("well-formed");
        assert_eq!(good, [(b"A".to_vec(), b"1".to_vec()), (b"my.var".to_vec(), b"x\ny".to_vec())]);
        for bad in [
            &b"A = 1"[..],
            b"[t]\nA = \"1\"",
            b"a.b = \"1\"",
            b"\"a=b\" = \"1\"",
            b"\"\" = \"1\"",
            b"A = \"\\u0000\"",
            b"hello",
            b"\xff",
            b"A=\"1\"\nA=\"2\"",
            b"A = []",
            b"A = {}",
        ] {
            assert!(written_variables(bad).is_err(), "{}", crate::text::escape::escaped(bad));
        }
    }

    #[test]
    fn an_incomplete_dump_is_rejected() {
        let parse = |dump: &[u8]| changes(dump, &Variables::default(), || false);
        let whole = parse(b"/tmp\x0022\x002\0A=1\0B=2\0").expect("whole");
        assert_eq!((whole.directory, whole.umask), (Some(PathBuf::from("/tmp")), Some(0o22)));
        for broken in [&b""[..], b"/tmp\x0022\x002\0A=1\0", b"/tmp\x0022\x002\0A=1\0B=2", b"/tmp\0"] {
            assert!(parse(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn variables_that_every_shell_sets_are_not_changes() {
        let before = Variables::inherited(
            ["IFS=:", "PPID=1", "OPTIND=5", "PS1=x", "RANDOM=1"].map(|entry| entry.as_bytes().to_vec()),
        );
        let check = |after: &[u8], expected: &[(&[u8], Option<&[u8]>)]| {
            let changes = changes(after, &before, || false).expect("whole").variables;
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
            assert_eq!(changes, expected);
        };
        check(b"/\x0022\x003\0IFS= \t\n\0PPID=77\0OPTIND=1\0", &[]);
        check(
            b"/\x0022\x003\0IFS=,\0OPTIND=3\0PS1=y\0",
            &[(b"IFS", Some(b",")), (b"OPTIND", Some(b"3")), (b"PS1", Some(b"y"))],
        );
    }

    #[test]
    fn only_exports_and_unsets_count_as_changes() {
        let before = Variables::inherited(
            ["A=1", "B=1", "my.var=x", "D=1", "D=2", "SHLVL=1"].map(|entry| entry.as_bytes().to_vec()),
        );
        let after = b"/\x0022\x006\0A=2\0D=2\0PWD=/\0SHLVL=2\0_=x\0NEW=n\0";
        let changes = changes(after, &before, || false).expect("whole").variables;
        assert_eq!(
            changes,
            [
                (b"A".to_vec(), Some(b"2".to_vec())),
                (b"NEW".to_vec(), Some(b"n".to_vec())),
                (b"B".to_vec(), None),
            ]
        );
    }

    #[test]
    fn a_missing_function_was_unset_in_bash_but_dropped_by_other_shells() {
        let before = Variables::inherited([b"BASH_FUNC_f%%=() {  :\n}".to_vec(), b"my.var=1".to_vec()]);
        let unset = |is_bash| changes(b"/\x0022\x000\0", &before, || is_bash).expect("whole").variables;
        assert_eq!(unset(true), [(b"BASH_FUNC_f%%".to_vec(), None)]);
        assert_eq!(unset(false), []);
    }
}
