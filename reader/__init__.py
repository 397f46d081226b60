"""NTU RGB+D skeleton text to arrays: one file (ntu_reader), view normalisation (transformer), who trains (splits)."""
