//! Is one system better than another? `cargo run -p esc-metrics --example compare_two_systems`

use esc_metrics::interval::Resampling;
use esc_metrics::{Item, Resources, Suite};

const FEELINGS: [&str; 4] = ["tired", "afraid", "lonely", "angry"];
const THINGS: [&str; 5] = ["your work", "the move", "your exam", "the argument", "the long wait"];

fn main() -> Result<(), esc_metrics::Error> {
    let (mut careful, mut hasty, mut conversations) = (Vec::new(), Vec::new(), Vec::new());
    for (conversation, thing) in THINGS.iter().enumerate() {
        for feeling in FEELINGS {
            let reference = format!("I hear how {feeling} you are about {thing}. What would help you now?");
            careful
                .push(Item::new(format!("I hear that you are {feeling} about {thing}. What could help?"), &*reference));
            hasty.push(Item::new(format!("Do not be {feeling}. Things will get better soon."), &*reference));
            conversations.push(format!("conversation {conversation}"));
        }
    }
    let suite = Suite::of_names(&["sacrebleu", "rouge", "meteor", "f1", "distinct"], &Resources::find()?)?;
    let (careful, hasty) = (suite.score(careful)?, suite.score(hasty)?);
    let groups: Vec<&str> = conversations.iter().map(String::as_str).collect();
    for row in careful.compare(&hasty, &groups, Some(&Resampling::new(500, 0.95, 1)?))? {
        let told = row.comparison.map(|found| {
            let difference = found.bootstrap.difference;
            format!("[{:+.3}, {:+.3}], p = {:.3}", difference.low, difference.high, found.randomisation.p)
        });
        let told = told.unwrap_or_else(|| "not resampled".into());
        println!("{:<20} {:8.3} {:8.3}  {told}  {}", row.name, row.first, row.second, row.signature);
    }
    Ok(())
}
