//! The rules of the tool, one file a rule set. They name no engine and no provider, and print nothing.

pub mod admission;
pub mod arrival;
pub mod diagnosis;
pub mod register;
pub mod retention;
pub mod verification;
