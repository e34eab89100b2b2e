//! A provider on loopback that accepts every message. One thread serves all connections, to leave most of the machine to the
//! program.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"sid":"SM00000000000000000000000000000000","status":"queued"}"#;

/// A server that runs until the process ends.
pub struct Provider {
    port: u16,
}

impl Provider {
    /// Starts a provider that answers each request after `delay`.
    ///
    /// # Errors
    /// Returns an error if the system has no free port.
    pub fn start(delay: Duration) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let (connection, _) = listener.accept().await?;
                    tokio::spawn(serve(connection, delay));
                }
                #[expect(unreachable_code, reason = "names the type of the loop's errors")]
                io::Result::Ok(())
            })
        });
        Ok(Self { port })
    }

    /// Returns the address to call.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn serve(mut connection: TcpStream, delay: Duration) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut received = Vec::new();
    loop {
        while let Some(length) = request_length(&received) {
            received.drain(..length);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            connection.write_all(answer.as_bytes()).await?;
        }
        if connection.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// Returns the length of the request at the start of `received`. None if it isn't complete yet.
fn request_length(received: &[u8]) -> Option<usize> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
    let body =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let length = end + body.unwrap_or(0);
    (received.len() >= length).then_some(length)
}
