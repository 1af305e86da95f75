"""What `learn` reads: a pandas DataFrame, a Dask DataFrame, or files of Parquet or CSV."""
