//! What an address means for a connection, together with the services, the environment and the files of the user who runs the
//! program.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::seq::SliceRandom;
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};

use super::parameters::Parameters;
use super::passwords::{Login, Passwords};
use super::server_address::ServerAddress;
use super::{services, tls};
use crate::store::error::StoreError;

/// Where servers put their sockets: as Debian and its relatives have it, and as PostgreSQL has it.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const PORT: u16 = 5432;
const APPLICATION_NAME: &str = "phone-verify";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);

/// What a connection to a server needs.
pub(in crate::store::postgres) struct Target {
    /// One for each server, in the order in which they are tried.
    pub(in crate::store::postgres) configs: Vec<Config>,
    /// None if no connection can have TLS: it is disabled, or there are only Unix sockets.
    pub(in crate::store::postgres) tls: Option<ClientConfig>,
    /// The hosts or sockets and the ports that are tried, in words.
    pub(in crate::store::postgres) servers: String,
    /// What was given but has no effect.
    pub(in crate::store::postgres) warnings: Vec<StoreError>,
}

/// One of the servers that are tried in turn.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    /// The directory of its socket, or its name for TLS and for the password file.
    host: String,
    /// Where it is, if its name isn't looked up.
    address: Option<IpAddr>,
    port: u16,
}

impl ServerAddress {
    /// Returns what a connection to the server needs. What the address doesn't say comes from the service, from the environment,
    /// of which `variable` returns a variable, from the files in its `HOME`, and from defaults.
    pub(in crate::store::postgres) fn resolve(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Target, StoreError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        let home = home.as_deref();
        let mut parameters = self.parameters.clone();
        if let (None, Some(secret)) = (parameters.password(), &self.password) {
            let password = secret.reveal().map_err(|error| {
                let problem = format!("can't look up the password of the database: {error}");
                StoreError::new(
                    problem,
                    "put the password there for the user who runs phone-verify",
                )
            })?;
            parameters.set_password(password.clone());
        }
        services::set_missing(&mut parameters, variable, home)?;
        parameters.set_missing_from(variable)?;

        let servers = servers(&parameters, &SOCKET_DIRECTORIES)?;
        let mut warnings = Vec::new();
        let mut config = Config::new();
        set_session(&mut config, &parameters);
        set_timeouts(&mut config, &parameters);

        let mode = ssl_mode(&parameters, &servers)?;
        config.ssl_mode(mode).ssl_negotiation(tls::negotiation(&parameters, mode)?);
        let tls = if mode == SslMode::Disable {
            None
        } else {
            Some(tls::client_config(&parameters, mode, home, &mut warnings)?)
        };
        let mut configs = log_in(&config, &parameters, &servers, home, &mut warnings)?;
        if parameters.get("load_balance_hosts") == Some("random") {
            configs.shuffle(&mut rand::rng());
        }
        let servers = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or ");
        Ok(Target { configs, tls, servers, warnings })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, port } = self;
        match address.map(|address| address.to_string()).filter(|address| address != host) {
            _ if self.has_socket() => write!(formatter, "socket {host}/{}", socket(*port)),
            Some(address) => write!(formatter, "{host} ({address}), port {port}"),
            None => write!(formatter, "{host}, port {port}"),
        }
    }
}

impl Server {
    fn has_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Returns the names that the password file may have for the server. libpq knows the default directory as `localhost`.
    fn names(&self) -> Vec<&str> {
        let is_default = SOCKET_DIRECTORIES.contains(&self.host.as_str());
        [self.host.as_str()].into_iter().chain(is_default.then_some("localhost")).collect()
    }
}

