//! `spoa-mirror generate`: man pages and shell completions, from the command line's own description.
//!
//! The packages are built with it. The text of the pages is the text of `--help`, set as man pages
//! are: a reader finds the sections where every other page has them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgAction, Args, Command, CommandFactory as _, Subcommand};
use clap_complete::Shell;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::Cli;
use crate::date;

/// What to generate.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write spoa-mirror's man page to standard output, or all man pages to a directory
    Man {
        /// Write a page for the program and one for each command into this directory, which is made
        /// if it is missing
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Write a script to standard output that completes commands and flags in a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

/// Generates it; the exit code tells whether it could be written.
pub(crate) fn main(arguments: &GenerateArgs) -> ExitCode {
    let generated = match &arguments.what {
        What::Man { output: Some(directory) } => write_pages(directory),
        What::Man { output: None } => {
            print(pages().first().map_or("", |page| &page.text));
            Ok(())
        }
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), PROGRAM, &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(())
        }
    };
    match generated {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(crate::EXIT_FAILURE)
        }
    }
}

const PROGRAM: &str = "spoa-mirror";

/// Where the packages put things.
const FILES: &[(&str, &str)] = &[
    ("/etc/spoa-mirror/spoa-mirror.toml", "What the service spoa-mirror.service is to do."),
    ("/var/log/spoa-mirror/", "The only directory where the service can write log files."),
    ("/run/spoa-mirror/", "The only directory where the service can make unix sockets."),
    ("/usr/share/doc/spoa-mirror/examples/", "Configurations for HAProxy and for the agent."),
];

