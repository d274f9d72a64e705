//! How copies differ from requests: `host`, `path`, `query`, `headers`, `json`, `authorization`,
//! `cookies`, `redact`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::de::DeValue;

use super::rules::{only_one, regex};
use super::walk::{Place, Reader, Section, Value};
use crate::config::{
    Authorization, Cookies, HostRewrite, JsonPath, Marker, PathStep, Piece, Redact, RedactPlace,
    RedactRule, RedactWith, Rewrite, Secret, Template,
};
use crate::policy::redact::{DEFAULT_HEADERS, check_key, check_rule, default_rules};
use crate::policy::rewrite::{
    check_header_name, check_header_value, check_json_value, check_path_prefix, check_path_text,
};

/// Reads everything but `redact`.
pub(super) fn read(target: &mut Section<'_, '_, '_>, marker: &Marker) -> Rewrite {
    let mut rewrite = Rewrite {
        host: host(target),
        path: path(target),
        authorization: authorization(target),
        cookies: cookies(target),
        ..Rewrite::default()
    };
    query(target, &mut rewrite);
    headers(target, &mut rewrite, marker);
    json(target, &mut rewrite);
    rewrite
}

fn host(target: &mut Section<'_, '_, '_>) -> HostRewrite {
    let parse = |text: &str| match text {
        "original" => Ok(HostRewrite::Original),
        "target" => Ok(HostRewrite::Target),
        "" => Err("the host is empty".to_owned()),
        name if name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/?#@\"<>\\".contains(&byte)) =>
        {
            Ok(HostRewrite::Literal(name.to_owned()))
        }
        _ => Err("this is neither `original` nor `target` nor a host name".to_owned()),
    };
    target.parsed("host", "a host", "\"target\"", parse).unwrap_or_default()
}

fn path(target: &mut Section<'_, '_, '_>) -> Vec<PathStep> {
    let reader = target.reader;
    if reader.is_cataloguing() {
        path_step(&mut Section::nothing(reader, "target.path"));
    }
    let mut steps = Vec::new();
    for value in target.list("path").unwrap_or_default() {
        match Section::of(reader, &value, "target.path") {
            Some(mut step) => steps.extend(path_step(&mut step)),
            None => reader.wrong_type(&value, "a step", "path = [{ strip-prefix = \"/api\" }]"),
        }
    }
    steps
}

fn path_step(step: &mut Section<'_, '_, '_>) -> Option<PathStep> {
    let reader = step.reader;
    let prefix = |text: &str| check_path_prefix(text).map(|()| text.to_owned());
    let strip = step.parsed("strip-prefix", "a path", "\"/api\"", prefix);
    let add = step.parsed("add-prefix", "a path", "\"/v2\"", prefix);
    let pattern = step.parsed("regex", "a regular expression", "\"^/users/([0-9]+)\"", |text| {
        regex(reader, text)
    });
    let with = step.parsed("replace", "a text", "\"/people/$1\"", |text| {
        check_path_text(text).map(|()| text.to_owned())
    });
    only_one(step, &["strip-prefix", "add-prefix", "regex"]);
    match (step.place_of("regex"), step.place_of("replace")) {
        (Some(place), None) => reader.clash(&place, "a `regex` without `replace`", None),
        (None, Some(place)) => reader.clash(&place, "a `replace` without `regex`", None),
        _ => {}
    }
    let replace = || Some(PathStep::Replace { regex: pattern?, with: with? });
    strip.map(PathStep::StripPrefix).or(add.map(PathStep::AddPrefix)).or_else(replace)
}

fn query(target: &mut Section<'_, '_, '_>, rewrite: &mut Rewrite) {
    let mut section = target.section("query", "{ remove = [\"debug\"] }");
    let reader = section.reader;
    let set = section.names("set", "{ name = \"value\" }", str::to_owned);
    for (name, value) in &set {
        let template = reader.parsed(value, "a text", "set = { env = \"test\" }", Template::parse);
        rewrite.query_set.extend(template.map(|template| (name.clone(), template)));
    }
    for (name, value) in names(&mut section, "remove", "\"debug\"") {
        pointless(reader, &value.place, &set, &name);
        rewrite.query_remove.push(name);
    }
}

