//! The binary, HTTP, and chance with a seed.

pub mod http;
pub mod process;
pub mod random;
pub mod wait;
