"""What the released figures tell about the population, with intervals: regressions, tables, weights."""
