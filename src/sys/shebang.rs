//! The `#!` line of a file, parsed like in the kernel, and the program that it runs.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shebang<'h> {
    /// The interpreter, as the kernel sees it: blanks and tabs end it, a carriage return does not.
    pub(crate) interpreter: &'h [u8],
    /// Its one argument; may be empty.
    pub(crate) argument: &'h [u8],
}

impl<'h> Shebang<'h> {
    pub(crate) fn of(head: &'h [u8]) -> Option<Self> {
        let line = trimmed(head.strip_prefix(b"#!")?.split(|byte| matches!(byte, b'\n' | 0)).next()?);
        let (interpreter, rest) =
            line.split_at(line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len()));
        Some(Self { interpreter, argument: trimmed(rest) })
    }

    /// Whether the line ends in a carriage return, which would become a part of its last word.
    pub(crate) fn ends_in_cr(self) -> bool {
        let last = if self.argument.is_empty() { self.interpreter } else { self.argument };
        last.ends_with(b"\r")
    }

    /// The program and its arguments; for env(1), the program that env would run.
    pub(crate) fn command(self) -> Option<(&'h [u8], Vec<&'h [u8]>)> {
        let mut words = self.argument.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
        let program = match base(self.interpreter) {
            b"env" => command_of_env(&mut words)?,
            b"" => return None,
            _ => self.interpreter,
        };
        Some((program, words.collect()))
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trimmed(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_blank(*byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

pub(crate) fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The command after the options and variables of env(1). Those are ignored, because a hook gets the
/// variables of the run in any case.
fn command_of_env<'w>(words: &mut impl Iterator<Item = &'w [u8]>) -> Option<&'w [u8]> {
    loop {
        let word = words.next()?;
        let split = word.strip_prefix(b"--split-string=").or(word.strip_prefix(b"-S")).unwrap_or(word);
        match split {
            b"-u" | b"-C" | b"-a" | b"--unset" | b"--chdir" | b"--argv0" => drop(words.next()),
            b"" | [b'-', ..] => {}
            split if split.contains(&b'=') => {}
            command => return Some(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&[u8]]) -> Vec<String> {
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn a_line_has_one_interpreter_and_one_argument() {
        for (head, interpreter, argument, cr) in [
            ("#!/bin/sh", "/bin/sh", "", false),
            ("#! \t/bin/sh -eu  x \nmore", "/bin/sh", "-eu  x", false),
            ("#!/bin/sh\r\n", "/bin/sh\r", "", true),
            ("#!/bin/sh -e \r\n", "/bin/sh", "-e \r", true),
            ("#!/bin/sh\0x\n", "/bin/sh", "", false),
            ("#!\n", "", "", false),
        ] {
            let line = Shebang::of(head.as_bytes()).expect("it has one");
            assert_eq!(shown(&[line.interpreter, line.argument]), [interpreter, argument], "{head:?}");
            assert_eq!(line.ends_in_cr(), cr, "{head:?}");
        }
        assert_eq!(Shebang::of(b"echo\n"), None);
        assert_eq!(Shebang::of(b""), None);
    }

    #[test]
    fn the_program_is_the_one_that_env_would_run() {
        let check = |line: &str, expected: Option<(&str, &[&str])>| {
            let found = Shebang::of(line.as_bytes()).and_then(Shebang::command);
            let found = found.map(|(program, rest)| (shown(&[program]).concat(), shown(&rest)));
            let expected = expected
                .map(|(program, rest)| (program.to_owned(), rest.iter().map(ToString::to_string).collect()));
            assert_eq!(found, expected, "{line}");
        };
        check("#!/bin/sh\n", Some(("/bin/sh", &[])));
        check("#! /bin/bash -eu -o pipefail\nx", Some(("/bin/bash", &["-eu", "-o", "pipefail"])));
        check("#!/usr/bin/env bash\n", Some(("bash", &[])));
        check("#!/usr/bin/env -S bash -x\n", Some(("bash", &["-x"])));
        for options in [
            "-i",
            "-",
            "-S",
            "-S -i",
            "-iS",
            "-S -u X",
            "-S -uX",
            "-vS",
            "-S --unset X",
            "--unset=X",
            "-S A=1 B=-",
            "-C /x",
            "-iC/x",
            "-S -a dash -i --",
            "--split-string=-i",
            "--split-string=",
            "-v --split-string",
            "--default-signal=PIPE",
            "-0",
        ] {
            check(&format!("#!/usr/bin/env {options} bash -u\n"), Some(("bash", &["-u"])));
        }
        check("#!/usr/bin/env -Sbash -eu\n", Some(("bash", &["-eu"])));
        check("#!/usr/bin/env --split-string=bash -u\n", Some(("bash", &["-u"])));
        check("#!/usr/bin/env -S -u bash\n", None);
        check("#!/usr/bin/env -i\n", None);
        check("#!/bin/sh -\n", Some(("/bin/sh", &["-"])));
        check("#!/bin/zsh\n", Some(("/bin/zsh", &[])));
        check("#!\n", None);
    }
}