/// Returns the servers to try. One without a host has a socket in one of `directories`.
fn servers(parameters: &Parameters, directories: &[&str]) -> Result<Vec<Server>, StoreError> {
    let [hosts, addresses, ports] = ["host", "hostaddr", "port"].map(|name| parameters.list(name));
    let count = hosts.len().max(addresses.len()).max(1);
    for (name, list, is_optional) in
        [("host", &hosts, false), ("hostaddr", &addresses, false), ("port", &ports, true)]
    {
        if !list.is_empty() && list.len() != count && !(is_optional && list.len() == 1) {
            let problem = format!("{name} has {} entries for {count} servers", list.len());
            return Err(StoreError::new(problem, "give one for each server"));
        }
    }
    let at = |list: &[&str], index: usize| {
        let item = if list.len() == 1 { list.first() } else { list.get(index) };
        item.copied().filter(|item| !item.is_empty()).map(str::to_owned)
    };
    let servers = (0..count)
        .map(|index| {
            let address: Option<IpAddr> =
                at(&addresses, index).and_then(|address| address.parse().ok());
            let port = at(&ports, index).and_then(|port| port.parse().ok()).unwrap_or(PORT);
            // A directory names no server that isn't reached through its socket.
            let host = at(&hosts, index).filter(|it| address.is_none() || !it.starts_with('/'));
            let host = host.or_else(|| Some(address?.to_string()));
            let host = host.unwrap_or_else(|| default_host(directories, port));
            Server { host, address, port }
        })
        .collect();
    Ok(servers)
}

/// Returns the first of `directories` with a socket for `port`, or else `localhost`.
fn default_host(directories: &[&str], port: u16) -> String {
    let has_socket = |directory: &&&str| Path::new(directory).join(socket(port)).exists();
    (*directories.iter().find(has_socket).unwrap_or(&"localhost")).to_owned()
}

