//! `sra head2head`: chats with two models at a time, blind, and what people say of their answers.
//!
//! From the inside out: [`duel`] is a chat with two models, [`preferences`] keeps what was said of their answers, [`models`] asks
//! them; [`terminal`] and [`web`] are two ways to take part.

mod duel;
mod models;
mod preferences;
mod terminal;
mod web;

use command_line::{Delivery, Failure, Format, interrupt, output_place};
use std::process::ExitCode;

use self::duel::Beginning;
use self::models::Models;
use self::preferences::Preferences;
use crate::chat::state::Start;
use crate::judge_arguments::HeadToHead;

pub(crate) fn run(options: &HeadToHead, format: Format) -> Result<ExitCode, Failure> {
    let beginning = beginning(options)?;
    output_place::check_file(&options.out)?;
    let delivery = if options.web.is_some() { Delivery::Whole } else { Delivery::Streamed };
    let models = Models::load(options, delivery)?;
    let preferences = Preferences::open(&options.out, models.names())?;
    interrupt::listen();
    match options.web {
        Some(address) => web::run(options, address, beginning, models, preferences, format),
        None => terminal::run(beginning, models, preferences, format),
    }
}

/// How every chat begins.
fn beginning(options: &HeadToHead) -> Result<Beginning, Failure> {
    let (instruction, situation) = (options.instruction.as_deref(), options.situation.as_deref());
    let start = Start::read(&options.strategies, instruction, options.layout, situation, options.seed)?;
    Beginning::new(start, &options.strategy).map_err(Failure::Usage)
}
