//! stub
use crate::{failure::Result, identity::Identity, variables::Variables};
use std::path::Path;
pub(crate) fn render(_: &Path, _: &Path, _: Option<u32>, _: &Variables, _: Option<&Identity>) -> Result<()> {
    Ok(())
}