fn headers(target: &mut Section<'_, '_, '_>, rewrite: &mut Rewrite, marker: &Marker) {
    let host = target.place_of("host");
    let authorization = target.place_of("authorization");
    let cookies = target.place_of("cookies");
    let mut section = target.section("headers", "{ remove = [\"x-internal\"] }");
    let reader = section.reader;
    let marker = marker.name.as_deref();
    // What cannot be a rule's header, and what another key is for.
    let allowed = |name: &str, place: &Place| {
        let other = match name {
            "host" => host.as_ref().map(|place| ("host", place)),
            "authorization" => authorization.as_ref().map(|place| ("authorization", place)),
            "cookie" => cookies.as_ref().map(|place| ("cookies", place)),
            _ => None,
        };
        if let Some((key, other)) = other {
            let message = format!("`{key}` says already what becomes of this header");
            reader.clash(place, message, Some((other, "given here")));
            return false;
        }
        let checked = check_header_name(name, marker);
        if let Err(message) = &checked {
            reader.error(place, message.as_str(), None);
        }
        checked.is_ok()
    };
    let mut templates = |key: &'static str| {
        let read = section.names(key, "{ x-env = \"test\" }", |name| name.to_ascii_lowercase());
        let mut templates = Vec::new();
        for (name, value) in &read {
            // What is a secret in a request is one in a rule too.
            if DEFAULT_HEADERS.contains(&name.as_str()) {
                reader.hide(&value.place.span);
            }
            if allowed(name, &value.place) {
                let example = format!("{key} = {{ {name} = \"text\" }}");
                let template = reader.parsed(value, "a text", &example, header_template);
                templates.extend(template.map(|template| (name.clone(), template)));
            }
        }
        (read, templates)
    };
    let (set, templates_set) = templates("set");
    let (added, templates_added) = templates("add");
    rewrite.headers_set = templates_set;
    rewrite.headers_add = templates_added;
    for (name, value) in &added {
        if let Some((_, first)) = set.iter().find(|(known, _)| known == name) {
            let message = format!("`{name}` is set and added");
            reader.warn(&value.place, message, Some(format!("{} sets it", first.place.path)));
        }
    }
    for (name, value) in names(&mut section, "remove", "\"x-internal\"") {
        let name = name.to_ascii_lowercase();
        if allowed(&name, &value.place) {
            pointless(reader, &value.place, &set, &name);
            rewrite.headers_remove.push(name);
        }
    }
    for (from, value) in section
        .names("rename", "{ x-user = \"x-original-user\" }", |name| name.to_ascii_lowercase())
    {
        let example = format!("rename = {{ {from} = \"x-original-{from}\" }}");
        let Some(to) = reader.text(&value, "a header name", &example) else { continue };
        if allowed(&from, &value.place) && allowed(&to, &value.place) {
            rewrite.headers_rename.push((from, to));
        }
    }
}

fn header_template(text: &str) -> Result<Template, String> {
    let template = Template::parse(text)?;
    for piece in &template.pieces {
        if let Piece::Text(text) = piece {
            check_header_value(text)?;
        }
    }
    Ok(template)
}

/// Names in a list.
fn names<'a>(
    section: &mut Section<'_, '_, 'a>,
    key: &'static str,
    example: &str,
) -> Vec<(String, Value<'a>)> {
    let parse = |text: &str| match text {
        "" => Err("the name is empty".to_owned()),
        name => Ok(name.to_owned()),
    };
    section.texts(key, "a name", example, parse).unwrap_or_default()
}

/// What is set need not be removed.
fn pointless(reader: &Reader<'_>, place: &Place, set: &[(String, Value<'_>)], name: &str) {
    if set.iter().any(|(known, _)| known == name) {
        let message = format!("`{name}` is set as well, which replaces it: this has no effect");
        reader.warn(place, message, None);
    }
}

fn json(target: &mut Section<'_, '_, '_>, rewrite: &mut Rewrite) {
    let max_body = target.place_of("max-body");
    let mut section = target.section("json", "{ remove = [\"$.user.email\"] }");
    let reader = section.reader;
    for (place, value) in section.names("set", "{ \"$.env\" = \"test\" }", str::to_owned) {
        match JsonPath::parse(&place) {
            Ok(path) => {
                rewrite.json_set.extend(json_value(reader, &value).map(|text| (path, text)));
            }
            Err(message) => {
                let place = Place { span: value.key.clone(), path: value.place.path.clone() };
                reader.error(&place, message, None);
            }
        }
    }
    let remove = section.texts("remove", "a place in JSON", "\"$.user.email\"", JsonPath::parse);
    rewrite.json_remove = remove.into_iter().flatten().map(|(path, _)| path).collect();
    drop(section);
    if let (Some(place), false) =
        (max_body, rewrite.json_set.is_empty() && rewrite.json_remove.is_empty())
    {
        let zero = target.get("max-body").and_then(|value| value.node.as_str().map(zero_size));
        if zero == Some(true) {
            let message = "without bodies there is nothing for `json` to change";
            reader.warn(&place, message, None);
        }
    }
}

