//! The manual page of the settings file: section 3 of the reference, from Markdown to roff.

use std::mem;

use clap_mangen::roff::{Inline, Roff, bold, italic, line_break, roman};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

const REFERENCE: &str = include_str!("../../../docs/reference.md");

/// What has been read and not been added to the page.
#[derive(Default)]
struct Reader {
    roff: Roff,
    /// The text of the paragraph, the heading or the cell.
    text: Vec<Inline>,
    is_strong: bool,
    is_emphasized: bool,
    /// The numbers of the next items of the lists that are open; None in a list without numbers.
    lists: Vec<Option<u64>>,
    /// The heading of the table and the cells of its row.
    columns: Vec<Vec<Inline>>,
    cells: Vec<Vec<Inline>>,
}

/// Returns the sections of the page.
pub(super) fn sections() -> Roff {
    let section = REFERENCE.split("\n## ").find(|section| section.starts_with("3. Settings\n"));
    let (_, text) = section.and_then(|it| it.split_once('\n')).expect("the reference has it");
    let mut reader = Reader::default();
    reader.roff.control("SH", ["DESCRIPTION"]);
    Parser::new_ext(text, Options::ENABLE_TABLES).for_each(|event| reader.take(event));
    reader.roff
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.is_strong => self.text.push(bold(text.as_ref())),
            Event::Text(text) if self.is_emphasized => self.text.push(italic(text.as_ref())),
            Event::Text(text) => self.text.push(roman(text.as_ref())),
            Event::Code(text) => self.text.push(bold(text.as_ref())),
            Event::SoftBreak => self.text.push(roman(" ")),
            event => panic!("the page has no form for {event:?}"),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.is_strong = true,
            Tag::Emphasis => self.is_emphasized = true,
            Tag::List(first) => self.lists.push(*first),
            Tag::Item => match self.lists.last_mut() {
                Some(Some(number)) => {
                    self.roff.control("IP", [format!("{number}.").as_str(), "4"]);
                    *number += 1;
                }
                _ => _ = self.roff.control("IP", ["\\(bu", "2"]),
            },
            Tag::CodeBlock(_) => {
                self.roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        let is_in_list = !self.lists.is_empty();
        match tag {
            TagEnd::Strong => self.is_strong = false,
            TagEnd::Emphasis => self.is_emphasized = false,
            TagEnd::Link | TagEnd::Table => {}
            TagEnd::TableHead => self.columns = mem::take(&mut self.cells),
            TagEnd::TableCell => self.cells.push(mem::take(&mut self.text)),
            TagEnd::TableRow => self.row(),
            TagEnd::List(_) => _ = self.lists.pop(),
            TagEnd::Item => self.add_text(),
            TagEnd::Heading(_) => self.heading(),
            TagEnd::Paragraph if is_in_list => self.add_text(),
            // It names what the table below it is about.
            TagEnd::Paragraph if let [Inline::Bold(name)] = &*self.text => {
                self.roff.control("SS", [name.as_str()]);
                self.text.clear();
            }
            TagEnd::Paragraph => {
                self.roff.control("PP", []);
                self.add_text();
            }
            TagEnd::CodeBlock => {
                for line in plain(&mem::take(&mut self.text)).lines() {
                    self.roff.text([roman(line)]);
                }
                self.roff.control("fi", []).control("RE", []);
            }
            tag => panic!("the page has no form for {tag:?}"),
        }
    }

    fn add_text(&mut self) {
        let text = mem::take(&mut self.text);
        if !text.is_empty() {
            self.roff.text(text);
        }
    }

    /// Adds a heading without its number, as manual pages have them: in capitals, except for what is in code.
    fn heading(&mut self) {
        let words = mem::take(&mut self.text).into_iter().map(|inline| match inline {
            Inline::Roman(text) => text
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .trim_start()
                .to_uppercase(),
            inline => plain(&[inline]),
        });
        let words: String = words.collect();
        self.roff.control("SH", [words.as_str()]);
    }

    /// Adds a row: the first cell names the entry, the last one says what it is, and those between follow with their headings.
    fn row(&mut self) {
        let mut cells = mem::take(&mut self.cells).into_iter();
        let name = cells.next().unwrap_or_default();
        let mut text = cells.next_back().unwrap_or_default();
        let between = self.columns.iter().skip(1).zip(cells).filter(|(_, cell)| !cell.is_empty());
        for (index, (column, cell)) in between.enumerate() {
            text.push(if index == 0 { line_break() } else { roman("; ") });
            text.push(roman(format!("{}: ", plain(column))));
            text.extend(cell);
        }
        self.roff.control("TP", []).text([bold(plain(&name))]).text(text);
    }
}

fn plain(inlines: &[Inline]) -> String {
    let text = |inline: &Inline| match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.clone(),
        Inline::LineBreak => "\n".to_owned(),
    };
    inlines.iter().map(text).collect()
}
