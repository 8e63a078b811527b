//! The value of a declared variable that is in a file, as the plan takes it.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The name without `_FILE` of the variable that names the file: its own, or an older one.
    pub(crate) named_by: Option<String>,
    pub(crate) content: Result<Vec<u8>, String>,
}
