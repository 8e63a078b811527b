pub(crate) mod document;
