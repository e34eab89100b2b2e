//! The tests that run the program as a user does: one binary, a file a subcommand.

mod support;
