//! What happened, as a hash that two runs of one seed share, and as lines where somebody wants to read it.

use std::time::Duration;

/// The trace of one run.
pub struct Trace {
    hash: u64,
    prints: bool,
}

impl Trace {
    /// An empty trace; `prints` writes every note to standard output too.
    pub fn new(prints: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, prints }
    }

    /// Takes note of what happened: `what`, with its particulars.
    pub fn note(&mut self, at: Duration, what: &'static str, particulars: &[(&'static str, i64)]) {
        self.mix(at.as_micros() as u64);
        for byte in what.bytes() {
            self.mix(u64::from(byte));
        }
        for (_, value) in particulars {
            self.mix(*value as u64);
        }
        if self.prints {
            self.print(at, what, particulars);
        }
    }

    /// Prints a line that is not part of the trace, where lines are wanted.
    pub fn tell(&self, at: Duration, line: impl FnOnce() -> String) {
        if self.prints {
            self.print(at, &line(), &[]);
        }
    }

    /// The same for two runs if the same happened in them.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    #[expect(clippy::print_stdout, reason = "a replayed seed is read on the terminal")]
    fn print(&self, at: Duration, what: &str, particulars: &[(&'static str, i64)]) {
        use std::fmt::Write as _;
        let mut line = format!("{:>10.6} {what}", at.as_secs_f64());
        for (name, value) in particulars {
            let _ = write!(line, " {name}={value}");
        }
        println!("{line}");
    }
}
