"""Opens and reads the tables that can be learned: pandas and Dask DataFrames, Parquet and CSV files."""