fn zero_size(text: &str) -> bool {
    crate::config::parse_size(text) == Ok(0)
}

/// A value of the file as JSON text; `{ json = "null" }` for what TOML cannot say.
fn json_value(reader: &Reader<'_>, value: &Value<'_>) -> Option<String> {
    if let DeValue::Table(table) = value.node {
        if let (1, Some(DeValue::String(text))) =
            (table.len(), table.get("json").map(|v| v.get_ref()))
        {
            let text = reader.expand(value, text)?.text;
            return match check_json_value(&text) {
                Ok(()) => Some(text),
                Err(message) => {
                    reader.error(&value.place, message, None);
                    None
                }
            };
        }
    }
    to_json(reader, value, value.node).map(|json| json.to_string())
}

fn to_json(
    reader: &Reader<'_>,
    value: &Value<'_>,
    node: &DeValue<'_>,
) -> Option<serde_json::Value> {
    Some(match node {
        DeValue::String(text) => reader.expand(value, text)?.text.into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => {
                reader.error(&value.place, "the number is too large", None);
                return None;
            }
        },
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            if number.is_none() {
                reader.error(&value.place, "JSON has no such number", None);
            }
            number?.into()
        }
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(list) => {
            let elements: Option<Vec<_>> =
                list.iter().map(|element| to_json(reader, value, element.get_ref())).collect();
            elements?.into()
        }
        DeValue::Table(table) => {
            let members: Option<serde_json::Map<_, _>> = table
                .iter()
                .map(|(name, node)| {
                    Some((name.get_ref().to_string(), to_json(reader, value, node.get_ref())?))
                })
                .collect();
            members?.into()
        }
    })
}

fn authorization(target: &mut Section<'_, '_, '_>) -> Authorization {
    let reader = target.reader;
    let (plain, section) = target.shape("authorization");
    if let Some(plain) = plain {
        if let Some(section) = section {
            section.leave();
        }
        // Whoever writes the header itself here shall not see it in an error.
        if plain.node.as_str().is_none_or(|text| !matches!(text, "keep" | "remove")) {
            reader.hide(&plain.place.span);
            let message = "expected \"keep\", \"remove\" or a table";
            let help = "write it like authorization = { bearer = \"file:/etc/spoa-mirror/token\" }";
            reader.error(&plain.place, message, Some(help.to_owned()));
        }
        return match plain.node.as_str() {
            Some("remove") => Authorization::Remove,
            _ => Authorization::Keep,
        };
    }
    let Some(section) = section else { return Authorization::Keep };
    let mut section = section.top().with_secrets();
    let mut secret = |key: &'static str| {
        let value = section.get(key)?;
        let secret = reader.secret(&value)?;
        let fits =
            |byte: u8| byte.is_ascii_graphic() || (key == "basic" && byte != 0x7f && byte >= b' ');
        if !secret.reveal().bytes().all(fits) {
            let message = "the secret holds what no Authorization header can";
            reader.error(&value.place, message, None);
            return None;
        }
        if key == "basic" && !secret.reveal().contains(':') {
            let message = "expected a user name, a colon and a password";
            reader.error(&value.place, message, None);
            return None;
        }
        Some(secret)
    };
    let bearer = secret("bearer").map(|token| format!("Bearer {}", token.reveal()));
    let basic = secret("basic").map(|pair| format!("Basic {}", STANDARD.encode(pair.reveal())));
    only_one(&section, &["bearer", "basic"]);
    match bearer.or(basic) {
        Some(header) => Authorization::Set(Secret::new(header)),
        None => Authorization::Keep,
    }
}

fn cookies(target: &mut Section<'_, '_, '_>) -> Cookies {
    let reader = target.reader;
    let (plain, section) = target.shape("cookies");
    if let Some(plain) = plain {
        if let Some(section) = section {
            section.leave();
        }
        if !matches!(plain.node, DeValue::String(_)) {
            let what = "\"keep\", \"remove\" or a table";
            reader.wrong_type(&plain, what, "cookies = { remove = [\"session\"] }");
            return Cookies::Keep;
        }
        let remove = reader.word(&plain, &[("keep", false), ("remove", true)]);
        return if remove == Some(true) { Cookies::Remove } else { Cookies::Keep };
    }
    let Some(section) = section else { return Cookies::Keep };
    let mut section = section.top();
    let mut list = |key: &'static str| {
        let names = names(&mut section, key, "\"session\"");
        names.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let (remove, keep) = (list("remove"), list("keep"));
    only_one(&section, &["remove", "keep"]);
    if section.place_of("keep").is_some() {
        Cookies::KeepNamed(keep)
    } else if remove.is_empty() {
        Cookies::Keep
    } else {
        Cookies::RemoveNamed(remove)
    }
}

