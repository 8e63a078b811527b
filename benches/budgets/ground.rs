//! The programs of a measurement: the static preverb, the two C programs, and the peers that this machine
//! has. Knows cargo and the C compilers; knows nothing of rows and budgets.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The folder that cargo gives to tests and benches for their files; its parent is the target folder.
const CARGO_TMP: &str = env!("CARGO_TARGET_TMPDIR");
const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");

/// The form of the release binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbols {
    /// As it is released.
    Stripped,
    /// The same code with its symbols, for tools that count by function.
    Kept,
}

/// Builds the static release binary and returns its path.
///
/// # Errors
/// When the musl target is not installed, or the build fails.
pub(crate) fn build_preverb(symbols: Symbols) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", env::consts::ARCH);
    let target_dir = match symbols {
        Symbols::Stripped => {
            Path::new(CARGO_TMP).parent().context("`CARGO_TARGET_TMPDIR` has no parent")?.into()
        }
        Symbols::Kept => Path::new(CARGO_TMP).join("with-symbols"),
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(MANIFEST_DIR).args([
        "build",
        "--quiet",
        "--release",
        "--bin",
        "preverb",
        "--target",
        &triple,
    ]);
    cargo.arg("--target-dir").arg(&target_dir).stdin(Stdio::null()).stdout(Stdio::null());
    if symbols == Symbols::Kept {
        cargo.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    }
    let status = cargo.status().context("starting cargo")?;
    if !status.success() {
        bail!("`cargo build --release --target {triple}` failed (is the target installed?)");
    }
    Ok(target_dir.join(triple).join("release/preverb"))
}

/// Compiles one of the C programs beside this file into a static binary at `to`.
///
/// # Errors
/// When no C compiler answers or it refuses the source.
pub(crate) fn compile_c(source: &str, to: &Path) -> Result<()> {
    let from = Path::new(MANIFEST_DIR).join("benches/c").join(source);
    // glibc's static start asks the processor for its features, which is slow in a virtual machine:
    // with it the floor would be more than twice as high, and every ratio too good.
    for compiler in ["musl-gcc", "gcc"] {
        if find(compiler).is_none() {
            continue;
        }
        let status = Command::new(compiler)
            .args(["-O2", "-static", "-o"])
            .arg(to)
            .arg(&from)
            .status()
            .with_context(|| format!("starting `{compiler}`"))?;
        if !status.success() {
            bail!("`{compiler}` could not compile `{}`", from.display());
        }
        return Ok(());
    }
    bail!("neither `musl-gcc` nor `gcc` is installed")
}

/// Looks a program up on PATH and in the directories of root's programs.
#[must_use]
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| {
            fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// A private folder that is removed on drop. It is in the system's temporary folder and not under
/// the target folder, because a step-down must be able to reach what is in it.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder, readable for all users.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        let path = env::temp_dir().join(format!("preverb-{purpose}.{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("making `{}`", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    /// The path of a file in it.
    #[must_use]
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file with its folders, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn file(&self, name: &str, mode: u32, content: &str) -> Result<PathBuf> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| format!("writing `{}`", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that cannot be removed stays, because it is too late to report it.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A table of `count` verbs `verb-1` to `verb-COUNT`, each of which becomes `target`.
#[must_use]
pub(crate) fn table_of(count: usize, target: &Path) -> String {
    let verbs = (1..=count).map(|number| {
        format!(
            "\n[verbs.verb-{number}]\nabout = \"Job number {number} of this image\"\n\
             exec = [\"{}\", \"--job\", \"{number}\"]\nargs = [\"--workers\", \"2\"]\n",
            target.display()
        )
    });
    let head = "default = \"verb-1\"\n\n[env]\nAPP_MODE = \"bench\"\n".to_owned();
    std::iter::once(head).chain(verbs).collect::<Vec<String>>().concat()
}
