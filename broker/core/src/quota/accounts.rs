//! What each of many has used, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;

/// The most that are remembered at a time. Who makes up more names at once than this has what it used forgotten.
pub(super) const MAX_ACCOUNTS: usize = 10_000;

/// An account for each `K`.
#[derive(Debug)]
pub(super) struct Accounts<K, A>(HashMap<K, A>);

impl<K, A> Default for Accounts<K, A> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, A> Accounts<K, A> {
    /// The account of `key`, made by `open` if there is none. Where that is one too many those go that `is_over`, and all
    /// if most of them are not: so looking for them costs little for each account that is made.
    pub(super) fn of(&mut self, key: K, open: impl FnOnce() -> A, is_over: impl Fn(&A) -> bool) -> &mut A {
        if self.0.len() >= MAX_ACCOUNTS && !self.0.contains_key(&key) {
            self.0.retain(|_, account| !is_over(account));
            if self.0.len() > MAX_ACCOUNTS / 2 {
                self.0.clear();
            }
        }
        self.0.entry(key).or_insert_with(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_names_makes_it_grow_beyond_its_bound() {
        let mut accounts = Accounts::default();
        for number in 0..3 * MAX_ACCOUNTS {
            accounts.of(number, || 0, |_| false);
            assert!(accounts.0.len() <= MAX_ACCOUNTS);
        }
    }

    #[test]
    fn what_counts_no_more_goes_alone() {
        let mut accounts = Accounts::default();
        for number in 0..MAX_ACCOUNTS {
            accounts.of(number, || number, |_| false);
        }
        accounts.of(MAX_ACCOUNTS, || MAX_ACCOUNTS, |number| number % 4 > 0);
        assert_eq!(accounts.0.len(), MAX_ACCOUNTS / 4 + 1);
        assert_eq!(*accounts.of(4, || 0, |_| false), 4);
    }
}
