//! Form data (`application/x-www-form-urlencoded`) as JSON: an object of strings, in which a field
//! that comes several times stands several times.

use crate::json;

pub(crate) fn to_json(form: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(form.len() * 2);
    output.push(b'{');
    let fields = form.split(|&byte| byte == b'&').filter(|field| !field.is_empty());
    for (position, field) in fields.enumerate() {
        if position > 0 {
            output.push(b',');
        }
        let end = field.iter().position(|&byte| byte == b'=').unwrap_or(field.len());
        let (name, value) = field.split_at_checked(end).unwrap_or((field, b""));
        json::quote(&decoded(name), &mut output);
        output.push(b':');
        json::quote(&decoded(value.get(1..).unwrap_or_default()), &mut output);
    }
    output.push(b'}');
    output
}

/// A text without its percent-encoding; what is none stays.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        rest = after;
        match (byte, digit(0), digit(1)) {
            (b'+', ..) => output.push(b' '),
            (b'%', Some(high), Some(low)) => {
                output.extend(u8::try_from(high << 4 | low));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => output.push(byte),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_members() {
        for (form, json) in [
            ("", "{}"),
            ("a=1&b=x+y%20z&&c", r#"{"a":"1","b":"x y z","c":""}"#),
            ("a=1&a=2", r#"{"a":"1","a":"2"}"#),
            ("%61=%3d%zz%2&b=a=b", r#"{"a":"=%zz%2","b":"a=b"}"#),
            ("q=%22%0a", r#"{"q":"\"\n"}"#),
        ] {
            assert_eq!(to_json(form.as_bytes()), json.as_bytes(), "{form}");
        }
    }
}
