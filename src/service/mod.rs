//! The rules of the tool, one file a rule set. They name no engine and no provider, and print nothing.

pub mod admission;
pub mod arrival;
pub mod checkup;
pub mod diagnosis;
pub mod hooks;
pub mod providers;
pub mod register;
pub mod retention;
pub mod verification;
