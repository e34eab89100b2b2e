//! The two forms of an address: a URL, and keywords with their values.

use super::parameters::{AddressError, Parameters, is_keyword};

/// The schemes of the URLs of servers.
const SCHEMES: [&str; 2] = ["postgresql", "postgres"];

/// Returns whether `text` is meant for a server rather than for a file. It may hold a password even if its scheme is that of
/// another server or its first keyword is misspelled.
pub(super) fn is_address(text: &str) -> bool {
    scheme(text).is_some() || holds_keyword(text) || may_hold_password(text)
}

/// Returns whether `text` looks like an address that was mistyped, such as one with quotation marks around it, so that it mustn't be
/// shown as the name of a file. A path that begins with `/` or `./` never does.
fn may_hold_password(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has_login = text.split_once('@').is_some_and(|(before, _)| before.contains(':'));
    let has_word = ["://", "password=", "pwd=", "postgres:", "postgresql:", "postgresql//"];
    !text.starts_with(['/', '.']) && (has_login || has_word.iter().any(|word| text.contains(word)))
}

/// Returns the scheme, if `text` is a URL (RFC 3986, section 3.1).
fn scheme(text: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, _) = text.split_once("://")?;
    Some(scheme).filter(|scheme| !scheme.is_empty() && scheme.chars().all(is_plain))
}

/// Returns whether there is a keyword before any `=`. A path has a `/` before the first one.
fn holds_keyword(text: &str) -> bool {
    let before = text.rsplit_once('=').map(|(before, _)| before).unwrap_or_default();
    let mut names = before.split('=').map(|part| part.split_ascii_whitespace().last());
    let is_path = before.split('=').next().is_some_and(|first| first.contains('/'));
    !is_path && names.any(|name| name.is_some_and(is_keyword))
}

fn begins_with_keyword(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| is_keyword(name.trim_ascii()))
}

/// Returns the parameters in `text`, and `text` without the password.
pub(super) fn parse(text: &str) -> Result<(Parameters, String), AddressError> {
    match scheme(text) {
        None => parse_keywords(text),
        Some(scheme) if SCHEMES.contains(&scheme) => parse_url(text),
        Some(_) => Err(malformed("a URL must begin with postgresql://")),
    }
}

/// Parses `postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/DBNAME?KEYWORD=VALUE&KEYWORD=VALUE`, of which any part may be missing.
fn parse_url(text: &str) -> Result<(Parameters, String), AddressError> {
    let mut parameters = Parameters::default();
    let (scheme, mut rest) = text.split_at(text.find("://").map_or(0, |colon| colon + 3));
    let mut shown = scheme.to_owned();

    let before_path = rest.split('/').next().unwrap_or_default();
    if let Some((credentials, _)) = before_path.split_once('@') {
        // libpq would take a `?` here as a part of the user or the password. It might as well begin the parameters.
        if credentials.contains('?') {
            return Err(malformed(
                "a `?` in a user or a password must be written as %3F, and an `@` after a `?` as %40",
            ));
        }
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        parameters.set("password", decode(password)?)?;
        if !user.is_empty() {
            parameters.set("user", decode(user)?)?;
            shown += user;
            shown += "@";
        }
        rest = &rest[credentials.len() + 1..];
    }

    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Otherwise a part of the password would be taken for a host or a database, and shown.
    if place.contains('@') {
        return Err(malformed(
            "an `@` in a user, a password or a dbname must be written as %40, and a `/` in a password as %2F",
        ));
    }
    let (servers, dbname) = place.split_once('/').unwrap_or((place, ""));
    let servers: Vec<_> = servers.split(',').map(host_and_port).collect::<Result<_, _>>()?;
    let (hosts, ports): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    for (name, parts) in [("host", hosts), ("port", ports), ("dbname", vec![dbname])] {
        if parts.iter().any(|part| !part.is_empty()) {
            parameters.set(name, decode(&parts.join(","))?)?;
        }
    }
    shown += place;

    let mut separator = '?';
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(no_equals_sign)?;
        let (name, value) = (decode(name)?, decode(value)?);
        match (name.as_str(), value.as_str()) {
            // As JDBC has it, and libpq for its sake.
            ("ssl", "true") => parameters.set("sslmode", "require".to_owned())?,
            _ => parameters.set(&name, value)?,
        }
        if name != "password" {
            shown.push(separator);
            shown += parameter;
            separator = '&';
        }
    }
    Ok((parameters, shown))
}

/// Splits `HOST:PORT` or `[IPV6]:PORT`.
fn host_and_port(server: &str) -> Result<(&str, &str), AddressError> {
    let Some(bracketed) = server.strip_prefix('[') else {
        return Ok(server.split_once(':').unwrap_or((server, "")));
    };
    let (host, rest) = bracketed.split_once(']').unwrap_or_default();
    match rest.strip_prefix(':') {
        _ if host.is_empty() => Err(malformed("an IPv6 address must be written as [ADDRESS]")),
        Some(port) => Ok((host, port)),
        None if rest.is_empty() => Ok((host, "")),
        None => Err(malformed("only `:` and a port can follow the `]` of an IPv6 address")),
    }
}

/// Decodes `%3D` and the like.
fn decode(text: &str) -> Result<String, AddressError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let code =
                digit().zip(digit()).and_then(|(high, low)| (16 * high + low).try_into().ok());
            code.ok_or_else(|| {
                malformed("two hexadecimal digits must follow a `%`; `%` itself is %25")
            })?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed("what `%` encodes must be UTF-8"))
}

/// Parses `KEYWORD=VALUE KEYWORD='VALUE'`.
fn parse_keywords(text: &str) -> Result<(Parameters, String), AddressError> {
    let mut parameters = Parameters::default();
    let mut shown = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(no_equals_sign)?;
        let name = name.trim_ascii_end();
        if name.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(no_equals_sign());
        }
        let written = after.trim_ascii_start();
        // Of `host= password=secret`, libpq makes a host with the name `password=secret`.
        if written.len() < after.len() && begins_with_keyword(written) {
            return Err(malformed("an empty value must be written as ''"));
        }
        let (value, length) = value_at(written)?;
        parameters.set(name, value)?;
        if name != "password" {
            shown.push(format!("{name}={}", &written[..length]));
        }
        rest = written[length..].trim_ascii_start();
    }
    Ok((parameters, shown.join(" ")))
}

/// Returns the value at the beginning of `text`, and how long it is as written.
fn value_at(text: &str) -> Result<(String, usize), AddressError> {
    let is_quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(is_quoted));
    while let Some((at, c)) = characters.next() {
        match c {
            '\'' if is_quoted => return Ok((value, at + 1)),
            _ if c.is_ascii_whitespace() && !is_quoted => return Ok((value, at)),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    if is_quoted {
        Err(malformed("a quotation mark isn't closed"))
    } else {
        Ok((value, text.len()))
    }
}

fn no_equals_sign() -> AddressError {
    malformed("a `=` must follow each keyword; a value with a space must be in single quotes")
}

fn malformed(problem: &str) -> AddressError {
    AddressError(problem.to_owned())
}
