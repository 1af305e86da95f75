"""What a cell shows: progress, forecasts, findings, drill-downs."""
