//! One connection to the provider, with HTTP/1.1, kept alive until the client closes it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::reply::Next;
use super::{Reception, Shared, tls};

/// A connection, with TLS or without.
pub(super) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The number of its connection, from 0, in order of arrival.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) path: String,
    /// The headers, in order, with their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, still encoded.
    pub(crate) body: String,
}

impl Request {
    /// Returns the value of the header `name` (in lower case), if it was sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether it asks for something, instead of sending a message.
    pub(crate) fn is_question(&self) -> bool {
        ["GET", "HEAD"].contains(&self.method.as_str())
    }

    /// Returns the fields of the form, decoded, in order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        fields(&self.body)
    }

    /// Returns the fields of the query, decoded, in order.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        self.path.split_once('?').map(|(_, query)| fields(query)).unwrap_or_default()
    }

    /// Returns the body as JSON, or null if it isn't JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Returns the value of the form's field `name`, or an empty text if it wasn't sent.
    pub(crate) fn field(&self, name: &str) -> String {
        let field = self.form().into_iter().find(|(other, _)| other == name);
        field.map(|(_, value)| value).unwrap_or_default()
    }
}

/// Returns the fields of a form, decoded, in order.
fn fields(form: &str) -> Vec<(String, String)> {
    let mut url = reqwest::Url::parse("http://form/").expect("a URL");
    url.set_query(Some(form));
    url.query_pairs().into_owned().collect()
}

/// Serves one connection until its client closes it or a reply ends it.
pub(super) fn serve(shared: &Shared, number: usize, stream: TcpStream) -> io::Result<()> {
    if shared.reception == Reception::Silence {
        return wait_for_end(stream);
    }
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match shared.reception {
        Reception::Tls => Box::new(tls::accept(stream, tls::TRUSTED_CERTIFICATE)),
        Reception::ExpiredTls => Box::new(tls::accept(stream, tls::EXPIRED_CERTIFICATE)),
        Reception::FutureTls => Box::new(tls::accept(stream, tls::FUTURE_CERTIFICATE)),
        Reception::AuthorityTls => Box::new(tls::accept(stream, tls::AUTHORITY_CERTIFICATE)),
        _ => Box::new(stream),
    };
    let mut stream = BufReader::new(stream);
    if stream.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        return stream.get_mut().write_all(answer);
    }
    loop {
        let request = match read_request(&mut stream, number) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    shared.record(|log| log.violations.push(format!("not HTTP: {error}")));
                }
                return Err(error);
            }
        };
        let reply = shared.receive(&request);
        let stays_open = match reply.prepare(shared, &request) {
            Next::Answer { bytes, stays_open } => {
                stream.get_mut().write_all(&bytes)?;
                stays_open
            }
            Next::Close => false,
            Next::Wait => {
                // It doesn't matter how the client gives up.
                let _ = wait_for_end(&mut stream);
                shared.record(|log| log.in_flight -= 1);
                false
            }
        };
        shared.record(|log| log.finished += 1);
        if !stays_open {
            return Ok(());
        }
    }
}

/// The first byte of a TLS record that opens a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Reads until the client gives up or the provider stops.
fn wait_for_end(mut stream: impl Read) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(|_| ())
}

/// Reads the next request, or returns `None` if the client has closed the connection between two requests.
fn read_request(stream: &mut impl BufRead, connection: usize) -> io::Result<Option<Request>> {
    let Some(start) = read_line(stream)? else { return Ok(None) };
    let mut words = start.split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid(&format!("request line {start:?}")));
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        connection,
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: String::new(),
    };
    // No provider documents chunked requests, so a request has to give its length.
    let length = match request.header("content-length") {
        Some(length) => length.parse().map_err(|_| invalid(length))?,
        None => 0,
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = String::from_utf8(body).map_err(|_| invalid("a body that isn't UTF-8"))?;
    Ok(Some(request))
}

/// Reads a line without its end, or returns `None` at the end of the stream.
fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix("\r\n").ok_or_else(|| invalid(&line))?;
    Ok(Some(line.to_owned()))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
