"""How good a synthetic table is: metrics, plots and the report that joins them."""