/// Reads `redact`.
pub(super) fn read_redact(target: &mut Section<'_, '_, '_>, marker: &Marker) -> Redact {
    let reader = target.reader;
    let (plain, section) = target.shape("redact");
    if let Some(plain) = plain {
        if let Some(section) = section {
            section.leave();
        }
        if !matches!(plain.node, DeValue::String(_)) {
            let what = "\"default\", \"none\" or a table";
            reader.wrong_type(&plain, what, "redact = \"default\"");
            return Redact::default();
        }
        let default = reader.word(&plain, &[("default", true), ("none", false)]) == Some(true);
        return Redact { rules: if default { default_rules() } else { Vec::new() }, key: None };
    }
    let Some(section) = section else { return Redact::default() };
    let mut section = section.with_secrets();
    let default = section.flag("default").unwrap_or(false);
    let key = section.get("key").and_then(|value| {
        let key = reader.secret(&value)?;
        match check_key(key.reveal()) {
            Ok(()) => Some(key),
            Err(message) => {
                let help = "`openssl rand -base64 32` makes one".to_owned();
                reader.error(&value.place, message, Some(help));
                None
            }
        }
    });
    if reader.is_cataloguing() {
        redact_rule(&mut Section::nothing(reader, "target.redact.rules"), marker);
    }
    let mut rules: Vec<RedactRule> = Vec::new();
    for value in section.list("rules").unwrap_or_default() {
        let Some(mut table) = Section::of(reader, &value, "target.redact.rules") else {
            let example = "rules = [{ header = \"x-user\", with = \"token\" }]";
            reader.wrong_type(&value, "a rule", example);
            continue;
        };
        let Some(rule) = redact_rule(&mut table, marker) else { continue };
        if rule.with == RedactWith::Token && section.place_of("key").is_none() {
            let place = table.place_of("with").unwrap_or_else(|| table.place());
            let message =
                "a token needs `redact.key`, so that nobody can find out what it stands for";
            reader.clash(&place, message, None);
        }
        if rules.iter().any(|known| known.place == rule.place) {
            let message = "an earlier rule is about the same place, and counts";
            reader.warn(&table.place(), message, None);
            continue;
        }
        rules.push(rule);
    }
    if let Some(place) = section.place_of("key") {
        if !rules.iter().any(|rule| rule.with == RedactWith::Token) {
            reader.warn(&place, "no rule makes tokens: the key has no use", None);
        }
    }
    if section.is_there() && !default && rules.is_empty() && section.place_of("rules").is_none() {
        let help = "write redact = \"default\", or rules".to_owned();
        reader.warn(&section.place(), "this hides nothing", Some(help));
    }
    // Of two rules for a place the first one counts: the user's own.
    if default {
        rules.extend(default_rules());
    }
    Redact { rules, key }
}

fn redact_rule(section: &mut Section<'_, '_, '_>, marker: &Marker) -> Option<RedactRule> {
    let reader = section.reader;
    let name = |text: &str| Ok(text.to_owned());
    let header = section.parsed("header", "a header name", "\"x-user\"", |text| {
        Ok(RedactPlace::Header(text.to_ascii_lowercase()))
    });
    let cookie = section.parsed("cookie", "a cookie's name", "\"session\"", name);
    let query = section.parsed("query", "a parameter's name", "\"email\"", name);
    let field = section.parsed("field", "a field's name", "\"password\"", name);
    let json = section.parsed("json", "a place in JSON", "\"$.user.email\"", JsonPath::parse);
    let with = section.parsed("with", "how to hide it", "\"remove\"", |text| match text {
        "remove" => Ok(RedactWith::Remove),
        "token" => Ok(RedactWith::Token),
        text => match text.strip_prefix("text:") {
            Some(text) => Ok(RedactWith::Text(text.to_owned())),
            None => Err("expected \"remove\", \"token\" or \"text:...\"".to_owned()),
        },
    });
    only_one(section, &["header", "cookie", "query", "json", "field"]);
    if section.place_of("with").is_none() && !reader.is_cataloguing() {
        let help = "write with = \"remove\", with = \"token\" or with = \"text:...\"".to_owned();
        reader.error(&section.place(), "`with` is missing", Some(help));
    }
    let place = header
        .or(cookie.map(RedactPlace::Cookie))
        .or(query.map(RedactPlace::Query))
        .or(json.map(RedactPlace::Json))
        .or(field.map(RedactPlace::Field))?;
    let rule = RedactRule { place, with: with? };
    if let Err(message) = check_rule(&rule, marker.name.as_deref()) {
        reader.error(&section.place(), message, None);
        return None;
    }
    Some(rule)
}
