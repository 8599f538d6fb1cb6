//! The API as its clients see it: requests against the router, and kube-rs on top.

mod crud;
mod deletion;
mod support;
