//! Agreement between raters: Cohen, Fleiss, Randolph, Krippendorff.
