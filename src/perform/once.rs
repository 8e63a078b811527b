//! stub
use crate::{child::Children, failure::Result, identity::Identity, log::Log};
use std::path::Path;
pub(crate) struct Once;
impl Once {
    pub(crate) fn begin(
        _: &Path,
        _: &str,
        _: Option<&Identity>,
        _: Log,
        _: &mut Children,
    ) -> Result<Option<Once>> {
        Ok(Some(Once))
    }
    pub(crate) fn succeed(self, _: &str) -> Result<()> {
        Ok(())
    }
    pub(crate) fn fail(self) {}
}
