//! The first bytes of a program: a `#!` line, parsed like in the kernel, or an ELF header (elf(5)).

use std::fs::File;
use std::os::unix::fs::FileExt as _;

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

/// The command after the options and variables of env(1). A hook gets the variables of the run in any case.
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

pub(super) const MAGIC: &[u8] = b"\x7fELF";

/// The processors that images are built for: the name in Rust, the number in elf.h, the name in messages.
const MACHINES: [(&str, u16, &str); 9] = [
    ("x86", 3, "i386"),
    ("powerpc", 20, "powerpc"),
    ("powerpc64", 21, "powerpc"),
    ("s390x", 22, "s390x"),
    ("arm", 40, "arm"),
    ("x86_64", 62, "x86-64"),
    ("aarch64", 183, "aarch64"),
    ("riscv64", 243, "riscv"),
    ("loongarch64", 258, "loongarch"),
];

/// The processor of a binary, if it differs from this machine's.
pub(super) fn foreign(head: &[u8]) -> Option<String> {
    let arch = std::env::consts::ARCH;
    let (_, here, _) = MACHINES.into_iter().find(|(name, ..)| *name == arch)?;
    let machine = Elf::parse(head)?.machine;
    let known = MACHINES.into_iter().find(|(_, number, _)| *number == machine);
    let name = known.map_or_else(|| format!("ELF machine {machine}"), |(.., name)| name.to_owned());
    (machine != here).then(|| format!("it is a program for {name}, and this is {arch}"))
}

pub(crate) fn loader(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    let elf = Elf::parse(head)?;
    let read = |offset: u64, length: u64| -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).ok()?.min(4096)];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    };
    let (length, at, size, width) = if elf.wide { (56, 8, 32, 8) } else { (32, 4, 16, 4) };
    let header = |number| read(elf.header_offset.checked_add(number * elf.header_size)?, length);
    let header = (0..elf.headers).map_while(header).find(|header| elf.number(header, 0, 4) == Some(3))?;
    let mut name = read(elf.number(&header, at, width)?, elf.number(&header, size, width)?)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Some(name)
}

pub(super) struct Elf {
    wide: bool,
    little: bool,
    pub(super) runs: bool,
    machine: u16,
    header_offset: u64,
    header_size: u64,
    headers: u64,
}

impl Elf {
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC)?;
        let (wide, little) = (*rest.first()? == 2, *rest.get(1)? == 1);
        let (offset, width, size) = if wide { (32, 8, 54) } else { (28, 4, 42) };
        let mut elf =
            Self { wide, little, runs: false, machine: 0, header_offset: 0, header_size: 0, headers: 0 };
        // The values are ET_EXEC and ET_DYN.
        elf.runs = matches!(elf.number(head, 16, 2)?, 2 | 3);
        elf.machine = u16::try_from(elf.number(head, 18, 2)?).ok()?;
        elf.header_offset = elf.number(head, offset, width)?;
        elf.header_size = elf.number(head, size, 2)?;
        elf.headers = elf.number(head, size + 2, 2)?;
        Some(elf)
    }

    fn number(&self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + width)?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
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

    #[test]
    fn an_error_names_both_the_other_processor_and_this_one() {
        let head = |machine: u16| {
            let mut head = MAGIC.to_vec();
            head.extend([2, 1]);
            head.resize(64, 0);
            head[18..20].copy_from_slice(&machine.to_le_bytes());
            head
        };
        let here = std::env::consts::ARCH;
        for (machine, name) in [(22, "s390x"), (40, "arm"), (243, "riscv"), (0x1234, "ELF machine 4660")] {
            let expected = format!("it is a program for {name}, and this is {here}");
            assert_eq!(foreign(&head(machine)), Some(expected));
        }
        let own = if here == "aarch64" { 183 } else { 62 };
        assert_eq!(foreign(&head(own)), None);
    }
}
