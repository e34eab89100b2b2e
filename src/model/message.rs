//! The text of an SMS: a template of the settings, filled with the code and the context of a send.

use std::collections::BTreeMap;

use super::SecurityCode;

const APP: &str = "app";
const SECURITY_CODE: &str = "security_code";

/// Further placeholders and their values, by name.
pub type Context = BTreeMap<String, String>;

/// A message with placeholders, read once and filled for each send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(String),
}

/// Why a text is no message. It never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that opens no placeholder, or closes none.
    #[error("has a single `{{` or `}}`: write `{{{{` or `}}}}` for a brace")]
    SingleBrace,
    /// A placeholder whose name is none.
    #[error("has a placeholder that is no name: use letters, digits, `_` and `-`")]
    BadName,
    /// The code is missing.
    #[error("must hold `{{security_code}}`")]
    NoSecurityCode,
}

/// Why a message can't be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message needs a value for {{{placeholder}}}")]
pub struct RenderError {
    /// The placeholder that nothing fills.
    pub placeholder: String,
}

impl Message {
    /// Reads a template: `{name}` is a placeholder, `{{` and `}}` are braces.
    ///
    /// # Errors
    /// A brace stands alone, a placeholder has no name, or `{security_code}` is missing.
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
        if parts.contains(&Part::Placeholder(SECURITY_CODE.to_owned())) {
            Ok(Self(parts))
        } else {
            Err(TemplateError::NoSecurityCode)
        }
    }

    /// Fills the message. Values go in as they are and are not filled again.
    ///
    /// # Errors
    /// A placeholder is neither `app`, nor `security_code`, nor in `context`.
    pub fn render(
        &self,
        app: &str,
        security_code: &SecurityCode,
        context: &Context,
    ) -> Result<String, RenderError> {
        let value = |name: &str| match name {
            APP => Some(app.to_owned()),
            SECURITY_CODE => Some(security_code.reveal().to_owned()),
            _ => context.get(name).cloned(),
        };
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text.clone()),
                Part::Placeholder(name) => {
                    value(name).ok_or_else(|| RenderError { placeholder: name.clone() })
                }
            })
            .collect()
    }
}

/// Returns whether `name` may stand between the braces of a placeholder.
fn is_placeholder_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Reads a `KEY=VALUE` of a context.
///
/// # Errors
/// Says what is wrong with it: no `=`, a key that can't be a placeholder, or one that the program fills itself.
pub fn parse_context_entry(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    check_context_key(key)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Checks a key of a context.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_context_key(key: &str) -> Result<(), String> {
    match key {
        APP | SECURITY_CODE => Err(format!("`{key}` is filled by the program")),
        _ if is_placeholder_name(key) => Ok(()),
        _ => Err("a key consists of letters, digits, `_` and `-`".to_owned()),
    }
}

/// The message of the settings and its translations.
#[derive(Debug, Clone)]
pub struct Messages {
    default: Message,
    translations: BTreeMap<String, Message>,
}

impl Messages {
    /// Returns `default` with translations by language tag (RFC 5646), such as `de` or `de-AT`.
    pub fn new(
        default: Message,
        translations: impl IntoIterator<Item = (String, Message)>,
    ) -> Self {
        let translations =
            translations.into_iter().map(|(tag, message)| (normalized_tag(&tag), message));
        Self { default, translations: translations.collect() }
    }

    /// Returns the message in `language`: `de-AT` falls back to `de`, then to the message of the settings; tags match in any
    /// case (the lookup of RFC 4647, section 3.4).
    pub fn in_language(&self, language: Option<&str>) -> &Message {
        let mut tag = language.map(normalized_tag).unwrap_or_default();
        while !tag.is_empty() {
            if let Some(message) = self.translations.get(&tag) {
                return message;
            }
            tag.truncate(tag.rfind('-').unwrap_or(0));
        }
        &self.default
    }
}

/// Returns `tag` in lower case with hyphens: `de_AT`, as locales are written, is `de-AT`.
pub fn normalized_tag(tag: &str) -> String {
    tag.trim().replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, context: &[(&str, &str)]) -> Result<String, RenderError> {
        let context = context.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let code = SecurityCode::from_stored("123456".into());
        Message::parse(template).unwrap().render("Shop", &code, &context)
    }

    #[test]
    fn placeholders_and_doubled_braces_are_filled() {
        assert_eq!(
            render("{{{app}}} {security_code}: {name}}}", &[("name", "{app}")]).unwrap(),
            "{Shop} 123456: {app}}"
        );
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_named() {
        let error = render("{security_code} {name}", &[]).unwrap_err();
        assert_eq!(error.placeholder, "name");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        use TemplateError::*;
        for (template, error) in [
            ("", NoSecurityCode),
            ("your code", NoSecurityCode),
            ("{{security_code}}", NoSecurityCode),
            ("{security_code", SingleBrace),
            ("security_code} {security_code}", SingleBrace),
            ("{security_code} {", SingleBrace),
            ("{app {security_code}", SingleBrace),
            ("{security_code} {}", BadName),
            ("{security_code:>9}", BadName),
            ("{security_code!r}", BadName),
        ] {
            assert_eq!(Message::parse(template), Err(error), "{template}");
        }
    }

    #[test]
    fn a_context_key_is_a_name_that_the_program_does_not_fill() {
        assert_eq!(parse_context_entry("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_context_entry("a="), Ok(("a".into(), String::new())));
        for bad in ["a", "=b", "app=x", "security_code=1", "a b=c", "{=}"] {
            assert!(parse_context_entry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_language_falls_back_to_its_prefix_and_then_to_the_message() {
        let message = |text: &str| Message::parse(&format!("{text} {{security_code}}")).unwrap();
        let messages = Messages::new(
            message("default"),
            [("de".to_owned(), message("de")), ("pt-BR".to_owned(), message("pt"))],
        );
        for (tag, expected) in [
            (Some("de-AT"), "de"),
            (Some("DE_ch-1996"), "de"),
            (Some("pt-br"), "pt"),
            (Some("pt"), "default"),
            (Some("den"), "default"),
            (None, "default"),
        ] {
            assert_eq!(messages.in_language(tag), &message(expected), "{tag:?}");
        }
    }
}
