//! The store in memory, in few words. The engines are compared with it, and the simulator runs on it.

mod engine;
mod tables;

pub use engine::Memory;
pub use tables::Tables;
