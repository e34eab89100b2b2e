//! The text of an SMS: a template of the settings that a send fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::SecurityCode;
use super::template::{Part, Template, TemplateError, is_placeholder_name};

const APP: &str = "app";
const SECURITY_CODE: &str = "security_code";

/// Further placeholders and their values, by name.
pub type MessageContext = BTreeMap<String, String>;

/// A message with placeholders, parsed once and filled for each send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    template: Template,
    /// Its tag in the settings; None for the default message.
    language: Option<Arc<str>>,
}

/// Why a message can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// This placeholder has no value.
    #[error("the message needs a value for {{{0}}}")]
    NoValue(String),
    /// The provider doesn't take a text of this length.
    #[error("the message has {length} characters; the provider takes {most}")]
    TooLong {
        /// The characters of the text.
        length: usize,
        /// The most that the provider takes.
        most: usize,
    },
}

impl Message {
    /// Parses a template with the placeholder `{security_code}`.
    ///
    /// # Errors
    /// Returns an error if it isn't a template, or if `{security_code}` is missing.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let template = Template::parse(template)?;
        let has_code = template.placeholders().any(|name| name == SECURITY_CODE);
        if has_code {
            Ok(Self { template, language: None })
        } else {
            Err(TemplateError::NoSecurityCode)
        }
    }

    /// Returns the names of the placeholders that only a context fills.
    pub fn context_keys(&self) -> impl Iterator<Item = &str> {
        self.template.placeholders().filter(|name| ![APP, SECURITY_CODE].contains(name))
    }

    /// Fills every placeholder except the code: `{app}` with `app`, the others with their `value`. Placeholders within a value
    /// are not filled.
    ///
    /// # Errors
    /// Returns an error if a placeholder has no value.
    pub fn fill<'a>(
        &self,
        app: &str,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<MessageText, MessageError> {
        let mut texts = vec![String::new()];
        for part in &self.template.0 {
            let text = match part {
                Part::Text(text) => text.as_str(),
                Part::Placeholder(name) if name == SECURITY_CODE => {
                    texts.push(String::new());
                    continue;
                }
                Part::Placeholder(name) if name == APP => app,
                Part::Placeholder(name) => {
                    value(name).ok_or_else(|| MessageError::NoValue(name.clone()))?
                }
            };
            texts.last_mut().expect("there is always one").push_str(text);
        }
        Ok(MessageText { parts: texts, language: self.language.clone() })
    }
}

/// The text of a message that lacks only the code: the parts before, between and after its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageText {
    parts: Vec<String>,
    language: Option<Arc<str>>,
}

impl MessageText {
    /// Returns the text with the code.
    pub fn with_code(&self, security_code: &SecurityCode) -> String {
        self.parts.join(security_code.reveal())
    }

    /// Returns the tag of its language in the settings, in lower case; None for the default message.
    pub fn language(&self) -> Option<Arc<str>> {
        self.language.clone()
    }
}

/// Reads a context from its entries, each a `KEY=VALUE`.
///
/// # Errors
/// Returns what is wrong if an entry has no `=`, or if a key can't be used or is there twice.
pub fn parse_context(entries: &[String]) -> Result<MessageContext, String> {
    let mut context = MessageContext::new();
    for entry in entries {
        let (key, value) = entry.split_once('=').ok_or("it must be KEY=VALUE")?;
        check_context_key(key)?;
        if context.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("`{key}` is given twice"));
        }
    }
    Ok(context)
}

