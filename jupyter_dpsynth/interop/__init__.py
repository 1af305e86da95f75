"""Schemas of other libraries as declarations of what is public, and the other way round.

None of those libraries is imported: their documents and objects are read as they are.
"""
