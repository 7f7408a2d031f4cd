//! What models are called in tables.
//!
//! A record holds the name that its user typed. The same name may stand for several models (a folder that was trained
//! on, the same weights read in another format); tables must not pool them.

use std::collections::BTreeSet;

use llm_runtime::ModelIdentity;

/// Hash digits that tell models of one name apart.
const DIGITS: usize = 8;

/// The models of some records.
#[derive(Debug, Clone, Default)]
pub struct ModelNames {
    /// Name, format, hash of the weights, hash of the template.
    models: BTreeSet<[String; 4]>,
}

impl ModelNames {
    /// Takes note of a model.
    pub fn add(&mut self, model: &ModelIdentity) {
        self.models.insert(fields(model));
    }

    /// Whether tables have to name the model.
    pub fn are_several(&self) -> bool {
        self.models.len() > 1
    }

    /// The model's name; where other models have it too, with what differs: format, weights, template.
    pub fn name(&self, model: &ModelIdentity) -> String {
        let own = fields(model);
        let [name, dtype, weights, template] = &own;
        let alike: Vec<&[String; 4]> = self.models.iter().filter(|other| other[0] == *name).collect();
        let differ = |field: usize| alike.iter().any(|other| other[field] != own[field]);
        let hash = |what: &str, hash: &str| format!("{what} {}", hash.get(..DIGITS).unwrap_or("unknown"));
        let mut parts = Vec::new();
        if differ(1) {
            parts.push(dtype.clone());
        }
        if differ(2) {
            parts.push(hash("weights", weights));
        }
        if differ(3) {
            parts.push(hash("template", template));
        }
        if parts.is_empty() { name.clone() } else { format!("{name} ({})", parts.join(", ")) }
    }
}

impl<'a> FromIterator<&'a ModelIdentity> for ModelNames {
    fn from_iter<I: IntoIterator<Item = &'a ModelIdentity>>(models: I) -> Self {
        Self { models: models.into_iter().map(fields).collect() }
    }
}

fn fields(model: &ModelIdentity) -> [String; 4] {
    let ModelIdentity { name, sha256, dtype, template_sha256 } = model;
    [name.clone(), dtype.clone(), sha256.clone(), template_sha256.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, sha256: &str, dtype: &str) -> ModelIdentity {
        ModelIdentity {
            name: name.into(),
            sha256: sha256.into(),
            dtype: dtype.into(),
            template_sha256: "00112233445566".into(),
        }
    }

    #[test]
    fn a_name_alone_is_enough_where_it_stands_for_one_model() {
        let (one, other) = (model("a", "0123456789", "f32"), model("b", "0123456789", "f32"));
        let names: ModelNames = [&one, &other, &one].into_iter().collect();
        assert!(names.are_several());
        assert_eq!([names.name(&one), names.name(&other)], ["a", "b"]);
        assert!(![&one, &one].into_iter().collect::<ModelNames>().are_several());
    }

    #[test]
    fn models_of_one_name_are_told_apart_by_what_differs() {
        let (early, late) = (model("folder", "0123456789", "f32"), model("folder", "abcdefghij", "f32"));
        let (small, server) = (model("folder", "0123456789", "q8_0"), model("folder", "", "f32"));
        let names: ModelNames = [&early, &late].into_iter().collect();
        assert_eq!([names.name(&early), names.name(&late)], ["folder (weights 01234567)", "folder (weights abcdefgh)"]);
        let names: ModelNames = [&early, &small].into_iter().collect();
        assert_eq!([names.name(&early), names.name(&small)], ["folder (f32)", "folder (q8_0)"]);
        let names: ModelNames = [&early, &server].into_iter().collect();
        assert_eq!(names.name(&server), "folder (weights unknown)");
    }
}
