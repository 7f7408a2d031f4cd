//! The final evaluation as rows, whatever it holds: numbers with their intervals, and what else it tells.

use charts::escaped;
use serde_json::{Map, Value};

use super::json_lines::number_of;
use super::markup::shown;

/// What the middle of an interval is called.
const MIDDLES: [&str; 5] = ["mean", "value", "share", "rate", "difference"];
/// Lists of more numbers than this are only counted.
const MOST_IN_LIST: usize = 12;

/// One line of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Where it stands: keys from the outside in.
    pub(super) path: String,
    pub(super) shown: String,
    /// The number and the ends of its interval.
    pub(super) interval: Option<(f64, f64, f64)>,
}

/// All that an evaluation tells, in its order.
pub(super) fn rows(value: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    collect(value, "", &mut rows);
    rows
}

/// The rows as a table; shares get a bar for their interval.
pub(super) fn table(value: &Value) -> String {
    let rows: String = rows(value).iter().map(markup).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr><th scope=\"col\">What</th><th scope=\"col\">Value</th>\
         <th scope=\"col\">Interval</th><th scope=\"col\"><span class=\"hidden\">Picture, from 0 to 1</span></th></tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

fn markup(row: &Row) -> String {
    let ends = row.interval.map(|(_, low, high)| format!("{} to {}", shown(low), shown(high))).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{ends}</td><td>{}</td></tr>\n",
        escaped(&row.path),
        escaped(&row.shown),
        row.interval.and_then(bar).unwrap_or_default()
    )
}

/// An interval between 0 and 1 as a bar with a mark at its middle.
pub(super) fn bar((middle, low, high): (f64, f64, f64)) -> Option<String> {
    let is_share = [middle, low, high].iter().all(|value| (0.0..=1.0).contains(value));
    let percent = |value: f64| format!("{:.1}%", 100.0 * value);
    is_share.then(|| {
        format!(
            "<span class=\"bar\" aria-hidden=\"true\"><i style=\"left:{};width:{}\"></i><b style=\"left:{}\"></b></span>",
            percent(low),
            percent(high - low),
            percent(middle)
        )
    })
}

fn collect(value: &Value, path: &str, rows: &mut Vec<Row>) {
    match value {
        Value::Object(object) => collect_object(object, path, rows),
        Value::Array(items) => collect_list(items, path, rows),
        other => rows.push(Row { path: path.to_owned(), shown: told(other), interval: None }),
    }
}

fn collect_object(object: &Map<String, Value>, path: &str, rows: &mut Vec<Row>) {
    let middle = MIDDLES.iter().find_map(|name| Some((*name, number_of(object.get(*name)?)?)));
    let ends = ends(object);
    for (key, value) in object {
        let inner = if path.is_empty() { key.clone() } else { format!("{path} › {key}") };
        match (middle, ends) {
            (Some((name, middle)), Some((low, high))) if name == key => {
                rows.push(Row { path: path.to_owned(), shown: shown(middle), interval: Some((middle, low, high)) });
            }
            (Some(_), Some(_)) if ["low", "high", "interval", "ci"].contains(&key.as_str()) => {}
            _ => collect(value, &inner, rows),
        }
    }
}

/// The ends of an interval, as `low` and `high` or as a list of two.
fn ends(object: &Map<String, Value>) -> Option<(f64, f64)> {
    let named = || Some((number_of(object.get("low")?)?, number_of(object.get("high")?)?));
    let listed = || match object.get("interval").or_else(|| object.get("ci"))? {
        Value::Array(ends) => match ends.as_slice() {
            [low, high] => Some((number_of(low)?, number_of(high)?)),
            _ => None,
        },
        Value::Object(inner) => Some((number_of(inner.get("low")?)?, number_of(inner.get("high")?)?)),
        _ => None,
    };
    named().or_else(listed)
}

fn collect_list(items: &[Value], path: &str, rows: &mut Vec<Row>) {
    let is_flat = items.iter().all(|item| !item.is_object() && !item.is_array());
    if is_flat {
        let shown = if items.len() <= MOST_IN_LIST {
            items.iter().map(told).collect::<Vec<_>>().join(", ")
        } else {
            format!("{} values", items.len())
        };
        rows.push(Row { path: path.to_owned(), shown, interval: None });
        return;
    }
    for (index, item) in items.iter().enumerate() {
        let name = item.get("name").and_then(Value::as_str);
        let inner = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
        let inner = if path.is_empty() { inner } else { format!("{path} › {inner}") };
        match item {
            Value::Object(object) if name.is_some() => {
                let mut unnamed = object.clone();
                unnamed.shift_remove("name");
                collect_object(&unnamed, &inner, rows);
            }
            other => collect(other, &inner, rows),
        }
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        other => number_of(other).map_or_else(|| other.to_string(), shown),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_find_their_intervals_in_whatever_form() {
        let evaluation = json!({
            "reward_accuracy": {"mean": 0.75, "low": 0.5, "high": 0.9, "groups": 12},
            "win_rate": {"value": 0.5, "interval": [0.25, 0.75]},
            "single": {"mean": 2.5, "low": null, "high": null},
            "margins": [1.0, 2.0],
            "systems": [{"name": "base", "perplexity": 12.25}],
            "judge": "none was asked",
        });
        let told: Vec<_> = rows(&evaluation).into_iter().map(|row| (row.path, row.shown, row.interval)).collect();
        let row = |path: &str, shown: &str, interval| (path.to_owned(), shown.to_owned(), interval);
        assert_eq!(
            told,
            [
                row("reward_accuracy", "0.75", Some((0.75, 0.5, 0.9))),
                row("reward_accuracy › groups", "12", None),
                row("win_rate", "0.5", Some((0.5, 0.25, 0.75))),
                row("single › mean", "2.5", None),
                row("single › low", "none", None),
                row("single › high", "none", None),
                row("margins", "1, 2", None),
                row("systems › base › perplexity", "12.25", None),
                row("judge", "none was asked", None),
            ]
        );
    }

    #[test]
    fn only_shares_get_a_bar() {
        assert!(bar((0.5, 0.25, 0.75)).unwrap().contains("left:25.0%;width:50.0%"));
        assert_eq!([bar((1.5, 0.2, 2.0)), bar((f64::NAN, 0.0, 1.0))], [None, None]);
    }
}
