//! The order of functions in the static binary: those that an ordinary run goes through stand together, so that the
//! kernel maps few pieces of the file for it. Knows the linker's script in `link/`, which it writes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::counts::Trodden;

const HEAD: &str = "\
/* What a run with a verb and no steps goes through, in one place: the kernel maps a file in pieces of 64 KiB, and a
   piece costs about a microsecond. Written by `cargo bench -- --order`; a name that no longer exists does no harm. */
SECTIONS
{
  .text.first :
  {
";
/// The C start-up's own code has no symbol that says where it is.
const FOOT: &str = "    *crt1.o(.text)
  }
}
INSERT BEFORE .text;
";

/// Writes the script for these functions.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(trodden: &Trodden, to: &Path) -> Result<()> {
    let mut patterns: Vec<String> = trodden.functions.iter().map(|name| pattern(name)).collect();
    patterns.sort();
    patterns.dedup();
    let mut script = HEAD.to_owned();
    for pattern in patterns {
        // The compiler may put apart what it takes for unlikely.
        script.extend(["    *(.text.", &pattern, " .text.unlikely.", &pattern, ")\n"]);
    }
    script.push_str(FOOT);
    fs::write(to, script).with_context(|| format!("writing `{}`", to.display()))
}

/// A symbol without what another compiler or version of a crate would write into it: the hash at the end of the older
/// form (`17h0123456789abcdefE`), the one in front of a crate's name of the newer (`Cs0123456789a_3std`), and the number
/// of a copy (`.254`).
fn pattern(symbol: &str) -> String {
    if let Some((name, number)) = symbol.rsplit_once('.')
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        return pattern(name) + ".*";
    }
    if let Some((name, hash)) = symbol.rsplit_once("17h")
        && hash.len() == 17
    {
        return format!("{name}17h*E");
    }
    let mut pattern = String::new();
    let mut rest = symbol;
    while let Some((before, after)) = rest.split_once("Cs") {
        let end = after.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(after.len());
        pattern.push_str(before);
        pattern.push_str("Cs");
        // `Cs` can be a part of a name as well, which no underscore follows.
        pattern.push_str(if after[end..].starts_with('_') { "*" } else { &after[..end] });
        rest = &after[end..];
    }
    pattern.push_str(rest);
    pattern
}
