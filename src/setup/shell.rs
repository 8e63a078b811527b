//! The shells that source hooks: each hook has one that is new, or as good as new.
//!
//! To start a shell costs ten times what a short hook costs, and most of that is the dynamic loader. Many hooks do
//! nothing but set variables. Neighbours of that kind are sourced by one small shell: it reads from its standard input
//! what to source, and when it has sourced a hook to the end it says all that there is to know of it, its variables
//! (those that are not exported too) and its options. What was not exported is unset, and it is as good as new; where it
//! is not, the next hook has a fresh one. Which hooks are of that kind is seen in their text, of which every word must be
//! understood: a hook that runs a program, opens a file, or touches what means something to a shell has a shell
//! of its own, in which it can do what it likes.
//!
//! It knows shells; which hook comes next, and what becomes of what it hands back, is `hooks.rs`'s affair.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::surroundings::Changes;
use crate::setup::dump::{Dump, is_every_shells};
use crate::setup::hook_files::{HookFile, How};
use crate::sys::child::Running;
use crate::text::names::is_shell_name;
use crate::value::variables::Variables;

/// A file that a shell is to source.
#[derive(Debug)]
pub(super) struct Script {
    /// The shell, as it is to be looked up, and its options.
    pub(super) shell: OsString,
    pub(super) options: Vec<OsString>,
    /// The file; a path with a slash.
    pub(super) path: PathBuf,
    /// What it holds, if that can be read.
    text: Option<Vec<u8>>,
}

/// The most that is looked through, and the most that a shell that stays is told at once: there is room for so much.
const LONGEST_SCRIPT: usize = 64 << 10;
const LONGEST_TOLD: usize = 16 << 10;

impl Script {
    /// Reads it. What is long, or has nothing to be read yet, is not waited for: its shell will.
    pub(super) fn read(shell: &OsStr, options: &[OsString], path: PathBuf) -> Self {
        let text = crate::sys::read::read_at_once(&path, LONGEST_SCRIPT).ok();
        Self { shell: shell.to_owned(), options: options.to_vec(), path, text }
    }

    /// The argv of a shell of its own: it sources the file under `set -e`, and hands the environment back at the end,
    /// however the end comes about.
    pub(super) fn alone(&self, at_exit: &AtExit, parameters: &[OsString]) -> Vec<OsString> {
        let mut script = self.sourced(at_exit.action());
        // A hook with an EXIT trap of its own, which replaces this one, still has its trap run if the
        // environment is handed back before the shell ends.
        if let AtExit::Dump(dump) = at_exit
            && self.text.as_deref().is_some_and(may_set_traps)
        {
            script.extend_from_slice(dump);
            script.push(b'\n');
        }
        let mut argv = vec![self.shell.clone()];
        argv.extend(self.options.iter().cloned());
        argv.extend([OsString::from("-c"), OsString::from_vec(script), self.path.clone().into_os_string()]);
        argv.extend(parameters.iter().cloned());
        argv
    }

    fn sourced(&self, at_exit: &[u8]) -> Vec<u8> {
        let path = quoted(self.path.as_os_str().as_bytes());
        [b"trap ", &*quoted(at_exit), b" EXIT\nset -e\n. ", &path, b"\n"].concat()
    }

    /// Whether it only sets variables, in words that are all understood here, so that a shell that sources it can source
    /// others of its kind.
    pub(super) fn only_sets(&self) -> bool {
        self.is_plain()
            && self.text.as_deref().is_some_and(|text| text.split(|byte| *byte == b'\n').all(sets))
    }

    /// Whether it leaves alone what hands its environment back: descriptor 3, the EXIT trap, the shell itself.
    pub(super) fn is_plain(&self) -> bool {
        // With other options the shell would say things, or do others, on its own account.
        let harmless = |option: &OsString| {
            let letters = option.as_bytes().strip_prefix(b"-");
            letters.is_some_and(|letters| letters.iter().all(|letter| b"eu".contains(letter)))
        };
        self.options.iter().all(harmless) && self.text.as_deref().is_some_and(|text| !may_tell(text))
    }
}

