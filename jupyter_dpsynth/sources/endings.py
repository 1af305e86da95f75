"""How the names of table files end; nothing else, so that commands which read no table start at once."""

__all__ = ["CSV", "PARQUET", "SHEETS", "STATISTICS", "WRITTEN_STATISTICS"]

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv")
SHEETS = (".xlsx", ".xlsm", ".ods")
WRITTEN_STATISTICS = (".sav", ".zsav", ".por", ".dta", ".xpt")
STATISTICS = (*WRITTEN_STATISTICS, ".sas7bdat")  # which only SAS itself writes
