//! Cuts a corpus into examples and shows the first ones.
//!
//! `cargo run -p esconv-data --example cut -- ESConv.json`; without an argument it takes the shipped dialogues.

use std::path::Path;

use esconv_data::{Statistics, cut, read_corpus};

fn main() -> Result<(), esconv_data::Error> {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/dialogues/dialogues.json");
    let path = std::env::args().nth(1).unwrap_or_else(|| shipped.into());
    let corpus = read_corpus(Path::new(&path))?;
    for conversation in corpus.conversations.iter().take(1) {
        println!("{}", conversation.situation);
        for example in cut(conversation, 1).iter().take(3) {
            println!("\nturn {}, after {} turns", example.turn, example.dialog_history.len());
            println!("  seeker:    {}", example.dialog_history.last().map_or("", |text| text.trim()));
            println!("  supporter: {} {:?}", example.response.trim(), example.strategy);
        }
    }
    println!("\n{}", Statistics::of_conversations(&corpus.conversations));
    Ok(())
}
