//! Files as a user writes them, and what is made of them.
#![allow(clippy::unwrap_used)]

use super::*;

fn read(text: &str) -> Result<(Config, Report), Report> {
    let environment = |name: &str| (name == "TOKEN").then(|| "s3cr3t-of-16-bytes".to_owned());
    parse(Path::new("/etc/spoa-mirror.toml"), text, &environment)
}

#[test]
fn an_empty_file_has_the_defaults() {
    let (config, warnings) = read("").unwrap();
    let expected = Config { file: config.file.clone(), ..Config::default() };
    assert_eq!(config, expected);
    assert_eq!(warnings.findings().len(), 1, "{warnings}");
}
