//! Models that can be fetched by name.

use serde::Deserialize;

use crate::manifest::{Architecture, Pooling, Purpose};

/// A model on a hub: where it lies and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogModel {
    /// Name here, and of its folder.
    pub name: String,
    /// `OWNER/NAME` on the hub.
    pub repository: String,
    /// Branch, tag or commit there.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// Layout of the network.
    pub architecture: Architecture,
    /// Length of the vectors.
    pub dimension: usize,
    /// Longest input in tokens.
    pub max_tokens: usize,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Put before every question.
    pub query_prefix: String,
    /// Put before every passage.
    pub passage_prefix: String,
    /// Licence of the weights, an SPDX name.
    pub licence: String,
    /// File name of the weights on the hub.
    #[serde(default = "safetensors")]
    pub weights: String,
    /// SHA-256 of files for which it is known beforehand, by name.
    #[serde(default)]
    pub sha256: std::collections::BTreeMap<String, String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

fn safetensors() -> String {
    "model.safetensors".to_owned()
}

/// All models that are known by name, in the order of the list.
pub fn catalog() -> Vec<CatalogModel> {
    #[derive(Deserialize)]
    struct File {
        model: Vec<CatalogModel>,
    }
    let file: File = toml::from_str(include_str!("catalog.toml")).expect("the built-in list is right");
    file.model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_list_has_a_name_of_its_own_that_can_be_a_folder() {
        let models = catalog();
        let mut names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), models.len());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        for model in &models {
            assert!(model.name.chars().all(is_plain) && !model.name.starts_with('.'), "{}", model.name);
            assert!(model.repository.split('/').count() == 2 && !model.licence.is_empty());
        }
    }
}
