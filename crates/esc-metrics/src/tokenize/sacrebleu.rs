//! sacreBLEU's tokenisers.
