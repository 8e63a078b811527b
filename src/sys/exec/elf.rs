//! The header of an ELF file: its processor and its loader (elf(5)).

use std::fs::File;
use std::os::unix::fs::FileExt as _;

pub(super) const MAGIC: &[u8] = b"\x7fELF";

/// The processors that images are built for: the name in Rust, the ELF machine number (elf.h), and the name
/// in messages.
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
    for number in 0..elf.headers {
        let length = if elf.wide { 56 } else { 32 };
        let header = read(elf.header_offset.checked_add(number * elf.header_size)?, length)?;
        if elf.number(&header, 0, 4)? != 3 {
            continue;
        }
        let (at, size, width) = if elf.wide { (8, 32, 8) } else { (4, 16, 4) };
        let mut name = read(elf.number(&header, at, width)?, elf.number(&header, size, width)?)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        return Some(name);
    }
    None
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