/// What a shell does at its end: it hands its environment back, if its status is that of a success. A status is what
/// wait(2) will tell of it, while `$?` in a small shell can be any number.
#[derive(Debug)]
pub(super) enum AtExit {
    /// By a program; this can be done before its end, too.
    Dump(Vec<u8>),
    /// By its own commands.
    Builtins(Vec<u8>),
}

impl AtExit {
    /// By `--preverb-dump`, to this socket: every shell can do that, whatever has been done to it.
    ///
    /// It is a child of the shell: bash runs the EXIT trap also when a signal ends it, with a status of 0, and must not
    /// be kept from ending by that. That it could not be started, or not send, is no failure of the hook: it is seen
    /// by what was not handed back. Under job control (`set -m`) it would not be of the hook's group.
    pub(super) fn dump(preverb: &Path, socket: &str) -> Self {
        let mut dump = b"case $(($?&255)) in 0) set +m; ".to_vec();
        dump.extend(quoted(preverb.as_os_str().as_bytes()));
        dump.extend_from_slice(b" --preverb-dump ");
        dump.extend_from_slice(socket.as_bytes());
        dump.extend_from_slice(b" || :;; *) exit \"$?\";; esac");
        Self::Dump(dump)
    }

    /// By its own commands, on descriptor 3 behind a line with this marker: a small shell that sources a plain
    /// script saves two processes' worth of work. The status comes first; of a hook that failed nothing more is
    /// wanted.
    pub(super) fn builtins(marker: &str) -> Self {
        let builtins = format!(
            "set -- \"$(($?&255))\"\n\
             {{ echo \"\n{marker} $1\"; case $1 in 0) export -p; pwd -P; umask; echo {marker};; esac; }} >&3"
        );
        Self::Builtins(builtins.into_bytes())
    }

    /// The action of its EXIT trap.
    fn action(&self) -> &[u8] {
        match self {
            Self::Dump(action) | Self::Builtins(action) => action,
        }
    }
}

/// The path of a hook as a program or a shell takes it: a bare name would be looked up on PATH, and one with a dash
/// taken for an option.
pub(super) fn runnable(path: &Path) -> PathBuf {
    let bare = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    if bare || path.as_os_str().as_bytes().starts_with(b"-") {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    }
}

/// Whether this file can be sourced after the script by the same shell. It is asked for a shell to be started; when
/// its turn comes, it is read again.
pub(super) fn can_follow(script: &Script, next: &HookFile) -> bool {
    match &next.how {
        How::Source { shell, options } => {
            *shell == script.shell
                && *options == script.options
                && Script::read(shell, options, runnable(&next.path)).only_sets()
        }
        How::Run | How::Interpret(_) | How::Skip(_) | How::MistypedMount => false,
    }
}

/// The argv of a shell that is to stay: it reads its standard input.
pub(super) fn staying_argv(script: &Script) -> Vec<OsString> {
    let mut argv = vec![script.shell.clone()];
    argv.extend(script.options.iter().cloned());
    argv.push("-s".into());
    argv
}

/// What is known of a shell that was looked up.
#[derive(Debug)]
pub(super) struct Known {
    word: OsString,
    /// The `PATH` by which it was found.
    path_variable: Option<Vec<u8>>,
    /// Whether it is the same file whatever the working directory.
    is_fixed: bool,
    pub(super) kind: ShellKind,
}

/// What kind of shell it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShellKind {
    /// dash or busybox's, whose subshells are understood here.
    Small,
    Bash,
    Other,
}

impl ShellKind {
    /// Whether it can hold a variable of this name, so that one that it does not hand back was unset. Others are
    /// dropped, which is no `unset`. To bash its functions are variables, too.
    pub(super) fn holds(self, name: &[u8]) -> bool {
        let is_function = || name.starts_with(b"BASH_FUNC_") && name.ends_with(b"%%");
        is_shell_name(name) || (self == Self::Bash && is_function())
    }
}

