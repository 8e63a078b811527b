//! What the header of an ELF file says: what it is for, and what loads it (elf(5)).

use std::fs::File;

/// What a binary is for, where that is another processor than this one.
pub(super) fn foreign(head: &[u8]) -> Option<String> {
    let here = match std::env::consts::ARCH {
        "x86" => 3,
        "powerpc64" => 21,
        "s390x" => 22,
        "arm" => 40,
        "x86_64" => 62,
        "aarch64" => 183,
        "riscv64" => 243,
        _ => return None,
    };
    let elf = Elf::parse(head).filter(|elf| elf.machine != here)?;
    Some(format!("it is a program for {}, and this is {}", machine_name(elf.machine), std::env::consts::ARCH))
}

/// The program interpreter of an ELF file (elf(5), `PT_INTERP`).
pub(crate) fn loader(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    let elf = Elf::parse(head)?;
    let read = |offset: u64, length: usize| -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; length.min(65_536)];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    };
    for number in 0..u64::from(elf.headers) {
        let length = if elf.wide { 56 } else { 32 };
        let header =
            read(elf.header_offset.checked_add(number.checked_mul(u64::from(elf.header_size))?)?, length)?;
        if elf.number(header.get(..4)?) != 3 {
            continue;
        }
        let (offset, size) = if elf.wide {
            (elf.number(header.get(8..16)?), elf.number(header.get(32..40)?))
        } else {
            (elf.number(header.get(4..8)?), elf.number(header.get(16..20)?))
        };
        let mut name = read(offset, usize::try_from(size).ok()?.min(4096))?;
        while name.last() == Some(&0) {
            name.pop();
        }
        return Some(name);
    }
    None
}

/// What an ELF file begins with.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

/// The header of an ELF file, as far as it is needed.
pub(super) struct Elf {
    wide: bool,
    little: bool,
    /// Whether it is a program, or a library, rather than an object file or a core.
    pub(super) runs: bool,
    machine: u16,
    header_offset: u64,
    header_size: u16,
    headers: u16,
}

impl Elf {
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC)?;
        let wide = *rest.first()? == 2;
        let little = *rest.get(1)? == 1;
        let mut elf =
            Self { wide, little, runs: false, machine: 0, header_offset: 0, header_size: 0, headers: 0 };
        let short =
            |elf: &Self, at: usize| Some(u16::try_from(elf.number(head.get(at..at + 2)?)).unwrap_or(0));
        // ET_EXEC and ET_DYN.
        elf.runs = matches!(short(&elf, 16)?, 2 | 3);
        elf.machine = short(&elf, 18)?;
        if wide {
            elf.header_offset = elf.number(head.get(32..40)?);
            elf.header_size = short(&elf, 54)?;
            elf.headers = short(&elf, 56)?;
        } else {
            elf.header_offset = elf.number(head.get(28..32)?);
            elf.header_size = short(&elf, 42)?;
            elf.headers = short(&elf, 44)?;
        }
        Some(elf)
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    }
}

/// The name of an ELF machine number (elf.h), where it is one of those that images are built for.
fn machine_name(machine: u16) -> String {
    let name = match machine {
        3 => "i386",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86-64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        other => return format!("ELF machine {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_processor_is_named_with_this_one() {
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
