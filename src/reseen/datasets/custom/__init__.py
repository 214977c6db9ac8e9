"""One's own pictures as a data set: listed in a table, or in folders."""
