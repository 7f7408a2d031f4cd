//! Tables that belong to other projects: where they lie, and which metrics read them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::embedding::WordVectors;
use crate::error::Error;
use crate::meteor::{Meteor, MeteorResources, MeteorVariant, WordNet};
use crate::named::METRICS;
use crate::suite::STAND_IN;
use crate::tokenize::{NltkWords, PunktParameters, Tokenizer, Twice};

/// The sentence splitter's tables and WordNet in NLTK's data folder.
const PUNKT: &str = "tokenizers/punkt_tab/english";
const WORDNET: &str = "corpora/wordnet";

/// Tables that belong to other projects and are read from where the user has them.
#[derive(Clone)]
pub struct Resources {
    /// Where sentences end, for NLTK's tokens.
    pub punkt: PunktParameters,
    /// Synonyms and paraphrases of METEOR 1.5.
    pub meteor: Option<Arc<MeteorResources>>,
    /// WordNet, for NLTK's METEOR.
    pub wordnet: Option<Arc<WordNet>>,
    /// Word vectors.
    pub vectors: Option<Arc<WordVectors>>,
}

/// Folders that are named; the others are looked for in the environment and the usual places.
#[derive(Debug, Clone, Default)]
pub struct ResourceFolders {
    /// NLTK's data.
    pub nltk_data: Option<PathBuf>,
    /// METEOR 1.5.
    pub meteor: Option<PathBuf>,
    /// WordNet.
    pub wordnet: Option<PathBuf>,
}

impl Resources {
    /// What is built in: our own sentence splitter, and nothing else.
    pub fn built_in() -> Self {
        Self { punkt: PunktParameters::built_in(), meteor: None, wordnet: None, vectors: None }
    }

    /// All that the environment names (`NLTK_DATA`, `SOLACE_METEOR`, `SOLACE_WORDNET`) and that lies in the usual places; else what is built in.
    ///
    /// # Errors
    /// A resource is there but damaged.
    pub fn find() -> Result<Self, Error> {
        let all: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        Self::find_for(&all, &ResourceFolders::default())
    }

    /// What the metrics of these names read: the large tables only where one of them asks for them.
    ///
    /// # Errors
    /// A folder that is named lacks the resource, or a resource is damaged.
    pub fn find_for(metrics: &[&str], folders: &ResourceFolders) -> Result<Self, Error> {
        let reads_meteor = metrics.iter().any(|name| matches!(*name, "meteor" | "meteor-nlg-eval"));
        let reads_wordnet = metrics.contains(&"meteor-nltk");
        Ok(Self {
            punkt: folders.punkt()?,
            meteor: if reads_meteor { folders.meteor()?.map(Arc::new) } else { None },
            wordnet: if reads_wordnet { folders.wordnet()?.map(Arc::new) } else { None },
            vectors: None,
        })
    }

    /// With word vectors of a file in GloVe's text format. Such files are large, so only the words of these texts are kept.
    ///
    /// # Errors
    /// The file can't be read, or is damaged.
    pub fn with_vectors_for<S: AsRef<str>>(
        self,
        file: &Path,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<Self, Error> {
        let tokenizer = self.embedding_words();
        let mut words = BTreeSet::from([STAND_IN.to_owned()]);
        for text in texts {
            tokenizer.tokenize(text.as_ref(), &mut |word| {
                if !words.contains(word) {
                    words.insert(word.to_owned());
                }
            });
        }
        let vectors = WordVectors::read_for(file, words.iter().map(String::as_str))?;
        Ok(Self { vectors: Some(Arc::new(vectors)), ..self })
    }

    /// NLTK's words of the lower-cased text.
    pub fn nltk_words(&self) -> Arc<dyn Tokenizer> {
        Arc::new(NltkWords::new(self.punkt.clone()))
    }

    /// The words that vectors are looked up for: NLTK's words of NLTK's words.
    pub fn embedding_words(&self) -> Arc<dyn Tokenizer> {
        Arc::new(Twice::new(self.nltk_words()))
    }

    /// The fullest METEOR that the resources allow.
    pub(crate) fn best_meteor(&self) -> Result<Meteor, Error> {
        let variant = if self.meteor.is_some() { MeteorVariant::Full } else { MeteorVariant::ExactStem };
        Meteor::new(variant, self.meteor.clone())
    }
}

impl ResourceFolders {
    fn punkt(&self) -> Result<PunktParameters, Error> {
        match &self.nltk_data {
            Some(folder) => PunktParameters::read(&folder.join(PUNKT)),
            None => Ok(PunktParameters::find()?.unwrap_or_else(PunktParameters::built_in)),
        }
    }

    fn meteor(&self) -> Result<Option<MeteorResources>, Error> {
        self.meteor.as_ref().map_or_else(MeteorResources::find, |folder| MeteorResources::open(folder).map(Some))
    }

    fn wordnet(&self) -> Result<Option<WordNet>, Error> {
        let beside_punkt = || Some(self.nltk_data.as_ref()?.join(WORDNET)).filter(|folder| folder.is_dir());
        let named = self.wordnet.clone().or_else(beside_punkt);
        named.map_or_else(WordNet::find, |folder| WordNet::open(folder).map(Some))
    }
}

/// Folders of NLTK's sentence splitter, the first that is there first.
pub(crate) fn punkt_folders() -> impl Iterator<Item = PathBuf> {
    nltk_folders().map(|folder| folder.join(PUNKT))
}

/// Folders of WordNet, as [`punkt_folders`].
pub(crate) fn wordnet_folders() -> impl Iterator<Item = PathBuf> {
    nltk_folders().map(|folder| folder.join(WORDNET)).chain([PathBuf::from("/usr/share/wordnet")])
}

/// Where NLTK's data may be.
fn nltk_folders() -> impl Iterator<Item = PathBuf> {
    let given = std::env::var_os("NLTK_DATA").unwrap_or_default();
    let given: Vec<PathBuf> = std::env::split_paths(&given).filter(|folder| !folder.as_os_str().is_empty()).collect();
    let home = std::env::home_dir().map(|home| home.join("nltk_data"));
    let system = ["/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"];
    given.into_iter().chain(home).chain(system.map(|folder| Path::new(folder).join("nltk_data")))
}
