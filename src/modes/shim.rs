//! The script that `--shim` prints: an image as a command of the host.
//!
//! Knows `[shim]`, the POSIX shell, and how the clients of docker and podman read their options. It starts
//! nothing: the script is text, for the operator to read, keep and run.
//!
//! What was chosen where the engines leave a choice:
//!
//! - The current directory is given by `--mount`, because `-v` cannot hold a colon, and makes an absent
//!   directory instead of failing. The value of `--mount` is a record of CSV, which can hold everything
//!   but a CR before a LF; the engine refuses such a directory as one that does not exist.
//! - The entries of `mounts` are `-v` values. So a colon in the caller's `$PWD` or `$HOME`, where an entry
//!   begins with it, is refused by name, before an engine takes one half of the path for the other.
//! - The file system's root cannot be mounted over the container's: in `/` the script refuses to run, for
//!   a command that quietly sees other files than the caller's does harm.
//! - Every option is one word, `--name=value`, and `--` ends them: no value can become an option.
//! - The engine's client replaces the shell, so a signal reaches the client, which forwards it when there is
//!   no terminal, and leaves it to the terminal when there is; and the client's exit code is the command's.
//!   125 is what clients exit with when a container could not be started; the script does so too.
//! - An engine that maps ids (docker without root) maps the caller's too; only podman can be told not to.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use crate::modes::verb;
use crate::plan::environment::{Environment, Why};
use crate::table::select::Tree;
use crate::table::types::Settings;
use crate::text::failure::{Failure, Kind, Result};
use crate::value::mount::{Prefix, split_prefix};

/// The script for `verb`, or for all verbs, with what the table says of it.
///
/// # Errors
/// Table (78): there is no image, or the verb is in other environments. Usage (64): there is no such verb.
pub(crate) fn shim(
    settings: &Settings,
    tree: Tree<'_>,
    environment: &Environment,
    verb: Option<&OsStr>,
) -> Result<String> {
    let asked_for = environment.why == Why::Option;
    let environment = &environment.name;
    let image = settings.shim.as_ref().and_then(|shim| shim.image.as_ref().map(|image| (shim, image)));
    let Some((shim, image)) = image else {
        return Err(Failure::say(Kind::Table, "the table does not say which image `--shim` is to run")
            .hint("[shim]\nimage = \"registry/name:tag\""));
    };
    if let Some(word) = verb
        && verb::here(word.as_bytes(), tree, environment)?.is_none()
    {
        return Err(verb::unknown(word, tree, settings, environment));
    }
    Ok(script(&Shim {
        image: image.clone(),
        mounts: shim.mounts.clone(),
        env: shim.env.clone(),
        network: shim.network.clone(),
        environment: asked_for.then(|| environment.to_string()),
        verb: verb.map(|word| word.to_string_lossy().into_owned()),
    }))
}

/// What the script is made of; the words of `[shim]` in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shim {
    /// The image to run.
    image: String,
    /// Values of `-v`, which may begin with `$HOME` or `$PWD`.
    mounts: Vec<String>,
    /// Names of the variables that are passed on where they are set.
    env: Vec<String>,
    /// The container's network, `host` for one.
    network: Option<String>,
    /// The environment, where the script is for one.
    environment: Option<String>,
    /// The verb that the script stands for; without one, the caller's first word is the verb.
    verb: Option<String>,
}

/// The script. No string of `shim` may hold a NUL, which no word of a shell can.
fn script(shim: &Shim) -> String {
    let mut text = String::from(HEAD);
    let prefixed: Vec<(Option<Prefix>, &str)> = shim.mounts.iter().map(|mount| split_prefix(mount)).collect();
    for prefix in [Prefix::Home, Prefix::Pwd] {
        if prefixed.iter().any(|(found, _)| *found == Some(prefix)) {
            text.push_str(guard(prefix));
        }
    }

    // The words that follow the options come first: `set --` can only put words before those it has.
    text.push_str("\nset -- -- ");
    text.push_str(&quoted(&shim.image));
    if let Some(environment) = &shim.environment {
        text.push_str(" --environment ");
        text.push_str(&quoted(environment));
    }
    if let Some(verb) = &shim.verb {
        text.push(' ');
        text.push_str(&quoted(verb));
    }
    text.push_str(" \"$@\"\n");
    if let Some(network) = &shim.network {
        push(&mut text, "", &quoted(&format!("--network={network}")));
    }
    for name in shim.env.iter().rev() {
        let word = quoted(&format!("--env={name}"));
        if is_shell_name(name) {
            let _ = writeln!(text, "if [ -n \"${{{name}+set}}\" ]; then");
            push(&mut text, "    ", &word);
            text.push_str("fi\n");
        } else {
            // No shell can look such a name up; the engine leaves out what it does not find.
            push(&mut text, "", &word);
        }
    }
    for (prefix, rest) in prefixed.iter().rev() {
        let word = match prefix {
            Some(prefix) => format!("\"--volume={}{}\"", prefix.text(), escaped(rest)),
            None => quoted(&format!("--volume={rest}")),
        };
        push(&mut text, "", &word);
    }
    text.push_str(TAIL);
    text
}

