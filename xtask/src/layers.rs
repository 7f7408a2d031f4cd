//! The floors of the house: which package may import which.
//!
//! A workspace of many crates stays readable while arrows between them only point down. The table here is the design's:
//! the ground is `llm-runtime`, above it stand crates of one idea each, and programs come last. Manifests go in parsed,
//! complaints come out, so that the rules can be tested without files.

use toml::{Table, Value};

/// The ground.
const GROUND: &str = "llm-runtime";

/// Programs, benches and this one: they may import everything.
const TOP: u8 = 4;

/// Packages that speak of models without compiling one: the ground's `engine` only comes with a feature asked for.
const WITHOUT_ENGINE: [&str; 2] = ["esconv-data", "esc-metrics"];

/// The ground's features that bring tensors along.
const ENGINE_FEATURES: [&str; 4] = ["engine", "default", "cuda", "serve"];

/// Where tests find their files. Those of every floor ask it, and it stands on nothing.
const FOR_TESTS: &str = "golden-files";

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The floor of a package, for all that the design names, whether it stands yet or not.
fn floor(package: &str) -> Option<u8> {
    Some(match package {
        "llm-runtime" | "charts" | "mersenne-twister" | FOR_TESTS => 0,
        "esconv-data" | "esc-metrics" | "training" | "hyper-search" => 1,
        "lora" | "dpo" | "seq2seq" | "text-encoder" | "predictability" | "judging" | "demo-corpus" => 2,
        "strategy-prompting" | "memory-bank" | "helpfulness" | "attention-viz" | "command-line" => 3,
        "sra" | "magic" | "thtra" | "persuasion" | "benches" | "xtask" => TOP,
        // The composition of the papers' programs.
        "solace" => TOP + 1,
        _ => return None,
    })
}

/// What is wrong with the dependencies of the workspace's packages on one another, one line each.
///
/// `workspace` is the root manifest, whose `[workspace.dependencies]` the `members` inherit.
pub(crate) fn problems(workspace: &Table, members: &[Table]) -> Vec<String> {
    let names: Vec<&str> = members.iter().filter_map(name).collect();
    members.iter().flat_map(|member| problems_of(member, workspace, &names)).collect()
}

fn problems_of(member: &Table, workspace: &Table, ours: &[&str]) -> Vec<String> {
    let Some(package) = name(member) else { return vec!["a manifest has no [package] name: give it one".into()] };
    let Some(own) = floor(package) else {
        return vec![format!(
            "{package} stands on no floor: add it to the table in xtask/src/layers.rs and to the design"
        )];
    };
    let imports: Vec<Import<'_>> = imports(member, workspace).filter(|import| ours.contains(&import.package)).collect();
    let mut problems: Vec<String> = imports.iter().filter_map(|import| wrong_way(package, own, import)).collect();
    if WITHOUT_ENGINE.contains(&package) && brings_engine(member, workspace, &imports) {
        problems.push(format!(
            "{package} takes {GROUND} with its `engine`: take it with default-features = false and ask for the engine \
             in a feature that is not on by default"
        ));
    }
    problems
}

/// One dependency, under the name its package really has.
struct Import<'a> {
    section: &'a str,
    /// As the manifest calls it; features refer to it by this name.
    alias: &'a str,
    package: &'a str,
    wish: &'a Value,
}

/// Every dependency in every section, those for one platform included.
fn imports<'a>(member: &'a Table, workspace: &'a Table) -> impl Iterator<Item = Import<'a>> {
    let platforms = member.get("target").and_then(Value::as_table);
    let tables =
        std::iter::once(member).chain(platforms.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    tables
        .flat_map(|table| {
            SECTIONS.into_iter().filter_map(move |section| Some((section, table.get(section)?.as_table()?)))
        })
        .flat_map(move |(section, dependencies)| {
            dependencies.iter().map(move |(alias, wish)| {
                let package = renamed(wish).or_else(|| renamed(inherited(workspace, alias, wish)?)).unwrap_or(alias);
                Import { section, alias, package, wish }
            })
        })
}

fn renamed(wish: &Value) -> Option<&str> {
    wish.get("package")?.as_str()
}

/// The root's entry, for a dependency that says `workspace = true`.
fn inherited<'a>(workspace: &'a Table, alias: &str, wish: &Value) -> Option<&'a Value> {
    let inherits = wish.get("workspace").and_then(Value::as_bool) == Some(true);
    inherits.then(|| workspace.get("workspace")?.get("dependencies")?.get(alias)).flatten()
}

