//! Where a PostgreSQL server is, as `psql` would be given it, and what that means for a connection. The authority is libpq's
//! documentation, <https://www.postgresql.org/docs/current/libpq-connect.html>.

mod files;
mod parameters;
mod passwords;
mod server_address;
mod services;
mod syntax;
mod target;
#[cfg(test)]
mod tests;
mod tls;

pub use parameters::AddressError;
pub use server_address::ServerAddress;
pub(super) use target::Target;
