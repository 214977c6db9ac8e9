"""Check of a data set before it is used, and its plot."""
