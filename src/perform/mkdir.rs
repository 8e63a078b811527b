//! stub
use crate::{failure::Result, identity::Identity};
use std::path::PathBuf;
pub(crate) fn mkdir(_: &[PathBuf], _: Option<u32>, _: Option<&Identity>) -> Result<()> {
    Ok(())
}
