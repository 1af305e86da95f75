"""Tables to integer codes and back: one codec a column, one for the table."""
