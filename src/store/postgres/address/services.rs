//! The connection service file: parameters under a name, which several programs share.

use std::path::{Path, PathBuf};

use super::files;
use super::parameters::Parameters;
use crate::store::error::StoreError;

/// The directory of the file for all users, as Debian and its relatives have it.
const SYSTEM_DIRECTORY: &str = "/etc/postgresql-common";
const WHAT: &str = "service file";

/// Sets the parameters that aren't set to what their service says of them. Without a service, that is nothing.
pub(super) fn set_missing(
    parameters: &mut Parameters,
    variable: impl Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Result<(), StoreError> {
    let given = |name: &str, its_variable| {
        parameters.get(name).map(str::to_owned).or_else(|| variable(its_variable))
    };
    let Some(service) = given("service", "PGSERVICE") else { return Ok(()) };
    let of_user = given("servicefile", "PGSERVICEFILE").map(PathBuf::from).or_else(|| {
        let path = home?.join(".pg_service.conf");
        path.exists().then_some(path)
    });
    let directory = variable("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM_DIRECTORY.to_owned());
    let of_system = Some(Path::new(&directory).join("pg_service.conf")).filter(|it| it.exists());

    for path in of_user.into_iter().chain(of_system) {
        let text = files::text(WHAT, &path, files::read(WHAT, &path)?)?;
        let found = set_from(parameters, &text, &service).map_err(|(line, problem)| {
            let problem = format!("{WHAT} {}, line {line}: {problem}", path.display());
            StoreError::new(problem, "correct the line")
        });
        if found? {
            return Ok(());
        }
    }
    let problem = format!("no service file has the service {service}");
    Err(StoreError::new(problem, "add it to ~/.pg_service.conf, or set PGSERVICEFILE to the file"))
}

/// Sets the parameters that aren't set to what the section `service` in `text` says of them. Returns whether there is one, or what
/// is wrong with which line of it.
fn set_from(
    parameters: &mut Parameters,
    text: &str,
    service: &str,
) -> Result<bool, (usize, String)> {
    let mut is_found = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_ascii();
        if let Some(section) = line.strip_prefix('[') {
            if is_found {
                break;
            }
            is_found = section.strip_suffix(']') == Some(service);
        } else if is_found && !line.is_empty() && !line.starts_with('#') {
            let problem = match line.split_once('=') {
                None => Err("it isn't KEYWORD=VALUE".to_owned()),
                Some(("service" | "servicefile", _)) => {
                    Err("a service can't refer to another one".to_owned())
                }
                Some((name, value)) => {
                    parameters.set_missing(name, value).map_err(|error| error.to_string())
                }
            };
            problem.map_err(|problem| (index + 1, problem))?;
        }
    }
    Ok(is_found)
}
