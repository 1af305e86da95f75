"""How things are said and drawn: words for figures, HTML, charts, and lines in a terminal."""
