//! Does one step of the data path so many times, for `scripts/instructions.sh`: `step NAME COUNT`.
//! Without arguments, names the steps.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut steps = bench::micro::steps();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = arguments.as_slice() else {
        for step in steps {
            println!("{}", step.name);
        }
        return ExitCode::SUCCESS;
    };
    let step = steps.iter_mut().find(|step| step.name == name);
    match (step, count.parse::<u64>()) {
        (Some(step), Ok(count)) => {
            for _ in 0..count {
                step.run();
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: step NAME COUNT");
            ExitCode::from(64)
        }
    }
}
