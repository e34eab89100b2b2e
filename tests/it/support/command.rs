//! The `command` backend, with a shell script as the operator's program.

use super::Environment;

impl Environment {
    /// Returns an environment whose backend is the shell script `script`, with further top-level keys and further tables.
    pub(crate) fn with_sms_script(script: &str, keys: &str, tables: &str) -> Self {
        let options = "[options]\ncommand = [\"/bin/sh\", \"sms\", \"--from\", \"a b\"]";
        let settings = format!("backend = \"command\"\n{keys}\n{options}\n{tables}\n");
        let environment = Self::with_settings(&settings);
        environment.write("sms", script);
        environment
    }
}