/// Returns what is wrong if `key` can't be a placeholder, or is one that the program fills itself.
fn check_context_key(key: &str) -> Result<(), String> {
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
    pub fn new(default: Message, translations: BTreeMap<String, Message>) -> Self {
        let translations = translations.into_iter().map(|(tag, message)| {
            let tag = normalized_tag(&tag);
            let language = Some(tag.as_str().into());
            (tag, Message { language, ..message })
        });
        Self { default, translations: translations.collect() }
    }

    /// Returns the message in `language`: `de-AT` falls back to `de`, then to the message of the settings; tags match in any
    /// case (the lookup of RFC 4647, section 3.4).
    pub fn in_language(&self, language: Option<&str>) -> &Message {
        language.and_then(|language| self.translation(language)).unwrap_or(&self.default)
    }

    /// Returns whether there is a message in `language` besides that of the settings.
    pub fn have(&self, language: &str) -> bool {
        self.translation(language).is_some()
    }

    fn translation(&self, language: &str) -> Option<&Message> {
        let mut tag = normalized_tag(language);
        while !tag.is_empty() {
            if let Some(message) = self.translations.get(&tag) {
                return Some(message);
            }
            tag.truncate(tag.rfind('-').unwrap_or(0));
        }
        None
    }

    /// Returns the names of the placeholders that only a context fills, in any of the messages.
    pub fn context_keys(&self) -> BTreeSet<&str> {
        let messages = std::iter::once(&self.default).chain(self.translations.values());
        messages.flat_map(Message::context_keys).collect()
    }

    /// Returns the translations by language tag, in the order of the tags.
    pub fn translations(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.translations.iter().map(|(tag, message)| (tag.as_str(), message))
    }
}

/// Returns `tag` in lower case with hyphens: `de_AT`, as locales are written, is `de-AT`.
pub fn normalized_tag(tag: &str) -> String {
    tag.trim().replace('_', "-").to_lowercase()
}

/// Returns whether `tag` has the form of a language tag (RFC 5646, section 2.1): letters and digits, joined by hyphens, or by
/// underscores as locales are written.
pub fn is_language_tag(tag: &str) -> bool {
    let is_subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    normalized_tag(tag).split('-').all(is_subtag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, context: &[(&str, &str)]) -> Result<String, MessageError> {
        let value =
            |name: &str| context.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let text = Message::parse(template).unwrap().fill("Shop", value)?;
        Ok(text.with_code(&SecurityCode::from_stored("123456".into())))
    }

    #[test]
    fn placeholders_and_doubled_braces_are_filled() {
        assert_eq!(
            render("{{{app}}} {security_code}: {name}}} {security_code}", &[("name", "{app}")])
                .unwrap(),
            "{Shop} 123456: {app}} 123456"
        );
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_named() {
        let error = render("{security_code} {name}", &[]).unwrap_err();
        assert_eq!(error, MessageError::NoValue("name".to_owned()));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for template in ["", "your code", "{{security_code}}"] {
            let error = TemplateError::NoSecurityCode;
            assert_eq!(Message::parse(template), Err(error), "{template}");
        }
        assert_eq!(Message::parse("{security_code} {"), Err(TemplateError::SingleBrace));
    }

    #[test]
    fn a_context_key_is_a_name_that_the_program_does_not_fill() {
        let parse = |entries: &[&str]| {
            parse_context(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
        };
        let expected = [("a", "b=c"), ("b", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(parse(&["a=b=c", "b="]), Ok(expected.into()));
        for bad in ["a", "=b", "app=x", "security_code=1", "a b=c", "{=}"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(parse(&["a=1", "a=1"]), Err("`a` is given twice".to_owned()));
    }

    #[test]
    fn a_language_falls_back_to_its_prefix_and_then_to_the_message() {
        let message = |text: &str| Message::parse(&format!("{text} {{security_code}}")).unwrap();
        let messages = Messages::new(
            message("default"),
            [("de".to_owned(), message("de")), ("pt-BR".to_owned(), message("pt"))].into(),
        );
        for (tag, expected) in [
            (Some("de-AT"), "de"),
            (Some("DE_ch-1996"), "de"),
            (Some("pt-br"), "pt"),
            (Some("pt"), "default"),
            (Some("den"), "default"),
            (None, "default"),
        ] {
            let found = messages.in_language(tag);
            let language = (expected != "default").then_some(expected);
            assert_eq!(found.template, message(expected).template, "{tag:?}");
            assert_eq!(
                found.language.as_deref(),
                language.map(|tag| tag.replace("pt", "pt-br")).as_deref()
            );
        }
    }
}
