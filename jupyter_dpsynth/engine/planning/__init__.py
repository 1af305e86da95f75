"""Every figure of a run before a value is read: the plan, its forecast, the check-up of the table."""
