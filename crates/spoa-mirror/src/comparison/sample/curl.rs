//! A request as a command that a person can paste into a POSIX shell.
//!
//! It goes to the host that the client asked, over plain HTTP: change that to where you want it. Headers
//! that say how the bytes were sent are left out, curl writes its own; those that mark a copy stay, so that
//! it is not mirrored again. What is hidden stays hidden. Where it is not byte for byte what the target got,
//! comments before it say in what.

use shadow_diff::shown::visible;

use super::{Sample, ShownRequest};

/// Headers that curl writes itself, or that are not right any more.
const LEFT_OUT: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "content-encoding", "trailer"];
/// Headers that curl adds where they are not forbidden.
const ADDED: [&str; 4] = ["accept", "user-agent", "content-type", "expect"];
/// What stands where the host is not known.
const NO_HOST: &str = "HOST";

impl Sample {
    /// The request as a command for a POSIX shell, with comments.
    #[must_use]
    pub fn curl(&self) -> String {
        let command = Command::of(&self.request);
        let mut text: String = command.comments.iter().map(|line| format!("# {line}\n")).collect();
        text.push_str("curl");
        for option in &command.options {
            let words: Vec<String> = option.iter().map(|word| quoted(word)).collect();
            text.push_str(&format!(" {} \\\n ", words.join(" ")));
        }
        text.push_str(&format!(" {}\n", quoted(&command.url)));
        text
    }
}

struct Command {
    comments: Vec<String>,
    /// Each with its value.
    options: Vec<Vec<String>>,
    url: String,
}

impl Command {
    fn of(request: &ShownRequest) -> Self {
        let mut command = Self { comments: Vec::new(), options: Vec::new(), url: String::new() };
        command.options.push(vec!["--globoff".to_owned(), "--path-as-is".to_owned()]);
        let body = command.body(request);
        if request.method == "HEAD" {
            command.option("--head", None);
        } else {
            command.option("--request", Some(one_line(&request.method)));
        }
        command.address(request);
        command.headers(request, body.is_some());
        command.options.extend(body.map(|body| vec!["--data-raw".to_owned(), body]));
        let texts = command.options.iter().flatten().chain([&command.url]);
        if texts.into_iter().any(|text| text.contains("[hidden")) {
            let hidden = "What stands as [hidden ...] was not kept: put in your own.";
            command.comments.insert(0, hidden.to_owned());
        }
        command
    }

    fn option(&mut self, name: &str, value: Option<String>) {
        self.options.push(std::iter::once(name.to_owned()).chain(value).collect());
    }

    /// What is sent as the body, if anything.
    fn body(&mut self, request: &ShownRequest) -> Option<String> {
        let body = &request.body;
        if !body.note.is_empty() && body.note != "none" {
            self.comments.push(format!("The body: {}.", one_line(&body.note)));
        }
        if body.lines.is_empty() {
            return None;
        }
        if request.method == "HEAD" {
            self.comments.push("The body is left out: curl sends none with HEAD.".to_owned());
            return None;
        }
        let form = header(request, "content-type").is_some_and(|media| {
            media.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
        });
        let json = body.lines.first().is_some_and(|line| line.starts_with(['{', '[']));
        let lines: Vec<String> = body.lines.iter().map(|line| one_line(line)).collect();
        Some(lines.join(if form && !json { "&" } else { "\n" }))
    }

    fn address(&mut self, request: &ShownRequest) {
        let is_host = |host: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            !host.is_empty() && host.bytes().all(plain)
        };
        let given = header(request, "host");
        let host = given.filter(is_host);
        // Blanks are only in what stands for something hidden.
        let target = one_line(&request.url).replace(' ', "%20");
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte);
        if target.starts_with('/') && target.bytes().all(plain) {
            self.url = format!("http://{}{target}", host.unwrap_or(NO_HOST));
        } else {
            self.url = format!("http://{}/", host.unwrap_or(NO_HOST));
            self.option("--request-target", Some(target));
        }
        match (host, given) {
            (Some(_), _) => {}
            (None, Some(given)) => {
                self.comments.push(format!("Put a host for {NO_HOST}."));
                self.option("--header", Some(format!("host: {}", one_line(given))));
            }
            (None, None) => self.comments.push(format!("Put a host for {NO_HOST}: none was sent.")),
        }
    }

    fn headers(&mut self, request: &ShownRequest, has_body: bool) {
        let is_token = |name: &str| {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !name.is_empty() && name.bytes().all(token)
        };
        let mut unknown = false;
        for (name, value) in &request.headers {
            if LEFT_OUT.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                continue;
            }
            if !is_token(name) {
                unknown = true;
                continue;
            }
            // For curl a colon at the end takes a header away.
            let value = one_line(value);
            let header = if value.trim().is_empty() {
                format!("{name};")
            } else {
                format!("{name}: {value}")
            };
            self.option("--header", Some(header));
        }
        if unknown {
            self.comments.push("Not all headers are here.".to_owned());
        }
        if header(request, "content-encoding").is_some() && has_body {
            self.comments.push("The body was compressed; here it is not.".to_owned());
        }
        for name in ADDED {
            let of_body = matches!(name, "content-type" | "expect");
            if header(request, name).is_none() && (has_body || !of_body) {
                self.option("--header", Some(format!("{name}:")));
            }
        }
    }
}

fn header<'r>(request: &'r ShownRequest, name: &str) -> Option<&'r str> {
    let found = request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// Without what would do something to a terminal.
fn one_line(text: &str) -> String {
    visible(text.as_bytes(), usize::MAX)
}

/// A word as a POSIX shell reads it, whatever is in it: nothing means anything inside apostrophes but an
/// apostrophe.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
