//! The faults, the order in which a seed does them, trials of single ones, and a whole run: load, faults, healing, check.

mod disk;
mod fault;
mod flood;
mod harm;
mod lasting;
mod limits;
mod run;
mod schedule;
mod target;
mod trial;

pub use fault::{Fault, Means};
pub use lasting::{Blow, Lasting};
pub use limits::{Gaps, Limits};
pub use run::{Plan, Summary, means_here, run};
pub(crate) use run::{read_everything, settle};
pub use schedule::{Schedule, Series};
pub use target::Target;
pub use trial::Trial;
