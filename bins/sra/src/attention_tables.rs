//! Tables that `sra attention --out` writes.

use std::collections::BTreeSet;
use std::path::Path;

use charts::csv_field;
use command_line::Failure;
use llm_runtime::output_file;
use strategy_prompting::{SraOptions, SraRow};

use crate::attention::Correlations;

/// Writes `sra.csv`, `options.json` and `correlation.json`.
pub(crate) fn write(
    out: &Path,
    rows: &[SraRow],
    measure: &SraOptions,
    correlation: Option<&Correlations>,
) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(Failure::at(out))?;
    let keep =
        |name: &str, text: String| output_file::write(&out.join(name), text).map_err(Failure::at(&out.join(name)));
    keep("sra.csv", csv(rows))?;
    keep("options.json", serde_json::to_string_pretty(measure).map_err(Failure::work)?)?;
    if let Some(correlation) = correlation {
        keep("correlation.json", serde_json::to_string_pretty(correlation).map_err(Failure::work)?)?;
    }
    Ok(())
}

/// One line per response.
fn csv(rows: &[SraRow]) -> String {
    // Models differ in their number of layers, prompts in their parts.
    let presets: BTreeSet<&String> = rows.iter().flat_map(|row| row.presets.keys()).collect();
    let layers: BTreeSet<usize> = rows.iter().flat_map(|row| row.first_layers.keys().copied()).collect();
    let mut text = "run,model,id,example,conversation,turn,layout,strategy,rows,span_tokens,sra,log_sra,mass,uniform_ratio,control_before,control_after".to_owned();
    presets.iter().for_each(|name| text += &format!(",{name}"));
    layers.iter().for_each(|count| text += &format!(",first_{count}_layers"));
    text.push('\n');
    for row in rows {
        let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let mut fields: Vec<String> = vec![
            csv_field(&row.run),
            csv_field(&row.model),
            row.id.clone(),
            csv_field(&row.example),
            csv_field(&row.conversation),
            row.turn.to_string(),
            row.layout.clone(),
            csv_field(&row.strategy),
            row.sra.rows.to_string(),
            row.sra.span_tokens.to_string(),
            row.sra.value.to_string(),
            row.sra.log_value.to_string(),
            row.sra.mass.to_string(),
            row.sra.uniform_ratio.to_string(),
            optional(row.controls.before),
            optional(row.controls.after),
        ];
        fields.extend(presets.iter().map(|name| optional(row.presets.get(*name).map(|sra| sra.value))));
        fields.extend(layers.iter().map(|count| optional(row.first_layers.get(count).copied())));
        text += &fields.join(",");
        text.push('\n');
    }
    text
}
