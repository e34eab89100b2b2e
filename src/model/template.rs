//! A text with placeholders such as `{name}`. `{{` and `}}` are braces.

/// A text with placeholders, parsed once and filled often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub(super) Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text that stays as it is.
    Text(String),
    /// The name of a placeholder.
    Placeholder(String),
}

/// Why a text isn't a template. It never repeats the text, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that neither opens nor closes a placeholder.
    #[error("has a single `{{` or `}}`: write `{{{{` or `}}}}` for a brace")]
    SingleBrace,
    /// A placeholder with an invalid name.
    #[error("has a placeholder with an invalid name: use letters, digits, `_` and `-`")]
    BadName,
    /// The security code is missing from a message.
    #[error("must hold `{{security_code}}`")]
    NoSecurityCode,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns an error if there is a single brace, or if a placeholder has an invalid name.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(doubled) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = doubled;
                continue;
            }
            let end =
                rest.find(['{', '}']).filter(|end| brace == "{" && rest[*end..].starts_with('}'));
            let name = &rest[..end.ok_or(TemplateError::SingleBrace)?];
            if !is_placeholder_name(name) {
                return Err(TemplateError::BadName);
            }
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Placeholder(name.to_owned()));
            rest = &rest[name.len() + 1..];
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    /// Returns the names of the placeholders in their order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Placeholder(name) => Some(name.as_str()),
        })
    }

    /// Returns the text with a value for each placeholder. Placeholders within a value are not filled.
    ///
    /// # Errors
    /// Returns the name of the first placeholder that has no value.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, &str> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text.clone()),
                Part::Placeholder(name) => value(name).ok_or(name.as_str()),
            })
            .collect()
    }
}

/// Returns whether a placeholder may have this name.
pub(super) fn is_placeholder_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Returns `text` encoded for any place in a URL (RFC 3986, section 2.1).
pub fn percent_encoded(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_template_is_refused() {
        use TemplateError::*;
        for (template, error) in [
            ("{app", SingleBrace),
            ("app} {app}", SingleBrace),
            ("{app} {", SingleBrace),
            ("{app {app}", SingleBrace),
            ("{app} {}", BadName),
            ("{app:>9}", BadName),
            ("{app!r}", BadName),
        ] {
            assert_eq!(Template::parse(template), Err(error), "{template}");
        }
    }

    #[test]
    fn placeholders_are_named_in_their_order_and_braces_are_none() {
        let template = Template::parse("{b} {{c}} {a}").unwrap();
        assert_eq!(template.placeholders().collect::<Vec<_>>(), ["b", "a"]);
        let filled = template.fill(|name| (name == "b").then(|| "{a}".to_owned()));
        assert_eq!(filled, Err("a"));
    }

    proptest! {
        #[test]
        fn a_template_is_filled_as_it_was_written(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-z{} é]{0,6}".prop_map(Part::Text),
                    "[a-zé_-]{1,6}".prop_map(Part::Placeholder),
                ],
                0..8,
            ),
        ) {
            let value = |name: &str| format!("<{name}{{app}}>");
            let (mut written, mut filled) = (String::new(), String::new());
            for part in parts {
                match part {
                    Part::Text(text) => {
                        written += &text.replace('{', "{{").replace('}', "}}");
                        filled += &text;
                    }
                    Part::Placeholder(name) => {
                        written += &format!("{{{name}}}");
                        filled += &value(&name);
                    }
                }
            }
            let template = Template::parse(&written).unwrap();
            prop_assert_eq!(template.fill(|name| Some(value(name))), Ok(filled));
        }
    }
}
