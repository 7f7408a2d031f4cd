//! `sra merge`: an adapter folded into its model.
