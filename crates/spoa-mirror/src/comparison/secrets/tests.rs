use super::*;

fn hidden(text: &str) -> String {
    let secrets = Secrets::new(&["iban-of".to_owned()]);
    let mut output = String::new();
    let mut at = 0;
    for range in secrets.find(text.as_bytes()) {
        output.push_str(&text[at..range.start]);
        output.push('#');
        at = range.end;
    }
    output + &text[at..]
}

#[test]
fn what_stands_behind_the_name_of_a_secret_is_found() {
    for (text, shown) in [
        (r#"{"password":"a\"b","n":1}"#, r##"{"password":"#","n":1}"##),
        (r#"{"user":{"Pass_Word" : 'x y'}}"#, r##"{"user":{"Pass_Word" : '#'}}"##),
        (r#"{"password": "it breaks off"#, r##"{"password": "#"##),
        (r#"{"pin":1234,"a":[5]}"#, r##"{"pin":#,"a":[5]}"##),
        (r#"{"credentials":{"a":"}","b":["x"]},"c":2}"#, r##"{"credentials":#,"c":2}"##),
        (r#""{\"password\":\"a\\\"b\",\"c\":1}""#, r##""{\"password\":\"#\",\"c\":1}""##),
        ("token=abc&a=b", "token=#&a=b"),
        ("a: token=abc; b", "a: token=#; b"),
        ("user[password]=x&a.pin=y", "user[password]=#&a.pin=#"),
        ("%70assword=x", "%70assword=#"),
        ("let apiKey = `abc`, b = 1;", "let apiKey = `#`, b = 1;"),
        ("$a['password'] => \"x\"", "$a['password'] => \"#\""),
        ("--password=hunter2 -v", "--password=# -v"),
        ("password: a\nnext: b", "password: #\nnext: b"),
        ("Cookie: a=1; b=2\r\nHost: x", "Cookie: #\r\nHost: x"),
        ("iban_of: x", "iban_of: #"),
        ("passwords=x the password is y", "passwords=x the password is y"),
        ("password=", "password="),
    ] {
        assert_eq!(hidden(text), shown, "{text}");
    }
}

#[test]
fn elements_and_attributes_are_members() {
    for (text, shown) in [
        ("<password>x y</password>", "<password>#</password>"),
        ("<a:Password type='x'>x</a:Password>", "<a:Password type='x'>#</a:Password>"),
        ("<user password=\"x\" n='1'/>", "<user password=\"#\" n='1'/>"),
        (
            "<input name=csrf_token type=hidden value=\"x\">",
            "<input name=csrf_token type=hidden value=\"#\">",
        ),
        ("<meta content='x' name='csrf-token'>", "<meta content='#' name='csrf-token'>"),
        ("<entry key='password'>x</entry>", "<entry key='password'>#</entry>"),
        ("<Token><b>x</b></token>y", "<Token>#</token>y"),
        ("<token><b>x</b>", "<token>#"),
        ("<password/>x", "<password/>x"),
        ("<p>token</p>", "<p>token</p>"),
    ] {
        assert_eq!(hidden(text), shown, "{text}");
    }
}

#[test]
fn what_looks_like_a_secret_is_found_anywhere() {
    for (text, shown) in [
        ("with Bearer abcdefgh12345678.", "with Bearer #"),
        ("basic dXNlcjpwYXNzd29yZA== end", "basic # end"),
        ("basic authentication", "basic authentication"),
        ("see https://me:pw@example.net/x", "see https://#@example.net/x"),
        ("https://example.net/a@b", "https://example.net/a@b"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl y", "x # y"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n#\nb"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "#"),
        ("-----BEGIN CERTIFICATE-----\nMIIE", "-----BEGIN CERTIFICATE-----\nMIIE"),
        ("card 4111 1111 1111 1111, 12", "card #, 12"),
        ("card 12 4111-1111-1111-1111", "card 12 #"),
        ("card 4111111111111112", "card 4111111111111112"),
        ("hash a4111111111111111", "hash a4111111111111111"),
        ("number 0.4111111111111111", "number 0.4111111111111111"),
        ("number 4111111111111111.", "number #."),
        ("AKIAIOSFODNN7EXAMPLE", "#"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "#"),
        ("xoxb-1234567890-abcdef", "#"),
        ("BACKIAIOSFODNN7EXAMPLE", "BACKIAIOSFODNN7EXAMPLE"),
    ] {
        assert_eq!(hidden(text), shown, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_found_is_in_order_and_inside(text in "(<|>|=|:|\"|'|\\\\|\\{|\\[|\\]|\\}| |\n|token|password|name|value|4111111111111111|Basic |://|@|a){0,40}") {
        let found = Secrets::new(&[]).find(text.as_bytes());
        let mut end = 0;
        for range in found {
            proptest::prop_assert!(range.start >= end && range.start < range.end && range.end <= text.len());
            end = range.end;
        }
    }
}