/// Returns the name of a server's socket in its directory.
fn socket(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

/// Returns what logs in to each server, apart from what `config` has for all of them.
fn log_in(
    config: &Config,
    parameters: &Parameters,
    servers: &[Server],
    home: Option<&Path>,
    warnings: &mut Vec<StoreError>,
) -> Result<Vec<Config>, StoreError> {
    let user = match parameters.get("user") {
        Some(user) => user.to_owned(),
        None => whoami::username().map_err(|error| {
            let problem = format!("can't find out who runs phone-verify: {error}");
            StoreError::new(problem, "give the user of the database in its address")
        })?,
    };
    let dbname = parameters.get("dbname").unwrap_or(&user);
    let own = parameters.password();
    let passwords = match own {
        Some(_) => Passwords::default(),
        None => Passwords::read(parameters.get("passfile"), home, warnings)?,
    };
    let of_server = |server: &Server| {
        let mut config = config.clone();
        config.host(&server.host).port(server.port).user(&user).dbname(dbname);
        if let Some(address) = server.address {
            config.hostaddr(address);
        }
        let port = server.port.to_string();
        let login = Login { hosts: server.names(), port, dbname, user: &user };
        if let Some(password) = own.cloned().or_else(|| passwords.find(&login)) {
            config.password(password.expose_secret());
        }
        config
    };
    Ok(servers.iter().map(of_server).collect())
}

/// Sets what a session has to be like.
fn set_session(config: &mut Config, parameters: &Parameters) {
    let application_name = parameters.get("application_name");
    let fallback = parameters.get("fallback_application_name").unwrap_or(APPLICATION_NAME);
    config.application_name(application_name.unwrap_or(fallback));
    config.target_session_attrs(match parameters.get("target_session_attrs") {
        Some("read-write") => TargetSessionAttrs::ReadWrite,
        Some("read-only") => TargetSessionAttrs::ReadOnly,
        _ => TargetSessionAttrs::Any,
    });
    config.channel_binding(match parameters.get("channel_binding") {
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        _ => ChannelBinding::Prefer,
    });
}

/// Sets how soon a connection counts as lost. As with libpq, zero stands for the system's default.
fn set_timeouts(config: &mut Config, parameters: &Parameters) {
    let given = |name, unit: fn(u64) -> Duration, default| match parameters.number(name) {
        Some(number) => u64::try_from(number).ok().filter(|number| *number > 0).map(unit),
        None => default,
    };
    config.keepalives(parameters.number("keepalives") != Some(0));
    if let Some(limit) = given("connect_timeout", Duration::from_secs, Some(CONNECT_TIMEOUT)) {
        config.connect_timeout(limit);
    }
    if let Some(limit) = given("tcp_user_timeout", Duration::from_millis, Some(TCP_USER_TIMEOUT)) {
        config.tcp_user_timeout(limit);
    }
    if let Some(idle) = given("keepalives_idle", Duration::from_secs, Some(KEEPALIVES_IDLE)) {
        config.keepalives_idle(idle);
    }
    if let Some(interval) = given("keepalives_interval", Duration::from_secs, None) {
        config.keepalives_interval(interval);
    }
    let count = parameters.number("keepalives_count").and_then(|count| count.try_into().ok());
    if let Some(count @ 1..) = count {
        config.keepalives_retries(count);
    }
}

/// Returns whether the servers are asked for TLS, which Unix sockets don't have.
fn ssl_mode(parameters: &Parameters, servers: &[Server]) -> Result<SslMode, StoreError> {
    if servers.iter().all(Server::has_socket) {
        return Ok(SslMode::Disable);
    }
    let mode = tls::mode(parameters)?;
    if mode == SslMode::Require && servers.iter().any(Server::has_socket) {
        let problem = "sslmode requires TLS, which a server with a Unix socket doesn't have";
        return Err(StoreError::new(problem, "name the servers by their hosts only"));
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the hosts, addresses and ports in `address`, if each directory of sockets is one of `directories`.
    fn servers_in(address: &str, directories: &[&str]) -> Result<Vec<String>, String> {
        let parameters = ServerAddress::parse(address).unwrap().parameters;
        let servers = servers(&parameters, directories).map_err(|error| error.to_string())?;
        let in_words = |server: Server| {
            let address = server.address.map(|address| address.to_string()).unwrap_or_default();
            format!("{}|{address}|{}", server.host, server.port)
        };
        Ok(servers.into_iter().map(in_words).collect())
    }

    #[test]
    fn each_host_has_its_address_and_its_port() {
        for (address, expected) in [
            ("host=a,b port=1,2", &["a||1", "b||2"][..]),
            ("host=a,b port=,2", &["a||5432", "b||2"]),
            ("host=a,b,/c port=7", &["a||7", "b||7", "/c||7"]),
            ("host=a,b", &["a||5432", "b||5432"]),
            ("host=a hostaddr=127.0.0.1", &["a|127.0.0.1|5432"]),
            ("hostaddr=127.0.0.1,::1", &["127.0.0.1|127.0.0.1|5432", "::1|::1|5432"]),
            ("host=/a hostaddr=::1", &["::1|::1|5432"]),
            ("host=a,b hostaddr=::1,", &["a|::1|5432", "b||5432"]),
            ("host=,b", &["localhost||5432", "b||5432"]),
            ("host='' port=''", &["localhost||5432"]),
            ("user=u", &["localhost||5432"]),
        ] {
            assert_eq!(servers_in(address, &[]).unwrap(), expected, "{address}");
        }
        for (address, expected) in [
            ("host=a,b port=1,2,3", "port has 3 entries for 2 servers"),
            ("host=a port=1,2", "port has 2 entries for 1 servers"),
            ("host=a,b hostaddr=::1", "hostaddr has 1 entries for 2 servers"),
            ("host=a hostaddr=::1,::2", "host has 1 entries for 2 servers"),
        ] {
            assert_eq!(servers_in(address, &[]).unwrap_err(), expected, "{address}");
        }
    }

    #[test]
    fn the_default_host_is_the_first_directory_with_a_socket_for_the_port() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let directories = [first.path(), second.path()].map(|path| path.to_str().unwrap());
        let host = |address| servers_in(address, &directories).unwrap().remove(0);
        assert_eq!(host("user=u"), "localhost||5432");
        std::fs::write(second.path().join(".s.PGSQL.5432"), "").unwrap();
        assert_eq!(host("user=u"), format!("{}||5432", directories[1]));
        assert_eq!(host("port=5433"), "localhost||5433");
        std::fs::write(first.path().join(".s.PGSQL.5432"), "").unwrap();
        assert_eq!(host("user=u"), format!("{}||5432", directories[0]));
    }
}
