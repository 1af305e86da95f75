"""How results are shown: words for figures, HTML, charts, and lines in a terminal."""
