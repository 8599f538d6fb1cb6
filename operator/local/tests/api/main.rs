//! The API as its clients see it: requests against the router, and kube-rs on top.

#![recursion_limit = "512"]
// Helpers of tests fail like tests.
#![allow(clippy::unwrap_used, clippy::panic)]

mod crud;
mod custom;
mod deletion;
mod eviction;
mod finding;
mod kube_rs;
mod paging;
mod services;
mod support;
mod watching;
