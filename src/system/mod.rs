//! The machine: this process and what it waits for, the clock, random numbers, programs, signals, files, secrets, and who else can
//! read a file.

pub mod access;
pub mod clock;
pub mod new_file;
pub mod process;
pub mod program;
pub mod random;
pub mod secret;
pub mod signals;
pub mod small_file;
pub mod waiting;
