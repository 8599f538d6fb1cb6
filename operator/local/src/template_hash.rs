//! A short name for a pod template, which changes when, and only when, the template does.

use serde::Serialize;

/// The letters of Kubernetes' own hashes: none that spell words, none that look alike.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Ten letters that stand for `template`.
pub(crate) fn template_hash<T: Serialize>(template: &T) -> String {
    letters(fnv1a(&serde_json::to_vec(template).expect("a template is plain data")))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn letters(mut hash: u64) -> String {
    let base = LETTERS.len() as u64;
    let mut text = String::new();
    for _ in 0..10 {
        let index = usize::try_from(hash % base).expect("a remainder below 27 is a usize");
        text.push(char::from(LETTERS[index]));
        hash /= base;
    }
    text
}
