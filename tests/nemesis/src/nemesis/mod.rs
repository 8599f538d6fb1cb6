//! The faults, the order in which a seed does them, and a whole run: load, faults, healing, check.

mod fault;
mod flood;
mod harm;
mod run;
mod schedule;
mod target;

pub use fault::{Fault, Means};
pub use run::{Plan, Summary, run};
pub use schedule::{Schedule, Series};
pub use target::Target;
