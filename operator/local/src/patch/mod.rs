//! The patch formats, each a function from a document and a patch to a document. No storage, no validation.

pub(crate) mod json;
pub(crate) mod merge;
pub(crate) mod strategic;
