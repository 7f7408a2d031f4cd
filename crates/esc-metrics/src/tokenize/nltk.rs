//! NLTK's word rules.
