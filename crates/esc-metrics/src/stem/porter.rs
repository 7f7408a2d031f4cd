//! Porter's stemmer with NLTK's extensions.
