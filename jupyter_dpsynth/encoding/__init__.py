"""Codecs: the values of a table to small integer codes, and back."""
