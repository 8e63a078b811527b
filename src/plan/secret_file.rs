//! The value of a secret that is in a file, as the plan takes it.

use std::path::PathBuf;

/// The value of a secret that is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretFile {
    /// The variable.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether the variable `NAME_FILE` named it.
    pub(crate) named: bool,
    /// Its content without trailing newlines, or why it could not be read.
    pub(crate) content: Result<Vec<u8>, String>,
}
