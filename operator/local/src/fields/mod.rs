//! Field ownership: which manager set which fields, and server-side apply over it.
//!
//! Paths are as fine as lists with keys and maps allow; atomic lists and maps are one path each.

pub(crate) mod apply;
pub(crate) mod builtin_lists;
mod compare;
mod managers;
mod set;
mod shape;

pub(crate) use managers::{Managers, Operation, Writer};
pub(crate) use set::FieldSet;
pub(crate) use shape::Shape;

#[cfg(test)]
mod tests;
