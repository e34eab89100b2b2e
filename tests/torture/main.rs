//! Long tests, which treat the program worse than its users do: `docs/testing.md` says how.

mod chance;
mod disk;
mod full_disk;
mod on_postgresql;
mod power_cut;
mod site;
mod storm;
mod strace;
#[allow(dead_code, unused_imports, reason = "the other tests need more of it")]
#[path = "../it/support/mod.rs"]
mod support;
