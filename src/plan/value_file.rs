//! The content of a file with the value of a declared variable, as an input of the plan.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The variable that names the file, without its `_FILE`: the declared name or an old name.
    pub(crate) named_by: Option<String>,
    pub(crate) content: Result<Vec<u8>, String>,
}
