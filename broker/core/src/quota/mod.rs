//! What clients may use: quotas by user, client id and address (KIP-13, KIP-55, KIP-546, KIP-612), and the rule by which a client that has
//! used more is held back (KIP-124, KIP-219, KIP-599).
//!
//! It must not know connections: it says for how long a client is to be held back, not how.

mod accounts;
mod connections;
mod entity;
mod ledger;
mod mutations;
mod rate;
mod table;

pub use connections::ConnectionLedger;
pub use entity::{EntityName, Limit, NoLimit, QuotaEntity, QuotaKey, address_name};
pub use ledger::{Client, Ledger};
pub use mutations::{Budget, Exhausted, MutationLedger, Mutator};
pub use rate::Windows;
pub use table::QuotaTable;
