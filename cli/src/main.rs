//! The one command of Ottla.
//!
//! `ottla local` runs a whole cluster on this machine, `ottla check` tells whether a cluster keeps what it acks, `ottla broker` and
//! `ottla operator` are what the images run. No rules live here: this crate puts the others together and talks to a person.

mod arguments;
mod check;
mod local;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Local(options) => local::main(options),
        Command::Check(options) => check::main(&options),
        Command::Broker(options) => options.run(),
        Command::Operator(options) => options.run(),
    }
}
