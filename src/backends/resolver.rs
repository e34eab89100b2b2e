//! Looks up the names of hosts, on threads of its own: Tokio would panic if the system can't start a thread.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

/// How many names may be looked up at once.
const MAX_AT_ONCE: usize = 64;

/// The system's resolver of names, for an HTTP client.
pub(super) struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_AT_ONCE)))
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let turns = Arc::clone(&self.0);
        Box::pin(async move {
            let _turn = turns.acquire().await?;
            // The client sets the port.
            let addresses = look_up(name.as_str().to_owned(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Returns the addresses of `host`.
///
/// # Errors
/// Returns an error if the name doesn't resolve, or if the system can't start a thread.
pub(super) async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = oneshot::channel();
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    // Nobody waits for the answer once the time is over.
    thread::Builder::new().spawn(move || sender.send(look_up()).ok())?;
    found.await.map_err(io::Error::other)?
}