fn guard(prefix: Prefix) -> &'static str {
    match prefix {
        Prefix::Home => HOME_GUARD,
        Prefix::Pwd => PWD_GUARD,
    }
}

/// A line that puts `word`, as the shell reads it, before the words there are.
fn push(text: &mut String, indent: &str, word: &str) {
    let _ = writeln!(text, "{indent}set -- {word} \"$@\"");
}

/// `text` as one word of the shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        String::from(text)
    } else {
        format!("\"{}\"", escaped(text))
    }
}

/// `text` as it stands between double quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '$' | '`' | '"') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn is_shell_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

// The script assigns no variable, so that none of the caller's is changed on its way into the container:
// the positional parameters are all the state there is.
const HEAD: &str = concat!(
    "#!/bin/sh\n# Runs a verb of a container image as if it were a command of this host.\n",
    "# Written by preverb ",
    env!("CARGO_PKG_VERSION"),
    r#" (`preverb --shim`).
#
# The current directory is mounted at the same path, files are made with the ids of
# the caller, and every argument is passed on as it is.
# CONTAINER_ENGINE names the client of the engine; without it, docker.
set -eu

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 125
}

# `--mount` takes a record of CSV: a field with a comma, a double quote or a newline
# stands in double quotes, and a double quote in it is doubled.
double() {
    case $1 in
        *'"'*)
            printf '%s""' "${1%%\"*}"
            double "${1#*\"}"
            ;;
        *) printf '%s' "$1" ;;
    esac
}
field() {
    case $1 in
        *[,\"]* | *'
'*)
            printf '"'
            double "$1"
            printf '"'
            ;;
        *) printf '%s' "$1" ;;
    esac
}

podman_without_root() {
    if [ "$(id -u)" = 0 ]; then
        return 1
    fi
    case ${CONTAINER_ENGINE:-docker} in
        podman | */podman) return 0 ;;
    esac
    # podman may be installed under the name of docker.
    case $("${CONTAINER_ENGINE:-docker}" --version </dev/null 2>/dev/null) in
        podman*) return 0 ;;
    esac
    return 1
}

if ! command -v "${CONTAINER_ENGINE:-docker}" >/dev/null; then
    fail "the container engine \`${CONTAINER_ENGINE:-docker}\` is not found; CONTAINER_ENGINE names another"
fi
case ${PWD-} in
    /*[!/]*) ;;
    /*) fail 'the directory / cannot be mounted over that of the container; run this in another directory' ;;
    *) fail 'the current directory has no path' ;;
esac
"#
);

const HOME_GUARD: &str = r#"case ${HOME-} in
    *:*) fail "cannot mount what is in \$HOME, because its path has a colon: $HOME" ;;
    /*) ;;
    *) fail "cannot mount what is in \$HOME, because HOME is no absolute path" ;;
esac
"#;

const PWD_GUARD: &str = r#"case $PWD in
    *:*) fail "cannot mount what is in \$PWD, because its path has a colon: $PWD" ;;
esac
"#;

const TAIL: &str = r#"set -- "--user=$(id -u):$(id -g)" "$@"
set -- "--workdir=$PWD" "--mount=type=bind,$(field "source=$PWD"),$(field "target=$PWD")" "$@"
if podman_without_root; then
    # Without it, the caller's ids would be other ids in the container.
    set -- --userns=keep-id "$@"
fi
# A pipe must stay a pipe: a terminal is given only where there is one at both ends.
if [ -t 0 ] && [ -t 1 ]; then
    set -- -t "$@"
fi
exec "${CONTAINER_ENGINE:-docker}" run --rm -i "$@"
"#;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the script is tested by running it")]
mod tests;
