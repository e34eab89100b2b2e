//! What is a plain literal, and what isn't.

use proptest::proptest;

use super::Literal::{Boolean, Float, Integer, List, None, Other, Text};
use super::*;

/// Returns the value of `X` in a module that sets it to this expression.
fn value(expression: &str) -> Literal {
    let module = format!("'''A doc: X = 1'''\nimport os\n\nX = {expression}\nY = 1\n");
    let uses = uses_of("X", &module);
    let (line, value) = uses.assigned.expect(expression);
    assert_eq!(line, 4, "{expression}");
    value
}

fn text(text: &str) -> Literal {
    Text(text.to_owned())
}

#[test]
fn plain_literals_are_read() {
    for (expression, expected) in [
        ("'a'", text("a")),
        ("\"it's\"  # why", text("it's")),
        ("'''a\n\"b\"'''", text("a\n\"b\"")),
        ("u'a' \"b\"", text("ab")),
        ("(\n  'a'\n  'b'  # c\n)", text("ab")),
        (r"'\x41\u0042\U00000043\104\n\'\q'", text("ABCD\n'\\q")),
        (r"'\a\b\f\n\r\t\v'", text("\u{7}\u{8}\u{c}\n\r\t\u{b}")),
        ("'a\\\nb'", text("ab")),
        (r"r'\n\''", text("\\n\\'")),
        ("-6", Integer(-6)),
        ("3_600", Integer(3600)),
        ("1.5", Float(1.5)),
        ("True;", Boolean(true)),
        ("None", None),
        ("[1, 'a',]", List(vec![Integer(1), text("a")])),
        ("(1,)", List(vec![Integer(1)])),
        ("()", List(vec![])),
        ("\\\n  False", Boolean(false)),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn anything_else_is_not_a_plain_literal() {
    for expression in [
        "os.environ['X']",
        "Truely",
        "f'a'",
        "b'a'",
        "'a' + b",
        "'a' if x else 'b'",
        "'%s' % y",
        "'a'.upper()",
        "60 * 10",
        "1e5",
        r"'\N{DASH}'",
        r"'\ud800'",
        "[1, x]",
        "'open",
        "[1, 2",
        "{",
        "",
    ] {
        assert_eq!(value(expression), Other, "{expression}");
    }
    assert_eq!(value(&"[".repeat(100_000)), Other);
}

#[test]
fn an_item_that_is_not_plain_spoils_no_other() {
    let Literal::Dict(items) = value(
        "{\n 'A': {'B': 1},\n 'C': f(x, [{'D': ')'}]), # E\n **defaults,\n 'F': lambda x: {1: 2},\n K: 2, 'G': 3 }",
    ) else {
        panic!("it is a dict");
    };
    let item = |key: &str, value, line| Item { key: text(key), value, line };
    let other = |value, line| Item { key: Other, value, line };
    let inner = Literal::Dict(vec![item("B", Integer(1), 5)]);
    assert_eq!(
        items,
        [
            item("A", inner, 5),
            item("C", Other, 6),
            other(Other, 7),
            item("F", Other, 8),
            other(Integer(2), 9),
            item("G", Integer(3), 9),
        ]
    );
}

#[test]
fn the_last_assignment_at_the_top_level_counts_and_the_other_uses_are_named() {
    let module =
        "X: dict = 1\r\nif DEBUG:\r\n    X = 2\r\nX['a'] = 3  # X\r\nY = 'X'\r\nX = f(X)\rX = 5";
    let uses = uses_of("X", module);
    assert_eq!(uses.assigned, Some((7, Integer(5))));
    assert_eq!(uses.others, [3, 4, 6]);
    for module in ["", "X", "X == 1", "XX = 1", "(\nX = 1)", "'''\nX = 1\n'''", "a = \\\nX = 1"] {
        assert_eq!(uses_of("X", module).assigned, Option::None, "{module}");
    }
}

proptest! {
    #[test]
    fn no_module_makes_it_panic(text in "[X=:\"'\\\\\\[\\](){}#,\nr0u\u{e9}. ]{0,60}") {
        uses_of("X", &text);
        uses_of("X", &format!("X = {text}"));
    }
}
