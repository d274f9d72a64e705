//! docs/COMPARISON.md tells of every built-in rule what the program says of it.

use shadow_diff::natural_rules;

const DOCUMENT: &str = include_str!("../../../docs/COMPARISON.md");

#[test]
fn every_built_in_rule_is_documented_and_no_other() {
    let (_, table) = DOCUMENT.split_once("<!-- natural rules -->").unwrap();
    let rows = table.trim_start().lines().skip(2).take_while(|line| line.starts_with('|'));
    let documented: Vec<_> = rows
        .map(|row| {
            let (name, about) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
            (name.trim_matches('`'), about)
        })
        .collect();
    let known: Vec<_> = natural_rules().iter().map(|rule| (rule.name, rule.about)).collect();
    assert_eq!(documented, known);
}
