//! A long job that shows itself and ends at Ctrl-C with what it has done.
//!
//! `cargo run -p command-line --example long_job`

use std::process::ExitCode;
use std::time::Duration;

use command_line::{Progress, console, interrupt};

fn main() -> ExitCode {
    console::end_where_nothing_can_be_printed();
    console::start(false, 0);
    interrupt::listen();
    let total = 40;
    let mut bar = Progress::new("counting", 0, total);
    for done in 1..=total {
        std::thread::sleep(Duration::from_millis(10));
        bar.set(done);
        if interrupt::was_asked() {
            bar.finish();
            println!("interrupted at {done}");
            return ExitCode::from(interrupt::EXIT_CODE);
        }
    }
    bar.finish();
    println!("counted to {total}");
    ExitCode::SUCCESS
}
