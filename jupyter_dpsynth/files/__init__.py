"""The format of saved files: an archive of JSON and arrays, checked against a JSON Schema."""
