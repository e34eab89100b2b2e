//! The rules of the program, one file per set of rules. They don't print, and don't name an engine or a provider.

pub mod admission;
pub mod arrival;
pub mod copying;
pub mod diagnosis;
pub mod hooks;
pub mod outcome;
pub mod preview;
pub mod providers;
pub mod pumping;
pub mod recipient;
pub mod repetition;
pub mod retention;
pub mod sending;
mod staging;
pub mod statistics;
pub mod verification;