impl Known {
    /// Looks it up, unless that has been done.
    pub(super) fn find<'k>(
        known: &'k mut Vec<Self>,
        word: &OsStr,
        variables: &Variables,
    ) -> Option<&'k Self> {
        let path_variable = variables.get(b"PATH").map(|found| found.value);
        let is_it = |known: &Self| {
            known.is_fixed && known.word == *word && known.path_variable.as_deref() == path_variable
        };
        if let Some(index) = known.iter().position(is_it) {
            return known.get(index);
        }
        let path = crate::sys::exec::find(word, variables)?;
        let real = path.canonicalize().ok();
        let name = real.as_deref().and_then(Path::file_name).map(OsStr::as_bytes);
        let kind = match name {
            Some(b"dash" | b"busybox" | b"ash") => ShellKind::Small,
            Some(b"bash") => ShellKind::Bash,
            Some(_) | None => ShellKind::Other,
        };
        let path_variable = path_variable.map(<[u8]>::to_vec);
        known.push(Self { word: word.to_owned(), path_variable, is_fixed: path.is_absolute(), kind });
        known.last()
    }
}

/// A shell that has sourced a hook, and can source another one.
#[derive(Debug)]
pub(super) struct Staying {
    pub(super) running: Running,
    shell: OsString,
    options: Vec<OsString>,
    /// What it must do first to be as good as new.
    told: Vec<u8>,
}

impl Staying {
    /// What one is told at its end: it has handed everything back.
    pub(super) const END: &[u8] = b"trap - EXIT\n";

    /// Whether one can do its work here: it needs a `/dev/null` that everybody can use, and it is told these words
    /// each time.
    pub(super) fn is_possible(parameters: &[OsString]) -> bool {
        parameters.iter().map(|word| word.len() + 3).sum::<usize>() <= LONGEST_TOLD
            && Path::new("/dev/null").metadata().is_ok_and(|null| {
                null.file_type().is_char_device() && null.permissions().mode() & 0o006 == 0o006
            })
    }

    /// What it is given to do for a hook, after what it is `told`: with these words, and at the end of what it sources
    /// it hands everything back and waits. A hook that exits, or fails, ends it, and it hands back what a shell
    /// does at its end.
    fn script(told: &[u8], script: &Script, marker: &str, parameters: &[OsString]) -> Vec<u8> {
        let words = parameters.iter().flat_map(|word| [b" ".to_vec(), quoted(word.as_bytes())]);
        let words: Vec<u8> = words.flatten().collect();
        let path = quoted(script.path.as_os_str().as_bytes());
        let end = format!(
            " </dev/null\nset -- \"$(($?&255))\" \"$-\"\n\
             case $1 in 0) {{ echo \"\n{marker} stays\"; export -p; pwd -P; umask; echo \"{marker} $2\"; set; \
             echo {marker}; }} >&3;; *) exit \"$1\";; esac\n"
        );
        [told, b"set -e --", &words, b"\n. ", &path, end.as_bytes()].concat()
    }

    /// What a fresh one is given to do for its first hook.
    pub(super) fn first(script: &Script, marker: &str, parameters: &[OsString]) -> Vec<u8> {
        let at_exit = quoted(AtExit::builtins(marker).action());
        let told = [b"trap ", &*at_exit, b" EXIT\n"].concat();
        Self::script(&told, script, marker, parameters)
    }

    /// After a hook: before the next one it must do what it is `told`.
    pub(super) fn after(running: Running, script: &Script, told: Vec<u8>) -> Self {
        Self { running, shell: script.shell.clone(), options: script.options.clone(), told }
    }

    /// Whether this hook can be its next one.
    pub(super) fn suits(&self, script: &Script) -> bool {
        self.running.stays()
            && self.shell == script.shell
            && self.options == script.options
            && script.only_sets()
    }

    /// Gives it the hook. Returns whether it takes it.
    pub(super) fn source(&mut self, script: &Script, parameters: &[OsString]) -> bool {
        let Some(marker) = self.running.marker() else { return false };
        let script = Self::script(&self.told, script, marker, parameters);
        self.running.take(&script)
    }
}

