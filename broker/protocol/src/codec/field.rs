//! What a declaration says of a field, as a constant that the compiler folds away.

use super::Version;

/// Versions, nullability and tag of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    since: i16,
    until: i16,
    null_since: i16,
    null_until: i16,
    /// The number of a tagged field.
    pub(crate) tag: Option<u32>,
    /// Whether a version that lacks the field may lose its value silently.
    pub(crate) ignorable: bool,
}

impl Field {
    pub(crate) const fn versions(since: i16, until: i16) -> Self {
        Self { since, until, null_since: i16::MAX, null_until: i16::MIN, tag: None, ignorable: false }
    }

    pub(crate) const fn null(self, since: i16, until: i16) -> Self {
        Self { null_since: since, null_until: until, ..self }
    }

    pub(crate) const fn tag(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    pub(crate) const fn ignorable(self) -> Self {
        Self { ignorable: true, ..self }
    }

    pub(crate) const fn exists_in(&self, version: Version) -> bool {
        self.since <= version.number && version.number <= self.until
    }

    pub(crate) const fn may_be_null_in(&self, version: Version) -> bool {
        self.null_since <= version.number && version.number <= self.null_until
    }

    /// Whether the field has a fixed place in this version.
    pub(crate) const fn is_positional_in(&self, version: Version) -> bool {
        self.tag.is_none() && self.exists_in(version)
    }

    /// Whether this is the field that `tag` names in this version.
    pub(crate) fn is_tagged(&self, tag: u32, version: Version) -> bool {
        self.tag == Some(tag) && self.exists_in(version)
    }
}

/// `3+, null 3-7, tag 0, ignorable` as a [`Field`].
macro_rules! field {
    ($since:literal + $($rest:tt)*) => { $crate::codec::field!(@more $crate::codec::Field::versions($since, i16::MAX), $($rest)*) };
    ($since:literal - $until:literal $($rest:tt)*) => { $crate::codec::field!(@more $crate::codec::Field::versions($since, $until), $($rest)*) };
    ($only:literal $($rest:tt)*) => { $crate::codec::field!(@more $crate::codec::Field::versions($only, $only), $($rest)*) };
    (@more $field:expr, ) => { $field };
    (@more $field:expr, , null $since:literal + $($rest:tt)*) => { $crate::codec::field!(@more $field.null($since, i16::MAX), $($rest)*) };
    (@more $field:expr, , null $since:literal - $until:literal $($rest:tt)*) => { $crate::codec::field!(@more $field.null($since, $until), $($rest)*) };
    (@more $field:expr, , tag $tag:literal $($rest:tt)*) => { $crate::codec::field!(@more $field.tag($tag), $($rest)*) };
    (@more $field:expr, , ignorable $($rest:tt)*) => { $crate::codec::field!(@more $field.ignorable(), $($rest)*) };
}
pub(crate) use field;
