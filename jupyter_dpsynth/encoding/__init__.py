"""Codecs: they turn the values of a table into small whole numbers (codes), and back."""