/// What a shell must do after a hook to be as good as new; `None` where it does not wait, or where only a fresh one
/// would do.
pub(super) fn told_after(
    running: &Running,
    script: &Script,
    changes: &Changes,
    dump: &Dump,
    before: &Variables,
) -> Option<Vec<u8>> {
    let plain = running.variables_text().is_empty() && changes.directory.is_none() && changes.umask.is_none();
    let remains = dump.remains(before, &script.options)?;
    let mut touched = changes.variables.iter().map(|(name, _)| &**name).chain(remains.iter().copied());
    if !plain || !running.stays() || touched.any(|name| !is_shell_name(name) || has_a_meaning(name)) {
        return None;
    }
    let mut told = Vec::new();
    if !remains.is_empty() {
        told.extend_from_slice(b"unset");
        for name in remains {
            told.push(b' ');
            told.extend_from_slice(name);
        }
        told.push(b'\n');
    }
    (told.len() <= LONGEST_TOLD).then_some(told)
}

/// Whether a variable means something to a shell, or to what it is linked with: at its start something else than
/// later, or to preverb, which looks the shell up.
fn has_a_meaning(name: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 15] = [
        b"PS", b"LD_", b"LC_", b"LANG", b"BASH", b"OPT", b"HIST", b"MAIL", b"MALLOC_", b"GLIBC_", b"EPOCH",
        b"TZ", b"LOC", b"NLS", b"RANDOM",
    ];
    const NAMES: [&[u8]; 18] = [
        b"IFS",
        b"ENV",
        b"PATH",
        b"HOME",
        b"CDPATH",
        b"PPID",
        b"PWD",
        b"OLDPWD",
        b"SHLVL",
        b"_",
        b"LINENO",
        b"TERM",
        b"COLUMNS",
        b"LINES",
        b"FUNCNAME",
        b"SECONDS",
        b"POSIXLY_CORRECT",
        b"UID",
    ];
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a line of a script does nothing but set, export or unset variables that mean nothing to a shell, or begin,
/// part or end a condition that is a test.
fn sets(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") || matches!(line, b"then" | b"else" | b"fi") {
        return true;
    }
    if let Some(condition) = line.strip_prefix(b"if ").or_else(|| line.strip_prefix(b"elif ")) {
        let condition = match condition.strip_suffix(b"then") {
            Some(rest) => rest.trim_ascii_end().strip_suffix(b";"),
            None => Some(condition),
        };
        return condition.is_some_and(|condition| tests(condition.trim_ascii()));
    }
    let Some(words) = words(line) else { return false };
    let name = |word: &[u8]| {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        is_shell_name(name) && !has_a_meaning(name) && !is_every_shells(name)
    };
    match &words[..] {
        [b"export" | b"unset", names @ ..] => !names.is_empty() && names.iter().all(|word| name(word)),
        words => words.iter().all(|word| word.contains(&b'=') && name(word)),
    }
}

/// Whether a command is one test of words that are all understood.
fn tests(command: &[u8]) -> bool {
    let command = command.strip_prefix(b"! ").unwrap_or(command);
    let bracketed = || command.strip_prefix(b"[ ")?.strip_suffix(b" ]");
    let tested = bracketed().or_else(|| command.strip_prefix(b"test "));
    tested.is_some_and(|tested| words(tested).is_some())
}

/// The words of a line, as they are written; `None` where it may be more than one simple command without redirections
/// and substitutions.
fn words(line: &[u8]) -> Option<Vec<&[u8]>> {
    const HARMLESS: &[u8] = b"_-./:,+=@%~^!";
    let (mut words, mut start, mut at) = (Vec::new(), 0, 0);
    let mut quoted = false;
    let mut braces = 0_usize;
    while let Some(byte) = line.get(at) {
        match byte {
            // Which quotes count within `${...}` is told differently by every shell.
            b'\'' | b'"' if braces > 0 => return None,
            // Nothing in single quotes means anything; within double quotes they are none.
            b'\'' if !quoted => at += 1 + line.get(at + 1..)?.iter().position(|byte| *byte == b'\'')?,
            b'"' => quoted = !quoted,
            b'\\' if line.get(at + 1).is_some() => at += 1,
            b'$' if line.get(at + 1) == Some(&b'{') => {
                braces += 1;
                at += 1;
            }
            b'$' if line.get(at + 1) == Some(&b'(') => return None,
            b'}' if braces > 0 => braces -= 1,
            b' ' | b'\t' if !quoted && braces == 0 => {
                words.extend((start < at).then(|| &line[start..at]));
                start = at + 1;
            }
            b'`' | b'\\' => return None,
            _ if quoted || byte.is_ascii_alphanumeric() || HARMLESS.contains(byte) || *byte == b'$' => {}
            b'?' if braces > 0 => {}
            _ => return None,
        }
        at += 1;
    }
    words.extend((start < at).then(|| &line[start..at]));
    (!quoted && braces == 0).then_some(words)
}

