//! A strict reader of the pages: what a browser would silently mend, and what our content security policy
//! would silently stop, is an error here.

use std::collections::BTreeSet;

use testbed::client::http1::Response;

/// Elements without an end.
const VOID: [&str; 7] = ["br", "hr", "img", "input", "link", "meta", "col"];

/// Elements that stand apart from what comes after them.
const APART: [&str; 6] = ["td", "th", "li", "p", "dt", "dd"];

/// What pages are served with.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) elements: Vec<Element>,
}

/// An element and the text in it, of all elements within.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: String,
    /// The elements around it.
    within: Vec<usize>,
}

impl Element {
    pub(crate) fn get(&self, attribute: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == attribute);
        found.map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// The page in an answer.
    ///
    /// # Panics
    /// When it is no page, or one that breaks a rule of this module.
    pub(crate) fn of(answer: &Response) -> Self {
        let header = |name: &str| answer.header(name).unwrap_or_default();
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{}", answer.text());
        assert_eq!(header("content-security-policy"), POLICY);
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        let text = String::from_utf8(answer.body.clone()).expect("a page of UTF-8");
        Self::parse(&text)
    }

    /// The report in an answer: it has its style in it, of which only that it is ours is checked.
    ///
    /// # Panics
    /// As [`Page::of`].
    pub(crate) fn of_report(answer: &Response) -> Self {
        let text = String::from_utf8(answer.body.clone()).expect("a page of UTF-8");
        let (before, rest) = text.split_once("<style>").expect("its style");
        let (style, after) = rest.split_once("</style>").expect("the end of its style");
        assert!(style.contains("prefers-color-scheme") && !style.contains('<'));
        Self::parse(&format!("{before}{after}"))
    }

    /// The page's text.
    pub(crate) fn text(&self) -> &str {
        &self.elements.iter().find(|it| it.name == "html").unwrap().text
    }

    /// Whether the element is shown only to those who have JavaScript.
    pub(crate) fn needs_script(&self, element: &Element) -> bool {
        let around = element.within.iter().map(|index| &self.elements[*index]);
        around.chain([element]).any(|it| {
            it.get("class").is_some_and(|class| class.split(' ').any(|it| it == "needs-js"))
        })
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    fn parse(page: &str) -> Self {
        let mut rest = page.strip_prefix("<!doctype html>\n").expect("a doctype");
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        while !rest.is_empty() {
            let (text, tag) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            assert!(!text.contains('>'), "a stray `>` in {text:?}");
            let text = unescape(text);
            for index in &open {
                elements[*index].text.push_str(&text);
            }
            if tag.is_empty() {
                break;
            }
            let end = tag.find('>').expect("the end of a tag");
            let inner = &tag[1..end];
            rest = &tag[end + 1..];
            if let Some(name) = inner.strip_prefix('/') {
                let index = open.pop().unwrap_or_else(|| panic!("</{name}> ends nothing"));
                assert_eq!(elements[index].name, name, "the wrong end");
                if APART.contains(&name) {
                    open.iter().for_each(|index| elements[*index].text.push(' '));
                }
                continue;
            }
            let closed = inner.ends_with('/');
            let mut element = element(inner.trim_end_matches('/'));
            element.within.clone_from(&open);
            let void = VOID.contains(&element.name.as_str());
            elements.push(element);
            if !closed && !void {
                open.push(elements.len() - 1);
            }
        }
        assert!(open.is_empty(), "not ended: {:?}", open.iter().map(|it| &elements[*it].name));
        let page = Self { elements };
        page.check();
        page
    }

    fn check(&self) {
        let mut ids = BTreeSet::new();
        for element in &self.elements {
            for (name, value) in &element.attributes {
                assert!(name != "style" && !name.starts_with("on"), "{element:?}");
                if name == "id" {
                    assert!(ids.insert(value), "two elements are called {value}");
                }
                let leads_out = value.contains("://") || value.starts_with("//");
                let loads = matches!(name.as_str(), "src" | "href" | "action");
                assert!(!(leads_out && loads), "an outside resource: {element:?}");
                assert!(!value.to_ascii_lowercase().starts_with("javascript:"), "{element:?}");
            }
            match element.name.as_str() {
                "script" => assert!(element.get("src").is_some() && element.text.is_empty()),
                "style" | "iframe" | "object" | "embed" | "base" => panic!("{element:?}"),
                _ => {}
            }
        }
        let references = ["aria-labelledby", "aria-describedby", "for"];
        for element in &self.elements {
            for id in references.iter().filter_map(|name| element.get(name)) {
                assert!(ids.contains(&id.to_owned()), "{id} is nowhere");
            }
        }
        for name in ["html", "head", "body", "main", "h1", "title"] {
            assert_eq!(self.all(name).count(), 1, "<{name}>");
        }
        assert_eq!(self.all("html").next().unwrap().get("lang"), Some("en"));
        for field in self.elements.iter().filter(|it| it.name == "button" || it.name == "a") {
            let named = !field.text.trim().is_empty() || field.get("aria-label").is_some();
            assert!(named, "nobody can tell what this is for: {field:?}");
        }
    }
}

fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_at(tag.find([' ', '\n']).unwrap_or(tag.len()));
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()), "<{tag}>");
    let mut attributes: Vec<(String, String)> = Vec::new();
    while !rest.trim_start().is_empty() {
        let spaced = rest.trim_start();
        assert!(spaced.len() < rest.len(), "no space before an attribute: <{tag}>");
        let (name, after) = spaced.split_at(spaced.find([' ', '=', '\n']).unwrap_or(spaced.len()));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        // SVG's attributes alone have capitals.
        let known = ["viewBox", "preserveAspectRatio", "textLength"].contains(&name);
        assert!(known || name.bytes().all(plain), "{name} in <{tag}>");
        assert!(!attributes.iter().any(|(other, _)| other == name), "two {name} in <{tag}>");
        let value = match after.strip_prefix("=\"") {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"').expect("the end of a value");
                rest = after;
                unescape(value)
            }
            None => {
                assert!(!after.starts_with('='), "no quotes in <{tag}>");
                rest = after;
                String::new()
            }
        };
        attributes.push((name.to_owned(), value));
    }
    Element { name: name.to_owned(), attributes, text: String::new(), within: Vec::new() }
}

fn unescape(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (entity, rest) = piece.split_once(';').expect("the end of an entity");
        plain.push(match entity {
            "amp" | "#38" => '&',
            "lt" | "#60" => '<',
            "gt" | "#62" => '>',
            "quot" | "#34" => '"',
            "#39" | "#x27" => '\'',
            other => panic!("&{other};"),
        });
        plain.push_str(rest);
    }
    plain
}

#[test]
fn what_is_wrong_is_noticed() {
    let page = |main: &str| {
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><title>x</title></head>\
             <body><main><h1>x</h1>{main}</main></body></html>"
        );
        std::panic::catch_unwind(|| Page::parse(&page)).is_ok()
    };
    assert!(page("<p class=\"a\">1 &lt; 2</p><br>"));
    for wrong in [
        "<p>",
        "</p>",
        "<p><b></p></b>",
        "<p class=a></p>",
        "<p style=\"color: red\"></p>",
        "<p onclick=\"x()\"></p>",
        "<script>x()</script>",
        "<style>p {}</style>",
        "<img src=\"https://elsewhere.example/x.png\">",
        "<a href=\"javascript:x()\">x</a>",
        "a > b",
        "a &copy b",
        "<i id=\"a\"></i><i id=\"a\"></i>",
        "<button></button>",
    ] {
        assert!(!page(wrong), "{wrong}");
    }
}
