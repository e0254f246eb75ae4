"""Files to passages: text of any format, cut into blocks, sentences and passages."""