/// Whether a script may set a trap: itself, or in what it sources or evaluates. One that only looks like it
/// costs a process, so this need not be exact.
fn may_set_traps(script: &[u8]) -> bool {
    let mut words = script.split(|byte| byte.is_ascii_whitespace() || b";&|(){}`".contains(byte));
    words.any(|word| {
        [&b"."[..], b"source", b"eval"].contains(&word) || word.windows(4).any(|part| part == b"trap")
    })
}

/// Whether a script may get in the way of a shell that hands back by its own commands, or asks for what one that others
/// have used would answer otherwise. What only looks so costs a process; what hides it (`"k"ill`) does so to itself.
fn may_tell(script: &[u8]) -> bool {
    const WORDS: [&[u8]; 32] = [
        b"kill",
        b"exec",
        b"eval",
        b"trap",
        b"source",
        b"PPID",
        b"RANDOM",
        b"wait",
        b"jobs",
        b"bg",
        b"fg",
        b"setsid",
        b"nohup",
        b"disown",
        b"alias",
        b"coproc",
        b"times",
        b"ulimit",
        b"readonly",
        b"getopts",
        b"hash",
        b"function",
        b"IFS",
        b"PS1",
        b"PS2",
        b"PS4",
        b"OPTIND",
        b"OPTARG",
        b"SECONDS",
        b"LINENO",
        b"OLDPWD",
        b"HOSTNAME",
    ];
    let at = |index: usize| script.get(index).copied().unwrap_or(b'\n');
    let before = |index: usize| index.checked_sub(1).map_or(b'\n', at);
    let is_wordly = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let telling_byte = |index: usize, byte: u8| match byte {
        // Descriptor 3 in another place, where the environment would be handed back to.
        b'3' => b"<>".contains(&at(index + 1)) && !before(index).is_ascii_digit(),
        // The number of the process, its name, its options, and what it left behind.
        b'$' => {
            let rest = script.get(index + 1..).unwrap_or_default();
            let rest = rest.strip_prefix(b"{").unwrap_or(rest);
            let rest = rest.strip_prefix(b"#").unwrap_or(rest);
            rest.first().is_some_and(|byte| b"$0!-".contains(byte))
                || rest.starts_with(b"\\\n")
                || (rest.starts_with(b"_") && !rest.get(1).is_some_and(is_wordly))
        }
        // A function.
        b'(' => {
            let mut rest = script.get(index + 1..).unwrap_or_default().iter();
            rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b')')
        }
        // A process that is not waited for.
        b'&' => at(index + 1) != b'&' && !b"&<>".contains(&before(index)),
        // Another file, which is not read here.
        b'.' => {
            at(index + 1).is_ascii_whitespace()
                && (before(index).is_ascii_whitespace() || b";&|(){}`!\\".contains(&before(index)))
        }
        0 => true,
        _ => false,
    };
    if script.iter().enumerate().any(|(index, byte)| telling_byte(index, *byte)) {
        return true;
    }
    let words = script.split(|byte| !is_wordly(byte)).filter(|word| !word.is_empty());
    let mut rest = script;
    for word in words {
        let Some(found) = rest.windows(word.len()).position(|part| part == word) else { return true };
        rest = &rest[found + word.len()..];
        if WORDS.contains(&word)
            || (word == b"PWD" && rest.starts_with(b"="))
            || (word == b"set" && !sets_plain_options(rest))
        {
            return true;
        }
    }
    false
}

