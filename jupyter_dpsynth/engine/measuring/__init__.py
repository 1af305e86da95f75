"""Everything that is measured with noise before training, domains and marginals. It spends epsilon."""
