//! The rules of the tool, one file a rule set. They name no engine and no provider, and print nothing.

pub mod admission;
pub mod arrival;
pub mod diagnosis;
pub mod hooks;
pub mod outcome;
pub mod providers;
pub mod retention;
pub mod sending;
pub mod verification;
