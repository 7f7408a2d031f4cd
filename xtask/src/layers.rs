//! The floors of the house: which package may import which.

use toml::{Table, Value};

/// Packages that take `llm-runtime` without its `engine`, so that importing them does not bring tensors along.
const LIGHT: [&str; 3] = ["esconv-data", "esc-metrics", "strategy-prompting"];

/// The floor of a package of ours.
fn floor(package: &str) -> Option<u8> {
    Some(match package {
        "llm-runtime" => 0,
        "esconv-data" | "esc-metrics" | "seq2seq" | "text-encoder" | "training" | "hyper-search" => 1,
        "lora" | "dpo" => 2,
        "strategy-prompting" | "memory-bank" | "helpfulness" | "attention-viz" => 3,
        "sra" | "magic" | "thtra" | "persuasion" | "benches" | "xtask" => 4,
        _ => return None,
    })
}

/// What is wrong with the manifests' dependencies on one another. An arrow points down: to a lower floor, or on the first
/// floor to the ground only.
pub(crate) fn problems(manifests: &[Table]) -> Vec<String> {
    let names: Vec<&str> = manifests.iter().filter_map(name).collect();
    manifests.iter().flat_map(|manifest| problems_of(manifest, &names)).collect()
}

fn name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

fn problems_of(manifest: &Table, ours: &[&str]) -> Vec<String> {
    let Some(package) = name(manifest) else { return vec!["a manifest without a package name".into()] };
    let Some(own_floor) = floor(package) else {
        return vec![format!("{package} has no floor: give it one in xtask/src/layers.rs and in the design")];
    };
    let mut problems = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(Value::Table(dependencies)) = manifest.get(section) else { continue };
        for (dependency, wish) in dependencies {
            if !ours.contains(&dependency.as_str()) {
                continue;
            }
            match floor(dependency) {
                Some(other) if other < own_floor => {}
                Some(other) => problems.push(format!(
                    "{package} (floor {own_floor}) imports {dependency} (floor {other}) in [{section}]: an arrow may only point down"
                )),
                None => problems.push(format!("{package} imports {dependency}, which has no floor")),
            }
            if section == "dependencies"
                && dependency == "llm-runtime"
                && LIGHT.contains(&package)
                && wants_engine(wish)
            {
                problems.push(format!("{package} takes llm-runtime with its `engine`: put that behind a feature"));
            }
        }
    }
    problems
}

fn wants_engine(wish: &Value) -> bool {
    let features = wish.get("features").and_then(Value::as_array);
    let named = features.is_some_and(|features| features.iter().any(|feature| feature.as_str() == Some("engine")));
    let optional = wish.get("optional").and_then(Value::as_bool) == Some(true);
    named && !optional
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifests: &[&str]) -> Vec<String> {
        problems(&manifests.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    const GROUND: &str = "[package]\nname = \"llm-runtime\"";

    #[test]
    fn an_arrow_down_is_fine() {
        let data = "[package]\nname = \"esconv-data\"\n[dependencies]\nllm-runtime = {}";
        assert!(found(&[GROUND, data]).is_empty());
    }

    #[test]
    fn an_arrow_up_is_found() {
        let ground = "[package]\nname = \"llm-runtime\"\n[dependencies]\nesconv-data = {}";
        let data = "[package]\nname = \"esconv-data\"";
        assert!(found(&[ground, data])[0].contains("llm-runtime (floor 0) imports esconv-data (floor 1)"));
    }

    #[test]
    fn an_arrow_sideways_is_found() {
        let data = "[package]\nname = \"esconv-data\"";
        let training = "[package]\nname = \"training\"\n[dev-dependencies]\nesconv-data = {}";
        assert_eq!(found(&[data, training]).len(), 1);
    }

    #[test]
    fn a_light_crate_does_not_take_the_engine() {
        let data = "[package]\nname = \"esconv-data\"\n[dependencies]\nllm-runtime = { features = [\"engine\"] }";
        assert!(found(&[GROUND, data])[0].contains("engine"));
    }

    #[test]
    fn a_new_package_needs_a_floor() {
        assert!(found(&["[package]\nname = \"attic\""])[0].contains("attic has no floor"));
    }
}