fn wrong_way(package: &str, own: u8, import: &Import<'_>) -> Option<String> {
    let (section, imported) = (import.section, import.package);
    if imported == FOR_TESTS {
        let problem = || format!("{package} imports {imported} in [{section}]: only tests may, as a dev-dependency");
        return (section != "dev-dependencies").then(problem);
    }
    match floor(imported) {
        Some(other) if other < own || own == TOP => None,
        Some(other) => Some(format!(
            "{package} (floor {own}) imports {imported} (floor {other}) in [{section}]: an arrow may only point down"
        )),
        // Reported where that package is looked at itself.
        None => None,
    }
}

/// Whether importing `member` as it comes compiles the engine. Its tests may: nobody imports those.
fn brings_engine(member: &Table, workspace: &Table, imports: &[Import<'_>]) -> bool {
    imports.iter().filter(|import| import.package == GROUND && import.section != "dev-dependencies").any(|import| {
        let defaults = default_features(member);
        let optional = flag(import.wish, "optional") == Some(true);
        let (implicit, explicit) = (import.alias.to_owned(), format!("dep:{}", import.alias));
        let on = !optional || defaults.contains(&implicit) || defaults.contains(&explicit);
        let in_a_default =
            ENGINE_FEATURES.iter().any(|feature| defaults.contains(&format!("{}/{feature}", import.alias)));
        in_a_default || on && wants_engine(import, workspace)
    })
}

fn wants_engine(import: &Import<'_>, workspace: &Table) -> bool {
    let inherited = inherited(workspace, import.alias, import.wish);
    let named = [Some(import.wish), inherited].into_iter().flatten().any(|wish| {
        let features = wish.get("features").and_then(Value::as_array).into_iter().flatten();
        features.filter_map(Value::as_str).any(|feature| ENGINE_FEATURES.contains(&feature))
    });
    // A member can switch defaults on that the workspace switched off, not the other way round.
    let defaults = match inherited {
        Some(root) => {
            flag(root, "default-features") != Some(false) || flag(import.wish, "default-features") == Some(true)
        }
        None => flag(import.wish, "default-features") != Some(false),
    };
    named || defaults
}

fn flag(wish: &Value, key: &str) -> Option<bool> {
    wish.get(key)?.as_bool()
}

/// Everything that the member's feature `default` switches on, through features that name features.
fn default_features(member: &Table) -> Vec<String> {
    let features = member.get("features").and_then(Value::as_table);
    let mut on = vec!["default".to_owned()];
    let mut at = 0;
    while at < on.len() {
        let named = features.and_then(|features| features.get(&on[at])?.as_array());
        for feature in named.into_iter().flatten().filter_map(Value::as_str) {
            // `a?/b` switches `b` on only where something else brings `a`; that something is looked at by itself.
            let feature = feature.replace("?/", "/");
            if !on.contains(&feature) {
                on.push(feature);
            }
        }
        at += 1;
    }
    on
}

fn name(member: &Table) -> Option<&str> {
    member.get("package")?.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace.dependencies]\nllm-runtime = { path = \"a\", default-features = false }";

    fn package(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    fn found(members: &[String]) -> Vec<String> {
        let members: Vec<Table> = members.iter().map(|text| text.parse().unwrap()).collect();
        problems(&WORKSPACE.parse().unwrap(), &members)
    }

    /// `package` beside the ground and the other packages that the tests import.
    fn found_in(name: &str, rest: &str) -> Vec<String> {
        let others = ["llm-runtime", "esconv-data", "training", "lora", "strategy-prompting", "sra", "benches"];
        let others = others.into_iter().filter(|other| *other != name).map(|other| package(other, ""));
        found(&others.chain([package(name, rest)]).collect::<Vec<_>>())
    }

    #[test]
    fn an_arrow_down_is_fine() {
        assert!(found_in("esconv-data", "[dependencies]\nllm-runtime = { workspace = true }").is_empty());
        assert!(found_in("dpo", "[dependencies]\ntraining = {}\nllm-runtime = {}").is_empty());
        assert!(found_in("memory-bank", "[dependencies]\nlora = {}\nesconv-data = {}").is_empty());
    }

    #[test]
    fn an_arrow_up_is_found() {
        let problems = found_in("llm-runtime", "[dependencies]\nesconv-data = {}");
        assert!(problems[0].starts_with("llm-runtime (floor 0) imports esconv-data (floor 1) in [dependencies]"));
    }

    #[test]
    fn an_arrow_sideways_is_found() {
        assert_eq!(found_in("esc-metrics", "[dependencies]\nesconv-data = {}").len(), 1);
        assert_eq!(found_in("dpo", "[dependencies]\nlora = {}").len(), 1);
        assert_eq!(found_in("attention-viz", "[dependencies]\nstrategy-prompting = {}").len(), 1);
    }

    #[test]
    fn tests_build_scripts_and_platforms_count_too() {
        for section in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            assert_eq!(found_in("llm-runtime", &format!("[{section}]\nesconv-data = {{}}")).len(), 1, "{section}");
        }
    }

    #[test]
    fn tests_of_every_floor_ask_for_golden_files() {
        let files = package("golden-files", "");
        for section in ["dev-dependencies", "dependencies"] {
            let ground = package("llm-runtime", &format!("[{section}]\ngolden-files = {{}}"));
            let problems = found(&[files.clone(), ground]);
            assert_eq!(problems.len(), usize::from(section == "dependencies"), "{problems:?}");
        }
        assert_eq!(
            found(&[package("llm-runtime", ""), package("golden-files", "[dependencies]\nllm-runtime = {}")]).len(),
            1
        );
    }

    #[test]
    fn another_name_hides_nothing() {
        let renamed = "[dependencies]\ndata = { package = \"esconv-data\", path = \"b\" }";
        assert!(found_in("llm-runtime", renamed)[0].contains("imports esconv-data"));
    }

    #[test]
    fn the_top_may_import_everything() {
        assert!(found_in("benches", "[dependencies]\nsra = {}\nstrategy-prompting = {}\nlora = {}").is_empty());
    }

    #[test]
    fn packages_of_others_are_nobodys_business() {
        assert!(found_in("llm-runtime", "[dependencies]\nserde = \"1\"").is_empty());
    }

    #[test]
    fn a_new_package_needs_a_floor() {
        assert!(found_in("attic", "")[0].contains("attic stands on no floor"));
    }

    #[test]
    fn data_does_not_bring_the_engine() {
        for wish in [
            "{ workspace = true, features = [\"engine\"] }",
            "{ workspace = true, features = [\"cuda\"] }",
            "{ workspace = true, default-features = true }",
            "{ path = \"a\" }",
            "\"0.1\"",
        ] {
            let problems = found_in("esconv-data", &format!("[dependencies]\nllm-runtime = {wish}"));
            assert!(problems.len() == 1 && problems[0].contains("`engine`"), "{wish}: {problems:?}");
        }
    }

    #[test]
    fn a_feature_may_bring_the_engine_unless_it_is_a_default() {
        let with = |default: &str| {
            let rest = format!(
                "[features]\ndefault = [{default}]\nmodel = [\"deep\"]\ndeep = [\"llm-runtime/engine\"]\n\
                 [dependencies]\nllm-runtime = {{ workspace = true }}"
            );
            found_in("esc-metrics", &rest)
        };
        assert!(with("").is_empty());
        assert_eq!(with("\"model\"").len(), 1);
    }

    #[test]
    fn an_optional_engine_is_fine_until_a_default_takes_it() {
        let with = |default: &str| {
            let rest = format!(
                "[features]\ndefault = [{default}]\n\
                 [dependencies]\nllm-runtime = {{ workspace = true, optional = true, features = [\"engine\"] }}"
            );
            found_in("esc-metrics", &rest)
        };
        assert!(with("").is_empty());
        assert_eq!(with("\"dep:llm-runtime\"").len(), 1);
    }

    #[test]
    fn tests_of_a_light_crate_may_use_the_engine() {
        let rest = "[dependencies]\nllm-runtime = { workspace = true }\n\
                    [dev-dependencies]\nllm-runtime = { workspace = true, features = [\"engine\"] }";
        assert!(found_in("esconv-data", rest).is_empty());
    }
}
