//! Notices whether a connection is encrypted, because a server that is asked for TLS may have none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

/// TLS as `inner` has it.
pub(super) struct WatchedTls<T> {
    pub(super) inner: T,
    /// Whether the connection that was tried last has it.
    pub(super) is_used: Arc<AtomicBool>,
}

impl<S, T: MakeTlsConnect<S>> MakeTlsConnect<S> for WatchedTls<T> {
    type Stream = T::Stream;
    type TlsConnect = WatchedTls<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.is_used.store(false, Ordering::Relaxed);
        let is_used = Arc::clone(&self.is_used);
        Ok(WatchedTls { inner: self.inner.make_tls_connect(domain)?, is_used })
    }
}

impl<S, T: TlsConnect<S>> TlsConnect<S> for WatchedTls<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, stream: S) -> Self::Future {
        self.is_used.store(true, Ordering::Relaxed);
        self.inner.connect(stream)
    }
}