fn print(text: &str) {
    // A reader that closed the pipe has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn write_pages(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory)
        .map_err(|error| format!("cannot make the directory {}: {error}", directory.display()))?;
    for page in pages() {
        let path = directory.join(format!("{}.1", page.name));
        fs::write(&path, page.text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

struct Page {
    name: String,
    text: String,
}

/// The program's page, then one for each command.
fn pages() -> Vec<Page> {
    let mut program = Cli::command();
    program.build();
    let commands: Vec<_> = visible(&program).collect();
    let names: Vec<_> =
        commands.iter().map(|command| format!("{PROGRAM}-{}", command.get_name())).collect();
    let mut pages = vec![Page { name: PROGRAM.to_owned(), text: page(&program, PROGRAM, &names) }];
    for (command, name) in commands.iter().zip(&names) {
        let text = page(command, name, &[PROGRAM.to_owned()]);
        pages.push(Page { name: name.clone(), text });
    }
    pages
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn page(command: &Command, name: &str, related: &[String]) -> String {
    let mut roff = Roff::new();
    let source = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
    let title = name.to_uppercase();
    roff.control("TH", [title.as_str(), "1", &date(), &source, "User Commands"]);

    // A command that is cut with a hyphen cannot be copied.
    roff.control("nh", []);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {}", lower_first(&about(command))))]);

    roff.control("SH", ["SYNOPSIS"]);
    synopsis(&mut roff, command, &spoken(name));

    roff.control("SH", ["DESCRIPTION"]);
    let description = command.get_long_about().or(command.get_about());
    paragraphs(&mut roff, &description.map(ToString::to_string).unwrap_or_default());

    let options = arguments(command).count();
    if options > 0 {
        roff.control("SH", ["OPTIONS"]);
        options_by_heading(&mut roff, command);
    }
    if visible(command).next().is_some() {
        roff.control("SH", ["COMMANDS"]);
        for sub in visible(command) {
            if name == PROGRAM {
                roff.control("TP", []);
                roff.text([bold(format!("{name}-{}", sub.get_name())), roman("(1)")]);
                roff.text(rich(&about(sub)));
            } else {
                roff.control("SS", [sub.get_name()]);
                synopsis(&mut roff, sub, &format!("{} {}", spoken(name), sub.get_name()));
                roff.control("PP", []);
                roff.text(rich(&sentence(&about(sub))));
                options_by_heading(&mut roff, sub);
            }
        }
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    closing_sections(&mut roff, &after.map(ToString::to_string).unwrap_or_default());

    if name == PROGRAM {
        roff.control("SH", ["FILES"]);
        for (file, what) in FILES {
            roff.control("TP", []);
            roff.text([italic(*file)]);
            roff.text([roman(*what)]);
        }
    }

    roff.control("SH", ["SEE ALSO"]);
    let mut see = Vec::new();
    for page in related.iter().map(String::as_str).chain(["haproxy"]) {
        if !see.is_empty() {
            see.push(roman(", "));
        }
        see.extend([bold(page), roman("(1)")]);
    }
    roff.text(see);
    roff.render()
}

/// How the command with this page is typed.
fn spoken(page: &str) -> String {
    match page.strip_prefix(PROGRAM).and_then(|rest| rest.strip_prefix('-')) {
        Some(command) => format!("{PROGRAM} {command}"),
        None => page.to_owned(),
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn lower_first(text: &str) -> String {
    let mut rest = text.trim_end_matches('.').chars();
    rest.next().map(|first| first.to_lowercase().chain(rest).collect()).unwrap_or_default()
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn synopsis(roff: &mut Roff, command: &Command, spoken: &str) {
    let flags = arguments(command).any(|argument| !argument.is_positional());
    let mut line = vec![bold(spoken)];
    if flags {
        line.extend([roman(" ["), italic("OPTION"), roman("]...")]);
    }
    for positional in arguments(command).filter(|argument| argument.is_positional()) {
        line.push(roman(" "));
        line.push(italic(value_name(positional)));
    }
    if command.is_subcommand_required_set() {
        line.extend([roman(" "), italic("COMMAND")]);
    }
    roff.text(line);
    if command.has_subcommands() && !command.is_subcommand_required_set() {
        roff.control("br", []);
        roff.text([
            bold(spoken),
            roman(" "),
            italic("COMMAND"),
            roman(" ["),
            italic("ARGUMENT"),
            roman("]..."),
        ]);
    }
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_hide_set())
}

fn options_by_heading(roff: &mut Roff, command: &Command) {
    let mut headings: Vec<Option<&str>> = Vec::new();
    for argument in arguments(command) {
        if !headings.contains(&argument.get_help_heading()) {
            headings.push(argument.get_help_heading());
        }
    }
    // Those without a heading (--help, --version) come last, as a group of their own.
    headings.sort_by_key(Option::is_none);
    let grouped = headings.len() > 1;
    for heading in headings {
        if grouped {
            roff.control("SS", [heading.unwrap_or("General")]);
        }
        for argument in arguments(command).filter(|a| a.get_help_heading() == heading) {
            option(roff, argument);
        }
    }
}

fn option(roff: &mut Roff, argument: &Arg) {
    roff.control("TP", []);
    let mut header = Vec::new();
    if let Some(short) = argument.get_short() {
        header.push(bold(format!("-{short}")));
    }
    if let Some(long) = argument.get_long() {
        if !header.is_empty() {
            header.push(roman(", "));
        }
        header.push(bold(format!("--{long}")));
    }
    let takes_value = argument.get_num_args().is_some_and(|range| range.takes_values());
    if takes_value {
        if !header.is_empty() {
            header.push(roman(" "));
        }
        header.push(italic(value_name(argument)));
    }
    roff.text(header);
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
    let mut text = match argument.get_action() {
        // clap's own text speaks of a difference between --help and -h that man pages do not have.
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => "Show the help.".to_owned(),
        _ => sentence(&help.unwrap_or_default()),
    };
    if takes_value {
        let values = argument.get_possible_values();
        let shown: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
        if !shown.is_empty() && !argument.is_hide_possible_values_set() {
            let names: Vec<_> = shown.iter().map(|value| value.get_name()).collect();
            text.push_str(&format!(" One of: {}.", names.join(", ")));
        }
        let defaults: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            text.push_str(&format!(" Default: {}.", defaults.join(", ")));
        }
    }
    roff.text(rich(&text));
}

fn value_name(argument: &Arg) -> String {
    match argument.get_value_names() {
        Some(names) => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

/// The paragraphs after the options: those that begin with a title and a colon become sections.
fn closing_sections(roff: &mut Roff, text: &str) {
    let mut untitled = Vec::new();
    let mut titled = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        match titled_paragraph(paragraph) {
            Some((title, body)) => titled.push((title, body)),
            None => untitled.push(paragraph),
        }
    }
    if !untitled.is_empty() {
        roff.control("SH", ["NOTES"]);
        for (number, paragraph) in untitled.iter().enumerate() {
            if number > 0 {
                roff.control("PP", []);
            }
            lines(roff, paragraph);
        }
    }
    for (title, body) in titled {
        let title =
            if title == "Exit codes" { "EXIT STATUS".to_owned() } else { title.to_uppercase() };
        roff.control("SH", [title.as_str()]);
        lines(roff, body);
    }
}

/// `Title: text`, or a title alone on its line.
fn titled_paragraph(paragraph: &str) -> Option<(&str, &str)> {
    let (title, body) = paragraph.split_once(':')?;
    let words = title.split(' ').count();
    let is_title = words <= 2 && title.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    is_title.then_some((title, body))
}

/// Lines of `--help`: an indented line is a command, the more deeply indented one after it tells what
/// it does, and the others are text.
fn lines(roff: &mut Roff, text: &str) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        match indent {
            2..=4 => {
                roff.control("TP", []);
                roff.text([bold(line.trim())]);
            }
            _ => {
                roff.text(rich(line.trim()));
            }
        }
    }
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text(rich(&sentence(&paragraph.replace('\n', " "))));
    }
}

/// Sets what stands in backquotes, and flags, in bold.
fn rich(text: &str) -> Vec<Inline> {
    let mut inlines = Vec::new();
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            inlines.push(bold(part));
            continue;
        }
        for word in part.split_inclusive(' ') {
            let flag = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if flag.starts_with("--") {
                inlines.push(bold(flag));
                inlines.push(roman(&word[flag.len()..]));
            } else if let Some(Inline::Roman(before)) = inlines.last_mut() {
                before.push_str(word);
            } else {
                inlines.push(roman(word));
            }
        }
    }
    inlines
}

/// The day of the pages: that of `SOURCE_DATE_EPOCH`, which makes packages reproducible, or today.
fn date() -> String {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let seconds = given.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    });
    date::day(seconds)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_quoted_words_are_bold_and_the_rest_is_not() {
        assert_eq!(
            rich("give `auto`, or see --log-level."),
            [roman("give "), bold("auto"), roman(", or see "), bold("--log-level"), roman("."),]
        );
        assert_eq!(rich("--- -- -"), [roman("--- -- -")]);
    }

    #[test]
    fn every_command_has_a_page_and_stands_in_the_programs() {
        let pages = pages();
        assert_eq!(pages[0].name, PROGRAM);
        for sub in visible(&Cli::command()) {
            let name = format!("{PROGRAM}-{}", sub.get_name());
            assert!(pages.iter().any(|page| page.name == name), "{name}");
            let escaped = name.replace('-', "\\-");
            assert!(pages[0].text.contains(&escaped), "{name}");
        }
    }

    #[test]
    fn every_flag_stands_in_its_page() {
        let mut program = Cli::command();
        program.build();
        let page = &pages()[0].text;
        for argument in arguments(&program) {
            let long = argument.get_long().unwrap();
            let escaped = format!("\\fB\\-\\-{}\\fR", long.replace('-', "\\-"));
            assert!(page.contains(&escaped), "{long}");
        }
    }
}