/// Whether what follows a `set` are the parameters, or options of which a shell can be asked. A trace is none of these:
/// it would go on when the hook has ended.
fn sets_plain_options(rest: &[u8]) -> bool {
    let line = rest.split(|byte| b"\n;&|)}".contains(byte)).next().unwrap_or_default();
    let mut plain = false;
    for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        match word {
            b"--" => return true,
            [b'-' | b'+', letters @ ..] if letters.iter().all(|letter| b"aCefu".contains(letter)) => {
                plain = !letters.is_empty();
            }
            _ => return false,
        }
    }
    plain
}

/// A word as a shell reads it, whatever bytes it holds.
pub(super) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(bytes.len() + 16);
    for (number, part) in bytes.split(|byte| *byte == b'\'').enumerate() {
        quoted.extend_from_slice(if number == 0 { b"'" } else { b"'\\''" });
        quoted.extend_from_slice(part);
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_is() {
        assert_eq!(quoted(b"a'b\n$(x)\xff"), b"'a'\\''b\n$(x)\xff'");
    }

    #[test]
    fn a_script_that_only_sets_variables_is_told_by_every_word_of_it() {
        for line in [
            "",
            "# x; y",
            "export A=1 B='$(x)'",
            " A=\"${B:-c d}\"",
            "unset A",
            "A=${B:?no} C=~/x",
            "if [ -z \"${A:-}\" ]; then",
            "elif ! test $A != b",
            "fi",
        ] {
            assert!(sets(line.as_bytes()), "{line}");
        }
        for line in [
            "export",
            "unset",
            "export -p",
            "A=1 x",
            "x",
            "A=1; B=2",
            "A=1 # x",
            "A=$(x)",
            "A=`x`",
            "A=\"$(x)\"",
            "A=\"1",
            "A='1",
            "A=1 >x",
            "A=1 &",
            "PATH=x",
            "export PS4=x",
            "A=1\\",
            "A={a,b}",
            "A=${B:-",
            "A=\"${B:-\"x}\" ; x\"",
            "A=${B:-'}'}",
            "1=2",
            "A=* B=1",
            "(A=1)",
        ] {
            assert!(!sets(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_script_that_sources_or_evaluates_may_set_a_trap() {
        for script in
            ["trap 'x' EXIT", "a; . ./b", ". b", "source b", "x&&eval \"$y\"", "  trap - 0", "{ . b; }"]
        {
            assert!(may_set_traps(script.as_bytes()), "{script}");
        }
        for script in ["export A=1", "echo a.b ./c", "# end.", "resource x"] {
            assert!(!may_set_traps(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn a_script_may_tell_that_it_shares_its_shell_by_what_it_asks_for() {
        for script in [
            "kill $1",
            "x=$$",
            "x=${$}",
            "x=${#$}",
            "echo $0",
            "echo ${0##*/}",
            "echo $!",
            "echo $-",
            "$\\\n$",
            "sleep 1 &",
            "sleep 1&",
            "a && b & c",
            "x >&2&",
            "(. ./x)",
            ". ./x",
            "\\. x",
            "command exec x",
            "eval x",
            "y=1;trap x EXIT",
            "echo $PPID",
            "wait",
            "set",
            "set -m",
            "set -e -m",
            "set -x",
            "set -o monitor",
            "set\n",
            "set -",
            "`kill 1`",
            "a\0b",
            "# wait for it",
            "\"$(exec x)\"",
            "{ exit; } 3>x",
            "f() { :; }",
            "f ( ) { :; }",
            "function f { :; }",
            "echo $_",
            "IFS=,",
            "PWD=x",
            "ulimit -n 9",
            "readonly x",
            "x 3<&-",
        ] {
            assert!(may_tell(script.as_bytes()), "{script}");
        }
        for script in [
            "",
            "export A=1",
            "a && b || c",
            "x >&2",
            "x 2>&1",
            "x <&3",
            "x >&3 23>y",
            "set -eu",
            "set -e +u",
            "set -- a b; x",
            "x=$1 y=${2:-z} $((1+2)) $# ${#x} $_x ${PWD}",
            "for x in a b; do case $x in (a) y=1;; esac; done",
            "echo a.b ./c end.",
            "execute killer reset",
            "cd x; umask 077",
            "command -v x",
            "\"$@\" $?",
        ] {
            assert!(!may_tell(script.as_bytes()), "{script}");
        }
    }
}
